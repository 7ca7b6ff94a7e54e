// Local response normalisation over channels: y = x / (BIAS + SCALE · Σ x²)^BETA, the sum over BEFORE channels before and
// BEHIND behind. One work-item an element of y, in its memory order; c1 is the channel. Global: size rounded up, local: any.
// twin: onnx.reference.ops.op_lrn.LRN
__kernel void lrn(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  const int at = x_off + (X_STILL);
  float sum = 0.0f;
  for (int c = max(c1 - BEFORE, 0); c <= min(c1 + BEHIND, CHANNELS - 1); c++) {
    const float v = x[at + c * (CHANNEL_STEP)];
    sum = mad(v, v, sum);
  }
  y[y_off + (Y_AT)] = x[at + c1 * (CHANNEL_STEP)] / pow(BIAS + SCALE * sum, BETA);
}
