// x (n, c, [d,] h, w) read where grid (n, …, 2 or 3) says, any layouts; one work-item an element of y, in its memory
// order. GRID_AT: place of the pixel's first coordinate, GRID_STEP to the next; they run from -1 to 1 over the map:
// CORNERS 1: between the centres of the outermost pixels, else between their outer edges. DEEP 1: three spatial axes.
// MODE 0 nearest, 1 linear, 2 cubic (a = -0.75). PADDING 0 zeros, 1 border, 2 mirrored at the edges of the map.
// y = Σ over 2 or 4 taps an axis of weight · x. Global: size rounded up, local: any.
// twin: onnx.reference.ops.op_grid_sample.GridSample
#define LOW (CORNERS ? 0.0f : -0.5f)
#define HIGH(side) (CORNERS ? (side) - 1.0f : (side) - 0.5f)
#define SPAN(side) (CORNERS ? (side) - 1.0f : (float)(side))

// From -1 … 1 to a place in pixels.
static float in_pixels(const float v, const int side) {
  return CORNERS ? (v + 1.0f) / 2.0f * (side - 1) : ((v + 1.0f) * side - 1.0f) / 2.0f;
}

#if PADDING == 2
static float mirrored(const float v, const int side) {
  const float low = LOW, high = HIGH(side), span = SPAN(side);
  if (v >= low && v <= high) return v;
  if (span <= 0.0f) return low;
  const float beyond = v < low ? low - v : v - high;
  const int folds = (int)(beyond / span);
  const float rest = beyond - folds * span;
  return (v < low) == (folds % 2 == 0) ? low + rest : high - rest;
}
#endif

// What becomes of a sampling place outside the map, before the taps around it are chosen.
static float held(const float v, const int side) {
#if PADDING == 0
  return v;
#elif PADDING == 1
  return v < LOW || v > HIGH(side) ? clamp(v, 0.0f, side - 1.0f) : v;
#else
  return mirrored(v, side);
#endif
}

// Which pixel a tap reads, -1 for a zero.
static int tap(const int at, const int side) {
#if PADDING == 0
  return at >= 0 && at < side ? at : -1;
#elif PADDING == 1
  return clamp(at, 0, side - 1);
#else
  return clamp((int)mirrored((float)at, side), 0, side - 1);
#endif
}

// Places far outside, or NaN, must not overflow an int.
static int whole(const float v) { return (int)clamp(v, -1e9f, 1e9f); }

#define PLACE(k, side) held(in_pixels(grid[grid_off + (GRID_AT) + k * (GRID_STEP)], side), side)
#define TAPS (MODE == 0 ? 1 : MODE == 1 ? 2 : 4)

static void weights_of(const float fraction, float* weights) {
#if MODE == 0
  weights[0] = 1.0f;
#elif MODE == 1
  weights[0] = 1.0f - fraction;
  weights[1] = fraction;
#else
  const float a = -0.75f, far = fraction + 1.0f, near = 1.0f - fraction, end = 2.0f - fraction;
  weights[0] = ((a * far - 5.0f * a) * far + 8.0f * a) * far - 4.0f * a;
  weights[1] = ((a + 2.0f) * fraction - (a + 3.0f)) * fraction * fraction + 1.0f;
  weights[2] = ((a + 2.0f) * near - (a + 3.0f)) * near * near + 1.0f;
  weights[3] = ((a * end - 5.0f * a) * end + 8.0f * a) * end - 4.0f * a;
#endif
}

// Taps and weights along one axis: declares first_AXIS and weights_AXIS.
#define ALONG(AXIS, k) \
  const float at_##AXIS = MODE == 0 ? held(rint(in_pixels(grid[grid_off + (GRID_AT) + k * (GRID_STEP)], SIDE_##AXIS)), SIDE_##AXIS) : PLACE(k, SIDE_##AXIS); \
  const float base_##AXIS = MODE == 0 ? rint(at_##AXIS) : floor(at_##AXIS); \
  const int first_##AXIS = whole(base_##AXIS) - (MODE == 2); \
  float weights_##AXIS[TAPS]; \
  weights_of(at_##AXIS - base_##AXIS, weights_##AXIS);

__kernel void grid_sample(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  ALONG(W, 0)
  ALONG(H, 1)
#if DEEP
  ALONG(D, 2)
#endif
  float sum = 0.0f;
#if DEEP
  for (int d = 0; d < TAPS; d++) {
    const int depth = tap(first_D + d, SIDE_D);
    if (depth < 0) continue;
    const int plane = x_off + (X_PLANE) + depth * (STEP_D);
    const float weight = weights_D[d];
#else
  {
    const int plane = x_off + (X_PLANE);
    const float weight = 1.0f;
#endif
    for (int h = 0; h < TAPS; h++) {
      const int row = tap(first_H + h, SIDE_H);
      if (row < 0) continue;
      float line = 0.0f;
      for (int w = 0; w < TAPS; w++) {
        const int column = tap(first_W + w, SIDE_W);
        if (column >= 0) line = mad(weights_W[w], x[plane + row * (STEP_H) + column * (STEP_W)], line);
      }
      sum = mad(weight * weights_H[h], line, sum);
    }
  }
  y[y_off + (Y_AT)] = sum;
}
