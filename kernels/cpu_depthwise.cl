// Depthwise 2-D convolution over NHWC memory on a CPU: one work-item owns TX x TY output pixels of one image, all channels.
//
// cpu_depthwise(x, w, b, [r,] y): each a buffer and an int offset; pixels XS, RS, YS floats apart, C channels.
//   w: [ceil(C/16)][KH][KW][16], b: [ceil(C/16)][16], zero beyond C. Also HI WI HO WO KH KW SH SW PH PW.
// y[c] = POST(ACT(sum_taps x[tap, c] * w[tap, c] + b[c]) + r[c]): 16 channels a vector. Each input vector is loaded once and
// multiplied into every output of the tile that it touches, so a 3x3 tile of 4 x 2 takes 24 loads for its 72 products.
// Global size: ceil(WO / TX), ceil(HO / TY), batch. Local size 1, 1, 1.
// twin: edge.inference.opencl.ops.conv_twins.depthwise
#include "cpu_lanes.cl"
#include "cpu_math.cl"

#define TILE_ROWS ((TY - 1) * SH + KH)
#define TILE_COLUMNS ((TX - 1) * SW + KW)
#define LAST_LANES (C % 16)

#if RESIDUAL
#define R_ARGS __global const float *r, int r_off,
#define ADD_RESIDUAL(v, pixel, lanes) v += load_lanes(r + (size_t)(pixel) * RS + channel, lanes)
#else
#define R_ARGS
#define ADD_RESIDUAL(v, pixel, lanes)
#endif

#define ANYWHERE(row, column) 1
#define IN_IMAGE(row, column) ((row) >= 0 && (row) < HI && (column) >= 0 && (column) < WI)

// One vector of channels over the tile. Outputs before (new_y, new_x) belong to the tile above or on the left.
#define TILE(INSIDE, lanes)                                                                                          \
  {                                                                                                                  \
    float16 tap[KH * KW], sum[TY][TX];                                                                               \
    _Pragma("unroll") for (int k = 0; k < KH * KW; k++) tap[k] = vload16(k, w + channel * KH * KW);                  \
    _Pragma("unroll") for (int i = 0; i < TY; i++)                                                                   \
      _Pragma("unroll") for (int j = 0; j < TX; j++) sum[i][j] = vload16(0, b + channel);                            \
    _Pragma("unroll") for (int p = 0; p < TILE_ROWS; p++)                                                            \
      _Pragma("unroll") for (int q = 0; q < TILE_COLUMNS; q++) {                                                     \
        if (!INSIDE(iy + p, ix + q)) continue;                                                                       \
        const float16 v = load_lanes(x + ((long)(iy + p) * WI + ix + q) * XS + channel, lanes);                      \
        _Pragma("unroll") for (int i = 0; i < TY; i++)                                                               \
          _Pragma("unroll") for (int j = 0; j < TX; j++) {                                                           \
            const int ky = p - i * SH, kx = q - j * SW;                                                              \
            if (ky >= 0 && ky < KH && kx >= 0 && kx < KW) sum[i][j] = fma(v, tap[ky * KW + kx], sum[i][j]);          \
          }                                                                                                          \
      }                                                                                                              \
    _Pragma("unroll") for (int i = 0; i < TY; i++)                                                                   \
      _Pragma("unroll") for (int j = 0; j < TX; j++) if (i >= new_y && j >= new_x) {                                 \
        const int pixel = (image * HO + oy + i) * WO + ox + j;                                                       \
        float16 v = sum[i][j];                                                                                       \
        v = ACT(v);                                                                                                  \
        ADD_RESIDUAL(v, pixel, lanes);                                                                               \
        v = POST(v);                                                                                                 \
        store_lanes(v, y + (size_t)pixel * YS + channel, lanes);                                                     \
      }                                                                                                              \
  }

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void cpu_depthwise(
    __global const float* x, int x_off, __global const float* w, int w_off, __global const float* b, int b_off,
    R_ARGS __global float* y, int y_off) {
  const int start_x = get_global_id(0) * TX, start_y = get_global_id(1) * TY, image = get_global_id(2);
  const int ox = min(start_x, WO - TX), oy = min(start_y, HO - TY);
  const int new_x = start_x - ox, new_y = start_y - oy;
  const int ix = ox * SW - PW, iy = oy * SH - PH;
  x += x_off + (size_t)image * HI * WI * XS;
  w += w_off;
  b += b_off;
  y += y_off;
#if RESIDUAL
  r += r_off;
#endif
  if (ix >= 0 && iy >= 0 && ix + TILE_COLUMNS <= WI && iy + TILE_ROWS <= HI) {
    for (int channel = 0; channel + 16 <= C; channel += 16) TILE(ANYWHERE, 16)
  } else {
    for (int channel = 0; channel + 16 <= C; channel += 16) TILE(IN_IMAGE, 16)
  }
#if LAST_LANES
  const int channel = C - LAST_LANES;
  TILE(IN_IMAGE, LAST_LANES)
#endif
}
