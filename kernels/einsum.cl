// A sum of products over labelled axes: one work-item an element of y. DECODE: from i to the labels of the result,
// DECODE_S from s to those that are summed, SUMMED of them; PRODUCT: the operands' elements multiplied; any layouts.
// Global: size rounded up, local: any.
// twin: numpy.einsum
__kernel void einsum(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  TYPE sum = 0;
  for (int s = 0; s < SUMMED; s++) {
    DECODE_S
    sum += PRODUCT;
  }
  y[y_off + (Y_AT)] = sum;
}
