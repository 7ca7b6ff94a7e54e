// Convolution over up to three spatial axes, any layout, groups, dilation: one work-item an output element, no tricks.
// x (N, CI, XD, XH, XW), w (CO, CI/GROUPS, KD, KH, KW) row-major, bias (CO), y (N, CO, YD, YH, YW); every size a macro.
// XS_* and YS_* are strides in elements. Global: y's elements in row-major order, rounded up.
// y = ACT(bias + sum over c, k of x[c, y·S + k·DL − P] · w[c, k])
// twin: onnx.reference.ReferenceEvaluator
#include "math.cl"

__kernel void conv_direct(__global const float* x, int x_off, __global const float* w, int w_off,
                          __global const float* bias, int bias_off, __global float* y, int y_off, const int size) {
  int i = get_global_id(0);
  if (i >= size) return;
  const int ox = i % YW; i /= YW;
  const int oy = i % YH; i /= YH;
  const int oz = i % YD; i /= YD;
  const int co = i % CO;
  const int n = i / CO;
  const int group = co / (CO / GROUPS);
  float sum = bias[bias_off + co];
  for (int c = 0; c < CIG; c++) {
    for (int kz = 0; kz < KD; kz++) {
      const int z = oz * SD + kz * DLD - PD;
      if (z < 0 || z >= XD) continue;
      for (int ky = 0; ky < KH; ky++) {
        const int yy = oy * SH + ky * DLH - PH;
        if (yy < 0 || yy >= XH) continue;
        for (int kx = 0; kx < KW; kx++) {
          const int xx = ox * SW + kx * DLW - PW;
          if (xx < 0 || xx >= XW) continue;
          sum = mad(x[x_off + n * XS_N + (group * CIG + c) * XS_C + z * XS_D + yy * XS_H + xx * XS_W],
                    w[w_off + (((co * CIG + c) * KD + kz) * KH + ky) * KW + kx], sum);
        }
      }
    }
  }
  const float v = sum;
  y[y_off + n * YS_N + co * YS_C + oz * YS_D + oy * YS_H + ox * YS_W] = ACT;
}

// Transposed convolution, gathered: each output element collects the inputs whose window covers it.
// w (CI, CO/GROUPS, KD, KH, KW) row-major; CIG is CI/GROUPS. S*, DL*, P* as ONNX names them.
__kernel void conv_transpose(__global const float* x, int x_off, __global const float* w, int w_off,
                             __global const float* bias, int bias_off, __global float* y, int y_off, const int size) {
  int i = get_global_id(0);
  if (i >= size) return;
  const int ox = i % YW; i /= YW;
  const int oy = i % YH; i /= YH;
  const int oz = i % YD; i /= YD;
  const int co = i % CO;
  const int n = i / CO;
  const int group = co / (CO / GROUPS), within = co % (CO / GROUPS);
  float sum = bias[bias_off + co];
  for (int kz = 0; kz < KD; kz++) {
    const int z = oz + PD - kz * DLD;
    if (z < 0 || z % SD || z / SD >= XD) continue;
    for (int ky = 0; ky < KH; ky++) {
      const int yy = oy + PH - ky * DLH;
      if (yy < 0 || yy % SH || yy / SH >= XH) continue;
      for (int kx = 0; kx < KW; kx++) {
        const int xx = ox + PW - kx * DLW;
        if (xx < 0 || xx % SW || xx / SW >= XW) continue;
        for (int c = 0; c < CIG; c++) {
          sum = mad(x[x_off + n * XS_N + (group * CIG + c) * XS_C + z / SD * XS_D + yy / SH * XS_H + xx / SW * XS_W],
                    w[w_off + ((((group * CIG + c) * (CO / GROUPS) + within) * KD + kz) * KH + ky) * KW + kx], sum);
        }
      }
    }
  }
  const float v = sum;
  y[y_off + n * YS_N + co * YS_C + oz * YS_D + oy * YS_H + ox * YS_W] = ACT;
}
