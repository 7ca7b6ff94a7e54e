// Depthwise convolution: every channel has its own KH × KW filter; CI = CO.
//
// x: NHWC, HI × WI pixels, XS floats apart. w: [KH][KW][CO padded to 4]. bias: CO padded to 4. y, r: conv_epilogue.cl.
// One item: PY × PX neighbouring output pixels of VY channels (4 when all strides and offsets are multiples of 4).
// Global size: a multiple of the local size ≥ batch · ⌈HO/PY⌉ · ⌈WO/PX⌉ · CO/VY. blocks: all of that but the channels.
// Arithmetic: y[p, c] = epilogue(Σ_k x[p + k, c] · w[k, c]); a row of x is loaded once for all PX and PY that use it.
// twin: edge.inference.opencl.ops.conv_twins.depthwise

#include "conv_epilogue.cl"

#define NX ((PX - 1) * SW + KW)
#define NY ((PY - 1) * SH + KH)
#if PY == 1 && KH > 3  // unrolled, the loads of all rows would be hoisted into too many registers
#define ROWS 1
#else
#define ROWS NY
#endif
#define CP ((CO + 3) / 4 * 4)
#define XB ((WO + PX - 1) / PX)
#define YB ((HO + PY - 1) / PY)

#if VY == 4
#define V float4
#define STORE FINISH
#else
#define V float
#define STORE FINISH_ONE
#endif

__kernel void conv_depthwise(__global const float *restrict x, int x_off, __global const float *restrict w, int w_off,
                             __global const float *restrict bias, int bias_off, R_ARG __global float *y, int y_off,
                             int blocks) {
    const int c = (int)get_global_id(0) % (CO / VY) * VY, block = (int)get_global_id(0) / (CO / VY);
    if (block >= blocks) return;
    const int ox = block % XB * PX, oy = block / XB % YB * PY, b = block / (XB * YB);
    const int ix = ox * SW - PW, iy = oy * SH - PH;
    __global const float *from = x + x_off + ((b * HI + iy) * WI + ix) * XS + c;
    w += w_off + c;
    V acc[PY][PX];
#pragma unroll
    for (int i = 0; i < PY; i++)
#pragma unroll
        for (int j = 0; j < PX; j++) acc[i][j] = (V)(0.0f);
#pragma unroll ROWS
    for (int row = 0; row < NY; row++) {
        V line[NX];
#pragma unroll
        for (int j = 0; j < NX; j++) {
            const bool in = (uint)(iy + row) < HI && (uint)(ix + j) < WI;
            line[j] = in ? *(__global const V *)(from + (row * WI + j) * XS) : (V)(0.0f);
        }
#pragma unroll
        for (int i = 0; i < PY; i++) {
            const int ky = row - i * SH;
            if (ky >= 0 && ky < KH) {
#pragma unroll
                for (int kx = 0; kx < KW; kx++) {
                    const V weight = *(__global const V *)(w + (ky * KW + kx) * CP);
#pragma unroll
                    for (int j = 0; j < PX; j++) acc[i][j] = mad(line[j * SW + kx], weight, acc[i][j]);
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < PY; i++)
#pragma unroll
        for (int j = 0; j < PX; j++)
            if (oy + i < HO && ox + j < WO) STORE((b * HO + oy + i) * WO + ox + j, c, acc[i][j]);
}
