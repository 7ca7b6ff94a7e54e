// Softmax, LogSoftmax and normalisations: statistics over some axes of x, then every element again. Macros as in
// reduce.cl; GROUP work-items share a row (1 on a CPU). y lies at Y_KEPT + Y_RED.
// Entry softmax: y = exp(x − max) / Σ exp(x − max), LOG 1: its logarithm. Entry normalise (NORM): y = (x − mean) / sqrt(var + EPS), then AFFINE.
// twin: onnx.reference.ReferenceEvaluator
#include "math.cl"

#if GROUP > 1
#define SHARE(a, OP) \
  partial[t] = a; \
  for (int step = GROUP / 2; step > 0; step /= 2) { \
    barrier(CLK_LOCAL_MEM_FENCE); \
    if (t < step) partial[t] = OP(partial[t], partial[t + step]); \
  } \
  barrier(CLK_LOCAL_MEM_FENCE); \
  a = partial[0]; \
  barrier(CLK_LOCAL_MEM_FENCE);
#else
#define SHARE(a, OP)
#endif
#define PLUS(a, b) ((a) + (b))
#define EACH for (int r = t; r < R; r += GROUP) { DECODE_R
#define X x[x_off + (X_KEPT) + (X_RED)]
#define Y y[y_off + (Y_KEPT) + (Y_RED)]

#ifndef NORM
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void softmax(PARAMS) {
#if GROUP > 1
  __local float partial[GROUP];
#endif
  const int g = get_group_id(0), t = get_local_id(0);
  DECODE
  float top = -INFINITY;
  EACH top = fmax(top, X); }
  SHARE(top, fmax)
  float sum = 0.0f;
  EACH sum += exp(X - top); }
  SHARE(sum, PLUS)
#if LOG
  const float shift = top + log(sum);
  EACH Y = X - shift; }
#else
  const float scale = 1.0f / sum;
  EACH Y = exp(X - top) * scale; }
#endif
}
#else
// RMS 1: divided by the root mean square, nothing subtracted. AFFINE: expression in v, with scale and shift at hand,
// which lie at SCALE_AT and SHIFT_AT. STATISTICS: mean and inverse deviation go to y1 and y2, at S_AT.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void normalise(PARAMS) {
#if GROUP > 1
  __local float partial[GROUP];
#endif
  const int g = get_group_id(0), t = get_local_id(0);
  DECODE
  float mean = 0.0f;
#if !RMS
  EACH mean += X; }
  SHARE(mean, PLUS)
  mean /= R;
#endif
  float variance = 0.0f;
  EACH const float d = X - mean; variance = mad(d, d, variance); }
  SHARE(variance, PLUS)
  const float inverse = 1.0f / sqrt(variance / R + EPS);
  EACH const float v = (X - mean) * inverse; Y = AFFINE; }
#ifdef STATISTICS
  if (t == 0) {
    y1[y1_off + (S_AT)] = mean;
    y2[y2_off + (S_AT)] = inverse;
  }
#endif
}
#endif
