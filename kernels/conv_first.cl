// The layer that sees the picture: 1 to 4 channels in, so a GEMM would gather single floats.
//
// x: HI × WI pixels of CI channels; element (b, c, iy, ix) at b·XB + c·XC + (iy·WI + ix)·XS (NHWC or planar NCHW).
// w: [CO/TN][KH·KW·CI][TN], CO padded to TN, zeros there, k over (channel, ky, kx). bias: that padded CO.
// y, r: see conv_epilogue.cl. A group: TW × TH output pixels and TN·LOOPS channels; an item: PX pixels of a row,
// TW/PX apart, of one TN channels after the other. Local size (TW/PX·TH), groups (batch · tiles, ⌈CO/(TN·LOOPS)⌉).
// Arithmetic: y[p, n] = epilogue(Σ_k x[p at k] · w[k, n]); the patch of x lies in local memory, its columns sorted by
// ix mod SW so that neighbours read neighbouring words; weights are the same for the whole group: scalar loads.
// twin: edge.inference.opencl.ops.conv_twins.conv

#include "conv_epilogue.cl"

#define LANES (TW / PX)
#define GRP (LANES * TH)
#define PATCH_W ((TW - 1) * SW + KW)
#define PATCH_H ((TH - 1) * SH + KH)
#define PITCH ((PATCH_W + SW - 1) / SW)
#define LINE (PITCH * SW)
#define TILES_X ((WO + TW - 1) / TW)
#define TILES_Y ((HO + TH - 1) / TH)

__kernel __attribute__((reqd_work_group_size(GRP, 1, 1))) void conv_first(
    __global const float *restrict x, int x_off, __constant float *w, int w_off, __global const float *restrict bias,
    int bias_off, R_ARG __global float *y, int y_off) {
    __local float patch[CI * PATCH_H * LINE];
    const int t = get_local_id(0), tile = get_group_id(0);
    const int ox0 = tile % TILES_X * TW, oy0 = tile / TILES_X % TILES_Y * TH, b = tile / (TILES_X * TILES_Y);
    const int ix0 = ox0 * SW - PW, iy0 = oy0 * SH - PH;
    __global const float *from = x + x_off + b * XB;
    for (int e = t; e < CI * PATCH_H * PATCH_W; e += GRP) {
#if XC == 1  // channels lie together: let neighbours read them
        const int c = e % CI, col = e / CI % PATCH_W, row = e / (CI * PATCH_W);
#else
        const int col = e % PATCH_W, row = e / PATCH_W % PATCH_H, c = e / (PATCH_W * PATCH_H);
#endif
        const int iy = iy0 + row, ix = ix0 + col;
        const bool in = (uint)iy < HI && (uint)ix < WI;
        patch[(c * PATCH_H + row) * LINE + col % SW * PITCH + col / SW] = in ? from[c * XC + (iy * WI + ix) * XS] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const int lx = t % LANES, ly = t / LANES;
    for (int loop = 0; loop < LOOPS; loop++) {
        // Past the end the last block is done again: if the loop can be left, PoCL 3.1 drops the guard of the writes.
        const int block = min((int)get_group_id(1) * LOOPS + loop, (CO + TN - 1) / TN - 1);
        __constant float *wk = w + w_off + block * (KH * KW * CI * TN);
        float4 acc[PX][TN / 4];
#pragma unroll
        for (int i = 0; i < PX; i++)
#pragma unroll
            for (int j = 0; j < TN / 4; j++) acc[i][j] = (float4)(0.0f);
#pragma unroll 1
        for (int line = 0; line < CI * KH; line++) {
            __local const float *from_row = patch + (line / KH * PATCH_H + ly * SH + line % KH) * LINE + lx;
#pragma unroll
            for (int kx = 0; kx < KW; kx++) {
                float v[PX];
#pragma unroll
                for (int i = 0; i < PX; i++) v[i] = from_row[kx % SW * PITCH + kx / SW + i * LANES];
#pragma unroll
                for (int j = 0; j < TN / 4; j++) {
                    const float4 weight = *(__constant float4 *)(wk + kx * TN + j * 4);
#pragma unroll
                    for (int i = 0; i < PX; i++) acc[i][j] = mad((float4)(v[i]), weight, acc[i][j]);
                }
            }
            wk += KW * TN;
        }
        const int oy = oy0 + ly;
#pragma unroll
        for (int i = 0; i < PX; i++) {
            const int ox = ox0 + lx + i * LANES;
            if (oy < HO && ox < WO) {
#pragma unroll
                for (int j = 0; j < TN / 4; j++) FINISH((b * HO + oy) * WO + ox, block * TN + j * 4, acc[i][j]);
            }
        }
    }
}
