// Dense or grouped 2-D convolution on a CPU: one work-item owns a tile of PX pixels x 16*OB output channels.
//
// cpu_conv(x, w, b, z, [r,] y)          any kernel size, stride, dilation, groups; a tile lies within one row of y.
// cpu_pointwise(x, w, b, [r,] y, pixels) 1x1, stride 1: a tile is PX of all pixels of the batch; pixels >= PX.
//   Each of x w b z r y is a buffer and an int offset. x, r, y: pixels XS, RS, YS floats apart; PLANAR: x is NCHW.
//   w: [GROUPS * BLOCKS][KH][KW][CI][16*OB], zero beyond CO; b: [GROUPS * BLOCKS][16*OB]; z: CI zeros.
// CI, CO: channels of one group. BLOCKS = ceil(CO / (16*OB)). Also HI WI HO WO KH KW SH SW DH DW PH PW.
// y = POST(ACT(sum_k x[k] * w[k] + bias) + r): each x[k] is broadcast against OB vectors of weights, all sums in registers.
// Global size: tiles, rows (batch * HO, or 1), GROUPS * BLOCKS; CHANNELS_FIRST: blocks, tiles, rows. Local size 1, 1, 1:
// a tile is thousands of multiplications, and PoCL hands out groups in contiguous runs.
// twin: edge.inference.opencl.ops.conv_twins.conv
#include "cpu_lanes.cl"
#include "cpu_math.cl"

#define LANES (16 * OB)
#define LAST_LANES (CO - (CO - 1) / 16 * 16)

#if CHANNELS_FIRST
#define TILE_ID get_global_id(1)
#define ROW_ID get_global_id(2)
#define BLOCK_ID get_global_id(0)
#else
#define TILE_ID get_global_id(0)
#define ROW_ID get_global_id(1)
#define BLOCK_ID get_global_id(2)
#endif

#if PLANAR
#define X_PIXEL 1
#define X_CHANNEL ((size_t)HI * WI)
#else
#define X_PIXEL XS
#define X_CHANNEL 1
#endif

#if RESIDUAL
#define R_ARGS __global const float *r, int r_off,
#else
#define R_ARGS
#endif

// The same products for PX pixels, whose x[k] is X_AT(i): pixel i, channel c.
#define MULTIPLY_CHANNELS(X_AT)                                                            \
  _Pragma("unroll UNROLL") for (int c = 0; c < CI; c++) {                                  \
    float16 weight[OB];                                                                    \
    _Pragma("unroll") for (int j = 0; j < OB; j++) weight[j] = vload16(j, w);              \
    w += LANES;                                                                            \
    _Pragma("unroll") for (int i = 0; i < PX; i++) {                                       \
      const float16 a = (float16)(X_AT(i));                                                \
      _Pragma("unroll") for (int j = 0; j < OB; j++) sum[i][j] = fma(a, weight[j], sum[i][j]); \
    }                                                                                      \
  }
#define SIDE_BY_SIDE(i) row[i * SW * X_PIXEL + c * X_CHANNEL]
#if PLANAR
#define BY_POINTER(i) (inside[i] ? at[i][c * X_CHANNEL] : 0.0f)
#else
#define BY_POINTER(i) at[i][c]
#endif

#define LOAD_BIAS()                                            \
  float16 sum[PX][OB];                                         \
  b += b_off + block * LANES;                                  \
  _Pragma("unroll") for (int i = 0; i < PX; i++)               \
    _Pragma("unroll") for (int j = 0; j < OB; j++) sum[i][j] = vload16(j, b);

#if RESIDUAL
#define ADD_RESIDUAL(v, pixel, channel, lanes) v += load_lanes(r + (size_t)(pixel) * RS + (channel), lanes)
#else
#define ADD_RESIDUAL(v, pixel, channel, lanes)
#endif

#define FINISH(v, pixel, channel, lanes)                         \
  {                                                              \
    float16 done = (v);                                          \
    done = ACT(done);                                            \
    ADD_RESIDUAL(done, pixel, channel, lanes);                   \
    done = POST(done);                                           \
    store_lanes(done, y + (size_t)(pixel) * YS + (channel), lanes); \
  }

// Pixels before `first` belong to the tile on the left, which overlaps the last tile of a row.
#define STORE_TILE(pixel0, first)                                                                              \
  {                                                                                                            \
    const int channel0 = block / BLOCKS * CO, lane0 = block % BLOCKS * LANES;                                  \
    if (CO % LANES == 0 || lane0 + LANES <= CO) {                                                              \
      _Pragma("unroll") for (int i = 0; i < PX; i++) if (i >= first)                                           \
        _Pragma("unroll") for (int j = 0; j < OB; j++)                                                         \
          FINISH(sum[i][j], pixel0 + i, channel0 + lane0 + 16 * j, 16)                                         \
    } else {                                                                                                   \
      _Pragma("unroll") for (int i = 0; i < PX; i++) if (i >= first)                                           \
        _Pragma("unroll") for (int j = 0; j < OB; j++) {                                                       \
          const int lane = lane0 + 16 * j;                                                                     \
          if (lane + 16 <= CO) FINISH(sum[i][j], pixel0 + i, channel0 + lane, 16)                              \
          else if (lane < CO) FINISH(sum[i][j], pixel0 + i, channel0 + lane, LAST_LANES)                       \
        }                                                                                                      \
    }                                                                                                          \
  }

#if POINTWISE
#define SW 1
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void cpu_pointwise(
    __global const float* x, int x_off, __global const float* w, int w_off, __global const float* b, int b_off,
    R_ARGS __global float* y, int y_off, int pixels) {
  const int block = BLOCK_ID, start = TILE_ID * PX, pixel0 = min(start, pixels - PX);
  LOAD_BIAS()
  w += w_off + (size_t)block * CI * LANES;
  __global const float* row = x + x_off + (size_t)pixel0 * XS + block / BLOCKS * CI;
  MULTIPLY_CHANNELS(SIDE_BY_SIDE)
  y += y_off;
#if RESIDUAL
  r += r_off;
#endif
  STORE_TILE(pixel0, start - pixel0)
}
#else
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void cpu_conv(
    __global const float* x, int x_off, __global const float* w, int w_off, __global const float* b, int b_off,
    __global const float* z, int z_off, R_ARGS __global float* y, int y_off) {
  const int block = BLOCK_ID, start = TILE_ID * PX, x0 = min(start, WO - PX);
  const int image = ROW_ID / HO, oy = ROW_ID % HO;
  LOAD_BIAS()
  w += w_off + (size_t)block * KH * KW * CI * LANES;
#if PLANAR
  x += x_off + ((size_t)image * GROUPS * CI + block / BLOCKS * CI) * X_CHANNEL;
#else
  x += x_off + (size_t)image * HI * WI * XS + block / BLOCKS * CI;
#endif
  for (int ky = 0; ky < KH; ky++) {
    const int iy = oy * SH + ky * DH - PH;
    if (iy < 0 || iy >= HI) {
      w += KW * CI * LANES;
      continue;
    }
    for (int kx = 0; kx < KW; kx++) {
      const int ix = x0 * SW + kx * DW - PW;
      __global const float* row = x + ((size_t)iy * WI + ix) * X_PIXEL;
      if (ix >= 0 && ix + (PX - 1) * SW < WI) {
        MULTIPLY_CHANNELS(SIDE_BY_SIDE)
      } else {
        __global const float* at[PX];
        int inside[PX];
#pragma unroll
        for (int i = 0; i < PX; i++) {
          inside[i] = ix + i * SW >= 0 && ix + i * SW < WI;
          at[i] = inside[i] ? row + i * SW * X_PIXEL : z + z_off;
        }
        MULTIPLY_CHANNELS(BY_POINTER)
      }
    }
  }
  y += y_off;
#if RESIDUAL
  r += r_off;
#endif
  STORE_TILE(ROW_ID * WO + x0, start - x0)
}
#endif
