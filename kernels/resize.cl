// Resize along up to three axes A, B, C; the others stand still (X_STILL). One work-item an element of y, in its memory
// order. placeA: int (side of y, TAPS_A), places along x's axis; weightA: float, as many; C_A: y's coordinate there.
// NEAREST 1 copies the one tap of any element type; else y = Σa Σb Σc wa·wb·wc · x.
// OUTSIDE: the value where a first place is -1. WHOLE: y is no float. Global: size rounded up, local: any.
// twin: edge.inference.opencl.ops.resize_tables.taps_of
#if AXES > 0
#define PLACE_A(t) placeA[placeA_off + C_A * TAPS_A + t]
#define WEIGHT_A(t) weightA[weightA_off + C_A * TAPS_A + t]
#else
#define PLACE_A(t) 0
#define WEIGHT_A(t) 1.0f
#define TAPS_A 1
#define STRIDE_A 0
#endif
#if AXES > 1
#define PLACE_B(t) placeB[placeB_off + C_B * TAPS_B + t]
#define WEIGHT_B(t) weightB[weightB_off + C_B * TAPS_B + t]
#else
#define PLACE_B(t) 0
#define WEIGHT_B(t) 1.0f
#define TAPS_B 1
#define STRIDE_B 0
#endif
#if AXES > 2
#define PLACE_C(t) placeC[placeC_off + C_C * TAPS_C + t]
#define WEIGHT_C(t) weightC[weightC_off + C_C * TAPS_C + t]
#else
#define PLACE_C(t) 0
#define WEIGHT_C(t) 1.0f
#define TAPS_C 1
#define STRIDE_C 0
#endif

__kernel void resize(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
#ifdef OUTSIDE
  if (PLACE_A(0) < 0 || PLACE_B(0) < 0 || PLACE_C(0) < 0) {
    y[y_off + (Y_AT)] = (Y_TYPE)OUTSIDE;
    return;
  }
#endif
  const int still = x_off + (X_STILL);
#if NEAREST
  y[y_off + (Y_AT)] = x[still + PLACE_A(0) * (STRIDE_A) + PLACE_B(0) * (STRIDE_B) + PLACE_C(0) * (STRIDE_C)];
#else
  float sum = 0.0f;
  for (int a = 0; a < TAPS_A; a++) {
    const int at_a = still + PLACE_A(a) * (STRIDE_A);
    for (int b = 0; b < TAPS_B; b++) {
      const int at_b = at_a + PLACE_B(b) * (STRIDE_B);
      const float weight = WEIGHT_A(a) * WEIGHT_B(b);
      for (int c = 0; c < TAPS_C; c++) sum = mad(weight * WEIGHT_C(c), (float)x[at_b + PLACE_C(c) * (STRIDE_C)], sum);
    }
  }
#if WHOLE
  y[y_off + (Y_AT)] = (Y_TYPE)sum;
#else
  y[y_off + (Y_AT)] = sum;
#endif
#endif
}
