// One value per element of y from the elements of x0, x1, … at the same place: any layouts, any broadcasting.
// PARAMS: pointers and offsets of x0 … xn and y. DECODE: from i to coordinates. LOADS: v0 = x0[…] …; BODY: statements.
// y[Y_AT] = RESULT for each of size elements. Global: size rounded up, local: any, one dimension.
// twin: onnx.reference.ReferenceEvaluator
#include "math.cl"

__kernel void map(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  LOADS
  BODY
  y[y_off + (Y_AT)] = RESULT;
}
