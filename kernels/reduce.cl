// Reductions over some axes of x, any strides. The axes kept give one result each; DECODE turns g into their
// coordinates (X_KEPT, Y_AT), DECODE_R turns r into those of the axes reduced (X_RED), R of them.
// MAP(v) is applied to each element, FOLD(a, v) joins, INIT starts, DONE(a) finishes, with count R.
// reduce_wide: one work-group of GROUP items a result, tree in local memory. reduce_plain: one work-item a result.
// twin: onnx.reference.ReferenceEvaluator
#include "math.cl"

#ifndef GROUP
// Global: results rounded up to the group.
__kernel void reduce_plain(PARAMS, const int size) {
  const int g = get_global_id(0);
  if (g >= size) return;
  DECODE
  ACC total = INIT;
  for (int r = 0; r < R; r++) {
    DECODE_R
    const ACC v = (ACC)x[x_off + (X_KEPT) + (X_RED)];
    total = FOLD(total, MAP(v));
  }
  y[y_off + (Y_AT)] = DONE(total);
}

#else
// Global: results × GROUP, local: GROUP.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void reduce_wide(PARAMS, const int size) {
  __local ACC partial[GROUP];
  const int g = get_group_id(0), t = get_local_id(0);
  DECODE
  ACC total = INIT;
  for (int r = t; r < R; r += GROUP) {
    DECODE_R
    const ACC v = (ACC)x[x_off + (X_KEPT) + (X_RED)];
    total = FOLD(total, MAP(v));
  }
  partial[t] = total;
  for (int step = GROUP / 2; step > 0; step /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < step) partial[t] = FOLD(partial[t], partial[t + step]);
  }
  if (t == 0) y[y_off + (Y_AT)] = DONE(partial[0]);
}
#endif
