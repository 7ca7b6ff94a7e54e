// Winograd's minimal filtering for 3×3 stride 1: the transforms around the batched product of conv_gemm.cl.
//
// F = 2 or 4: side of an output tile, D = F + 2 of an input tile; tiles lie TH × TW on a picture, `tiles` in all.
// wino_input: x NHWC (HI × WI pixels, XS floats apart, CI channels) → v [D·D][tiles][CI]; one item per tile and VW
// channels (VW 1, 2 or 4; 2 and 4 need CI, XS and the offset to be multiples of 4).
// wino_output: m [D·D][tiles][NP] → y (see conv_epilogue.cl); one item per tile and VW channels (4 for F 2, else 1).
// Both: any local size, global size its multiple ≥ the number of items.
// Arithmetic: v = Bᵀ d B, y = Aᵀ m A with the matrices of Lavin and Gray 2016, sections 4.1 and 4.3.
// twin: edge.inference.opencl.ops.conv_twins.winograd_input, edge.inference.opencl.ops.conv_twins.winograd_output

#define D (F + 2)

#if VW == 4
#define V float4
#elif VW == 2
#define V float2
#else
#define V float
#endif

#if defined(INPUT)

#if F == 2
#define BT(a, o, s)               \
    o[0 * (s)] = a[0] - a[2];     \
    o[1 * (s)] = a[1] + a[2];     \
    o[2 * (s)] = a[2] - a[1];     \
    o[3 * (s)] = a[1] - a[3];
#else
#define BT(a, o, s)                                                       \
    o[0 * (s)] = 4.0f * a[0] - 5.0f * a[2] + a[4];                        \
    o[1 * (s)] = (a[4] - 4.0f * a[2]) + (a[3] - 4.0f * a[1]);             \
    o[2 * (s)] = (a[4] - 4.0f * a[2]) - (a[3] - 4.0f * a[1]);             \
    o[3 * (s)] = (a[4] - a[2]) + 2.0f * (a[3] - a[1]);                    \
    o[4 * (s)] = (a[4] - a[2]) - 2.0f * (a[3] - a[1]);                    \
    o[5 * (s)] = 4.0f * a[1] - 5.0f * a[3] + a[5];
#endif

__kernel void wino_input(__global const float *restrict x, int x_off, __global float *restrict v, int v_off,
                         int tiles) {
    const int c = (int)get_global_id(0) % (CI / VW) * VW, tile = (int)get_global_id(0) / (CI / VW);
    if (tile >= tiles) return;
    const int iy = tile / TW % TH * F - PH, ix = tile % TW * F - PW, b = tile / (TH * TW);
    __global const float *from = x + x_off + ((b * HI + iy) * WI + ix) * XS + c;
    V half_way[D * D];
#pragma unroll
    for (int j = 0; j < D; j++) {
        V column[D];
#pragma unroll
        for (int i = 0; i < D; i++) {
            const bool in = (uint)(iy + i) < HI && (uint)(ix + j) < WI;
            column[i] = in ? *(__global const V *)(from + (i * WI + j) * XS) : (V)(0.0f);
        }
        V *out = half_way + j;
        BT(column, out, D)
    }
    __global float *to = v + v_off + tile * CI + c;
#pragma unroll
    for (int i = 0; i < D; i++) {
        V *row = half_way + i * D;
        V out[D];
        BT(row, out, 1)
#pragma unroll
        for (int j = 0; j < D; j++) *(__global V *)(to + (i * D + j) * tiles * CI) = out[j];
    }
}

#else

#include "conv_epilogue.cl"

#if F == 2
#define AT(a, o, s)                        \
    o[0 * (s)] = a[0] + a[1] + a[2];       \
    o[1 * (s)] = a[1] - a[2] - a[3];
#else
#define AT(a, o, s)                                                             \
    o[0 * (s)] = a[0] + (a[1] + a[2]) + (a[3] + a[4]);                          \
    o[1 * (s)] = (a[1] - a[2]) + 2.0f * (a[3] - a[4]);                          \
    o[2 * (s)] = (a[1] + a[2]) + 4.0f * (a[3] + a[4]);                          \
    o[3 * (s)] = (a[1] - a[2]) + 8.0f * (a[3] - a[4]) + a[5];
#endif

#if VW == 4
#define STORE FINISH
#else
#define STORE FINISH_ONE
#endif

__kernel void wino_output(__global const float *restrict m, int m_off, __global const float *restrict bias,
                          int bias_off, R_ARG __global float *y, int y_off, int tiles) {
    const int across = (CO + VW - 1) / VW;
    const int n = (int)get_global_id(0) % across * VW, tile = (int)get_global_id(0) / across;
    if (tile >= tiles) return;
    const int oy = tile / TW % TH * F, ox = tile % TW * F, b = tile / (TH * TW);
    __global const float *from = m + m_off + tile * NP + n;
    V half_way[F * D];
#pragma unroll
    for (int j = 0; j < D; j++) {
        V column[D];
#pragma unroll
        for (int i = 0; i < D; i++) column[i] = *(__global const V *)(from + (i * D + j) * tiles * NP);
        V *out = half_way + j;
        AT(column, out, D)
    }
#pragma unroll
    for (int i = 0; i < F; i++) {
        V *row = half_way + i * D;
        V out[F];
        AT(row, out, 1)
#pragma unroll
        for (int j = 0; j < F; j++) {
            if (oy + i < HO && ox + j < WO) STORE((b * HO + oy + i) * WO + ox + j, n, out[j]);
        }
    }
}

#endif
