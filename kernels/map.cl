// One value per element of y from the elements of x0, x1, … at the same place: any layouts, any broadcasting.
// PARAMS: pointers and offsets of x0 … xn and y. DECODE: from i to coordinates. LOADS: v0 = x0[…] …; BODY: statements.
// y[Y_AT] = RESULT for each of size elements. Global: size rounded up, local: any, one dimension; with ROW two: k along
// the fastest axis, of ROW elements, and i over the others.
// twin: onnx.reference.ReferenceEvaluator
#include "math.cl"
#ifdef ON_CPU
#include "cpu_math.cl"
#endif

__kernel void map(PARAMS, const int size) {
#ifdef ROW
  const int i = get_global_id(1), k = get_global_id(0);
#else
  const int i = get_global_id(0);
#endif
  if (i >= size) return;
  DECODE
  LOADS
  BODY
  y[y_off + (Y_AT)] = RESULT;
}
