// Pooling of pictures whose channels lie side by side: one work-item VEC channels of one output pixel.
// x, y: buffer and int offset; a pixel's channels XS, YS floats from the next one's. C channels, a multiple of VEC.
// Sizes as in conv_direct.cl. POOL 0: maximum, 1: average; COUNT_PAD 1: padding counts, of the window clipped to PE*.
// Global: C / VEC, YW, rows of y over the whole batch. y[c] = max or mean of x[c] under the window
// twin: onnx.reference.ReferenceEvaluator
#define JOIN(a, b) a##b
#define NAMED(a, b) JOIN(a, b)
#if VEC == 1
#define FLOATS float
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
#define FLOATS NAMED(float, VEC)
#define LOAD(p) NAMED(vload, VEC)(0, p)
#define STORE(v, p) NAMED(vstore, VEC)(v, 0, p)
#endif

__kernel void pool_pixels(__global const float* x, int x_off, __global float* y, int y_off) {
  const int c = get_global_id(0) * VEC, ox = get_global_id(1), row = get_global_id(2);
  const int n = row / YH, oy = row % YH;
  const int top = oy * SH - PH, left = ox * SW - PW;
  __global const float* p = x + x_off + n * XH * XW * XS + c;
  FLOATS best = (FLOATS)(POOL == 0 ? -INFINITY : 0.0f);
  int count = 0;
  for (int ky = 0; ky < KH; ky++) {
    const int iy = top + ky * DLH;
    for (int kx = 0; kx < KW; kx++) {
      const int ix = left + kx * DLW;
      if (COUNT_PAD && iy < XH + PEH && ix < XW + PEW) count++;
      if (iy < 0 || iy >= XH || ix < 0 || ix >= XW) continue;
      const FLOATS v = LOAD(p + (iy * XW + ix) * XS);
      best = POOL == 0 ? fmax(best, v) : best + v;
      if (!COUNT_PAD) count++;
    }
  }
  if (POOL == 1) best = best / (float)max(count, 1);
  STORE(best, y + y_off + (row * YW + ox) * YS + c);
}
