// Convolution as a matrix product that gathers its left side: M = pixels, N = CO channels, K = KH·KW·CI.
//
// x: NHWC, HI × WI pixels, XS floats apart, CI channels; with PLANAR 1 NCHW, XS 1. w: [PLANES][KP][NP], K padded to a multiple of BK and N of BN,
// zeros there; k runs over (ky, kx, channel), PLANAR over (channel, ky, kx). bias: NP floats. y, r: see conv_epilogue.cl. pixels: M. steps: how many
// BK-deep tiles one group sums.
// conv_gemm: groups (tiles of M × tiles of N, 1). With PARTIAL 1 no epilogue: sums go to part [z][M][NP], z the
// second group index, which is either the z-th run of `steps` tiles of K (PLANES 1: split K) or the z-th of PLANES
// independent products whose left sides lie M·CI floats apart (Winograd's).
// Local size GRP = (BM/TM)·(BN/TN)·KS: an item sums a TM × TN micro-tile over every KS-th row of a K tile.
// VA: floats of one load of x: 4 when CI, XS and the offset are multiples of 4, else 1.
// LX: items of a row that lie next to each other in a wave, a divisor of BN/TN. BUFFERS: K tiles in local memory.
// Arithmetic: y[m, n] = Σ_k x[pixel(m) at k] · w[k, n]; the next K tile travels in registers while one is summed.
// twin: edge.inference.opencl.ops.conv_twins.gemm_partial

#if !PARTIAL
#include "conv_epilogue.cl"
#endif

#define TX (BN / TN)
#define TY (BM / TM)
#define TILE (TX * TY)
#define GRP (TILE * KS)
#define K_ALL (KH * KW * CI)
#define A_COLS (BK / VA)
#define A_STEP (GRP / A_COLS)
#define A_PASS ((BM + A_STEP - 1) / A_STEP)
#define B_COLS (BN / 4)
#define B_STEP (GRP / B_COLS)
#define B_PASS ((BK + B_STEP - 1) / B_STEP)
#define LDA (BM + 4)  // floats: keeps float4 rows aligned, spreads the transposed stores over the banks
#define A_TILE4 (BK * LDA / 4)
#define B_TILE4 (BK * B_COLS)
#define TILES4 (BUFFERS * (A_TILE4 + B_TILE4))
#define FOLD4 (KS / 2 * TILE * TM * TN / 4)
#define LOCAL4 (TILES4 > FOLD4 ? TILES4 : FOLD4)
#define UNIFORM_TAP (CI % BK == 0)  // a K tile never crosses from one tap to the next
#if TM * TN == 64  // enough to hide a read of local memory; more, and hoisted reads cost a group per unit in registers
#define UNROLL 2
#elif defined(__NV_CL_C_VERSION)
#define UNROLL (BK / KS)
#else
#define UNROLL 4
#endif
#define K_TAIL (K_ALL % BK != 0)

#if VA == 4
#define A_LOAD float4
#else
#define A_LOAD float
#endif

__kernel __attribute__((reqd_work_group_size(GRP, 1, 1))) void conv_gemm(
    __global const float *restrict x, int x_off, __global const float *restrict w, int w_off,
#if PARTIAL
    __global float *part, int part_off,
#else
    __global const float *restrict bias, int bias_off, R_ARG __global float *y, int y_off,
#endif
    int pixels, int steps) {
    __local float4 tiles[LOCAL4];
    const int t = get_local_id(0);
    const int m0 = (int)get_group_id(0) / (NP / BN) * BM;
    const int n0 = (int)get_group_id(0) % (NP / BN) * BN;
    const int z = get_group_id(1);
    // items of a wave form a rectangle LX wide: fewest distinct words for one read of each operand
    const int slice = t / TILE, at = t % TILE;
    const int tx = at % LX + at / (LX * TY) * LX, ty = at / LX % TY;

    const int a_col = t % A_COLS * VA, a_row = t / A_COLS;
    const int b_col = t % B_COLS, b_row = t / B_COLS;
    x += x_off;
    w += w_off;
#if PARTIAL && PLANES > 1
    x += z * pixels * CI;
    w += z * KP * NP;
    const int first = 0;
#else
    const int first = z * steps;
    steps = min(steps, KP / BK - first);
#endif

    int base[A_PASS];
#if PADDED
    int top[A_PASS], left[A_PASS];
#endif
#pragma unroll
    for (int i = 0; i < A_PASS; i++) {
        const int m = min(m0 + a_row + i * A_STEP, pixels - 1);  // rows past the end repeat the last and are not stored
#if PLAIN
        base[i] = m * XS;
#else
        const int b = m / (HO * WO), oy = m / WO % HO, ox = m % WO;
        const int iy = oy * SH - PH, ix = ox * SW - PW;
        base[i] = ((b * HI * (PLANAR ? CI : 1) + iy) * WI + ix) * XS;
#if PADDED
        top[i] = iy;
        left[i] = ix;
#endif
#endif
    }

    float4 acc[TM][TN / 4];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN / 4; j++) acc[i][j] = (float4)(0.0f);
    A_LOAD ra[A_PASS];
    float4 rb[B_PASS];

#if PLANAR  // k over (channel, ky, kx), as the picture lies
#define SPLIT_K(k0, k)                                        \
    const int c = k / (KH * KW), tap = k % (KH * KW);         \
    const int ky = tap / KW * DH, kx = tap % KW * DW;         \
    const int move = c * HI * WI + ky * WI + kx;
#elif KH * KW == 1
#define SPLIT_K(k0, k) const int ky = 0, kx = 0, move = k;
#else
#define SPLIT_K(k0, k)                                             \
    const int tap = (UNIFORM_TAP ? k0 : k) / CI, c = k - tap * CI; \
    const int ky = tap / KW * DH, kx = tap % KW * DW;              \
    const int move = (ky * WI + kx) * XS + c;
#endif
#define FETCH(step)                                                                                      \
    {                                                                                                    \
        const int k0 = (first + (step)) * BK, k = k0 + a_col;                                            \
        SPLIT_K(k0, k)                                                                                   \
        _Pragma("unroll") for (int i = 0; i < A_PASS; i++) {                                             \
            const bool in = (!K_TAIL || k < K_ALL) && INSIDE(i);                                         \
            ra[i] = in ? *(__global const A_LOAD *)(x + base[i] + move) : (A_LOAD)(0.0f);                \
        }                                                                                                \
        __global const float4 *wk = (__global const float4 *)(w + (k0 + b_row) * NP + n0) + b_col;       \
        _Pragma("unroll") for (int i = 0; i < B_PASS; i++) {                                             \
            if (BK % B_STEP == 0 || b_row + i * B_STEP < BK) rb[i] = wk[i * B_STEP * (NP / 4)];          \
        }                                                                                                \
    }
#if PADDED
#define INSIDE(i) ((uint)(top[i] + ky) < HI && (uint)(left[i] + kx) < WI)
#else
#define INSIDE(i) true
#endif

#if VA == 4
#define PUT_A(As, row, v)                \
    As[(a_col + 0) * LDA + (row)] = v.x; \
    As[(a_col + 1) * LDA + (row)] = v.y; \
    As[(a_col + 2) * LDA + (row)] = v.z; \
    As[(a_col + 3) * LDA + (row)] = v.w;
#else
#define PUT_A(As, row, v) As[a_col * LDA + (row)] = v;
#endif
#define PUT(buffer)                                                                                     \
    {                                                                                                   \
        __local float *As = (__local float *)(tiles + (buffer) * (A_TILE4 + B_TILE4));                  \
        __local float4 *Bs = tiles + (buffer) * (A_TILE4 + B_TILE4) + A_TILE4;                          \
        _Pragma("unroll") for (int i = 0; i < A_PASS; i++) {                                            \
            const int row = a_row + i * A_STEP;                                                         \
            if (BM % A_STEP == 0 || row < BM) { PUT_A(As, row, ra[i]) }                                 \
        }                                                                                               \
        _Pragma("unroll") for (int i = 0; i < B_PASS; i++) {                                            \
            const int row = b_row + i * B_STEP;                                                         \
            if (BK % B_STEP == 0 || row < BK) Bs[row * B_COLS + b_col] = rb[i];                         \
        }                                                                                               \
    }

    FETCH(0)
    PUT(0)
    barrier(CLK_LOCAL_MEM_FENCE);
    int now = 0;
    for (int step = 0; step < steps; step++) {
        if (step + 1 < steps) FETCH(step + 1)
        __local const float4 *As = tiles + now * (A_TILE4 + B_TILE4);
        __local const float4 *Bs = As + A_TILE4;
#pragma unroll UNROLL
        for (int kk = 0; kk < BK; kk += KS) {
            const int k = kk + slice;
            float4 b[TN / 4];
#pragma unroll
            for (int j = 0; j < TN / 4; j++) b[j] = Bs[k * B_COLS + j * TX + tx];
#pragma unroll
            for (int i = 0; i < TM / 4; i++) {
                const float4 a = As[k * (LDA / 4) + i * TY + ty];
#pragma unroll
                for (int j = 0; j < TN / 4; j++) {
                    acc[i * 4 + 0][j] = mad((float4)(a.x), b[j], acc[i * 4 + 0][j]);
                    acc[i * 4 + 1][j] = mad((float4)(a.y), b[j], acc[i * 4 + 1][j]);
                    acc[i * 4 + 2][j] = mad((float4)(a.z), b[j], acc[i * 4 + 2][j]);
                    acc[i * 4 + 3][j] = mad((float4)(a.w), b[j], acc[i * 4 + 3][j]);
                }
            }
        }
#if BUFFERS == 2
        now ^= 1;
#else
        barrier(CLK_LOCAL_MEM_FENCE);
#endif
        if (step + 1 < steps) PUT(now)
        barrier(CLK_LOCAL_MEM_FENCE);
    }

#if KS > 1  // halves of the slices fold into each other until the first holds the sum, in one fixed order
#pragma unroll
    for (int rest = KS / 2; rest > 0; rest /= 2) {
        if (slice >= rest && slice < 2 * rest) {
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN / 4; j++)
                    tiles[(i * (TN / 4) + j) * (KS / 2 * TILE) + (slice - rest) * TILE + at] = acc[i][j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice < rest) {
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN / 4; j++)
                    acc[i][j] += tiles[(i * (TN / 4) + j) * (KS / 2 * TILE) + slice * TILE + at];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (slice > 0) return;
#endif

#pragma unroll
    for (int i = 0; i < TM; i++) {
        const int m = m0 + (i / 4 * TY + ty) * 4 + i % 4;
        if (m < pixels) {
#pragma unroll
            for (int j = 0; j < TN / 4; j++) {
                const int n = n0 + (j * TX + tx) * 4;
#if PARTIAL
                *(__global float4 *)(part + part_off + (z * pixels + m) * NP + n) = acc[i][j];
#else
                FINISH(m, n, acc[i][j]);
#endif
            }
        }
    }
}
