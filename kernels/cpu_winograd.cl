// 3x3 convolution of stride 1 on a CPU by Winograd's F(2x2, 3x3): 16 products instead of 36 for 2 x 2 outputs.
//
// cpu_winograd(x, w, b, v, m, [r,] y, tiles): each a buffer and an int offset; tiles: 2 x 2 tiles of y over the batch.
//   x, r, y: NHWC, pixels XS, RS, YS floats apart. w: [BLOCKS][16][CI][16*OB], U = G g G^T, zero beyond CO.
//   b: [BLOCKS][16*OB]. v: a slice of 16 * V_PLANE floats for each work-item, m: one of 16 * M_PLANE.
//   Also HI WI HO WO PH PW CI CO PX OB; STRIP: tiles transformed at once, a multiple of PX.
// V = B^T d B, M = sum over CI of V * U for each of the 16 positions, Y = A^T M A (Lavin and Gray 2015, section 4.1).
// A strip's V and M stay in the core's L2 cache: the work-items are few and each walks many strips with the same slice.
// Global size: walkers, as few as keep all cores busy. Local size 1.
// twin: edge.inference.opencl.ops.conv_twins.conv
#include "cpu_lanes.cl"
#include "cpu_math.cl"

#define LANES (16 * OB)
#define CI_PADDED ((CI + 15) / 16 * 16)
#define TILES_X ((WO + 1) / 2)
#define TILES_Y ((HO + 1) / 2)
#define V_PLANE (STRIP * CI_PADDED + 16) /* 16 more: planes a power of two apart would share cache sets */
#define M_PLANE (STRIP * LANES + 16)

#if RESIDUAL
#define R_ARGS __global const float *r, int r_off,
#define ADD_RESIDUAL(v, pixel, channel, lanes) v += load_lanes(r + (size_t)(pixel) * RS + (channel), lanes)
#else
#define R_ARGS
#define ADD_RESIDUAL(v, pixel, channel, lanes)
#endif

#define ROWS_TO_V(a, b, c, d, plane)                                  \
  vstore16((a) - (c), 0, to + (size_t)(plane) * V_PLANE);                 \
  vstore16((b) + (c), 0, to + (size_t)(plane + 1) * V_PLANE);             \
  vstore16((c) - (b), 0, to + (size_t)(plane + 2) * V_PLANE);             \
  vstore16((b) - (d), 0, to + (size_t)(plane + 3) * V_PLANE);

#define ANYWHERE(row, column) 1
#define IN_IMAGE(row, column) ((row) >= 0 && (row) < HI && (column) >= 0 && (column) < WI)
#define TRANSFORM(INSIDE, lanes)                                                                                \
  {                                                                                                             \
    float16 d[4][4];                                                                                            \
    _Pragma("unroll") for (int i = 0; i < 4; i++)                                                               \
      _Pragma("unroll") for (int j = 0; j < 4; j++)                                                             \
        d[i][j] = INSIDE(iy + i, ix + j) ? load_lanes(from + (i * WI + j) * XS + c, lanes) : (float16)(0.0f);   \
    __global float* to = v + c;                                                                                 \
    ROWS_TO_V(d[0][0] - d[2][0], d[0][1] - d[2][1], d[0][2] - d[2][2], d[0][3] - d[2][3], 0)                    \
    ROWS_TO_V(d[1][0] + d[2][0], d[1][1] + d[2][1], d[1][2] + d[2][2], d[1][3] + d[2][3], 4)                    \
    ROWS_TO_V(d[2][0] - d[1][0], d[2][1] - d[1][1], d[2][2] - d[1][2], d[2][3] - d[1][3], 8)                    \
    ROWS_TO_V(d[1][0] - d[3][0], d[1][1] - d[3][1], d[1][2] - d[3][2], d[1][3] - d[3][3], 12)                   \
  }

// V of one tile, all input channels.
inline void transform_tile(__global const float* x, __global float* v, int tile) {
  const int image = tile / (TILES_X * TILES_Y), ty = tile / TILES_X % TILES_Y, tx = tile % TILES_X;
  const int iy = 2 * ty - PH, ix = 2 * tx - PW;
  __global const float* from = x + (((long)image * HI + iy) * WI + ix) * XS;
  if (iy >= 0 && iy + 4 <= HI && ix >= 0 && ix + 4 <= WI) {
    for (int c = 0; c + 16 <= CI; c += 16) TRANSFORM(ANYWHERE, 16)
  } else {
    for (int c = 0; c + 16 <= CI; c += 16) TRANSFORM(IN_IMAGE, 16)
  }
#if CI % 16
  const int c = CI / 16 * 16;
  TRANSFORM(IN_IMAGE, CI % 16)
#endif
}

// M of PX tiles and one block of channels at one position.
inline void multiply(__global const float* v, __global const float* w, __global float* m) {
  float16 sum[PX][OB];
#pragma unroll
  for (int i = 0; i < PX; i++)
#pragma unroll
    for (int j = 0; j < OB; j++) sum[i][j] = (float16)(0.0f);
#pragma unroll 4
  for (int c = 0; c < CI; c++) {
    float16 weight[OB];
#pragma unroll
    for (int j = 0; j < OB; j++) weight[j] = vload16(c * OB + j, w);
#pragma unroll
    for (int i = 0; i < PX; i++) {
      const float16 a = (float16)(v[i * CI_PADDED + c]);
#pragma unroll
      for (int j = 0; j < OB; j++) sum[i][j] = fma(a, weight[j], sum[i][j]);
    }
  }
#pragma unroll
  for (int i = 0; i < PX; i++)
#pragma unroll
    for (int j = 0; j < OB; j++) vstore16(sum[i][j], i * OB + j, m);
}

#define FINISH(value, row, column, lanes)                                            \
  if (oy + row < HO && ox + column < WO) {                                           \
    const size_t pixel = ((size_t)image * HO + oy + row) * WO + ox + column;         \
    float16 done = (value) + bias;                                                   \
    done = ACT(done);                                                                \
    ADD_RESIDUAL(done, pixel, channel, lanes);                                       \
    done = POST(done);                                                               \
    store_lanes(done, y + pixel * YS + channel, lanes);                              \
  }

#define INVERT(lanes)                                                                             \
  {                                                                                               \
    float16 top[4], low[4];                                                                       \
    _Pragma("unroll") for (int j = 0; j < 4; j++) {                                               \
      const float16 m0 = vload16(0, m + (size_t)j * M_PLANE), m1 = vload16(0, m + (size_t)(4 + j) * M_PLANE), \
                    m2 = vload16(0, m + (size_t)(8 + j) * M_PLANE), m3 = vload16(0, m + (size_t)(12 + j) * M_PLANE); \
      top[j] = m0 + m1 + m2;                                                                      \
      low[j] = m1 - m2 - m3;                                                                      \
    }                                                                                             \
    FINISH(top[0] + top[1] + top[2], 0, 0, lanes)                                                 \
    FINISH(top[1] - top[2] - top[3], 0, 1, lanes)                                                 \
    FINISH(low[0] + low[1] + low[2], 1, 0, lanes)                                                 \
    FINISH(low[1] - low[2] - low[3], 1, 1, lanes)                                                 \
  }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void cpu_winograd(
    __global const float* x, int x_off, __global const float* w, int w_off, __global const float* b, int b_off,
    __global float* v, int v_off, __global float* m, int m_off, R_ARGS __global float* y, int y_off, int tiles) {
  const int walkers = get_global_size(0);
  const size_t slice = get_global_id(0);
  x += x_off;
  y += y_off;
  v += v_off + slice * 16 * V_PLANE;
  m += m_off + slice * 16 * M_PLANE;
#if RESIDUAL
  r += r_off;
#endif
  for (int start = get_global_id(0) * STRIP; start < tiles; start += walkers * STRIP) {
    const int count = min(STRIP, tiles - start);
    for (int t = 0; t < count; t++) transform_tile(x, v + t * CI_PADDED, start + t);
    for (int block = 0; block < BLOCKS; block++) {
      // rounded up to PX: V beyond `count` is an older strip's or garbage, and so is that part of M: nobody reads it
      for (int plane = 0; plane < 16; plane++)
        for (int t = 0; t < count; t += PX)
          multiply(v + plane * V_PLANE + t * CI_PADDED, w + w_off + ((size_t)block * 16 + plane) * CI * LANES,
                   m + plane * M_PLANE + t * LANES);
      for (int t = 0; t < count; t++) {
        const int tile = start + t;
        const int image = tile / (TILES_X * TILES_Y), oy = 2 * (tile / TILES_X % TILES_Y), ox = 2 * (tile % TILES_X);
        for (int j = 0; j < OB; j++) {
          const int channel = block * LANES + 16 * j;
          const float16 bias = vload16(0, b + b_off + channel);
          __global const float* of_tile = m + t * LANES + 16 * j;
#define m of_tile
          if (channel + 16 <= CO) INVERT(16)
          else if (channel < CO) INVERT(CO % 16)
#undef m
        }
      }
    }
  }
}
