// The convolution that takes everything: any kernel, strides, dilations, groups and layout; one output an item.
//
// x: element (b, c, iy, ix) at b·XB + c·XC + (iy·WI + ix)·XS. w: [GROUPS][KH·KW·CG][OG], CG = CI/GROUPS, OG = CO/GROUPS,
// k over (ky, kx, channel). bias: CO floats. y, r: see conv_epilogue.cl. pixels: outputs over the batch.
// Global size: a multiple of the local size ≥ pixels · CO.
// Arithmetic: y[p, n] = epilogue(Σ_k x[p at k] · w[group(n)][k, n mod OG])
// twin: edge.inference.opencl.ops.conv_twins.conv

#include "conv_epilogue.cl"

__kernel void conv_any(__global const float *restrict x, int x_off, __global const float *restrict w, int w_off,
                       __global const float *restrict bias, int bias_off, R_ARG __global float *y, int y_off,
                       int pixels) {
    const int n = (int)get_global_id(0) % CO, m = (int)get_global_id(0) / CO;
    if (m >= pixels) return;
    const int b = m / (HO * WO), oy = m / WO % HO, ox = m % WO, group = n / OG;
    __global const float *from = x + x_off + b * XB + group * CG * XC;
    w += w_off + group * (KH * KW * CG * OG) + n % OG;
    float sum = 0.0f;
    for (int ky = 0; ky < KH; ky++) {
        const int iy = oy * SH - PH + ky * DH;
        for (int kx = 0; kx < KW; kx++) {
            const int ix = ox * SW - PW + kx * DW;
            if ((uint)iy < HI && (uint)ix < WI) {
                __global const float *pixel = from + (iy * WI + ix) * XS;
                __global const float *wk = w + (ky * KW + kx) * CG * OG;
#pragma unroll 4
                for (int c = 0; c < CG; c++) sum = mad(pixel[c * XC], wk[c * OG], sum);
            }
        }
    }
    FINISH_ONE(m, n, sum);
}
