// A total order of elements as whole numbers: for floats the bits, turned so that they compare like the numbers; zeros of
// both signs are equal, NaN lies beyond infinity. BETTER is < or >; of equal elements the earlier one is before.
#if FLOAT
static int key_of(const float v) {
  const int bits = as_int(v);
  return bits < 0 ? (bits == INT_MIN ? 0 : bits ^ INT_MAX) : bits;
}
#else
#define key_of(v) (v)
#endif
#define BEFORE(key_a, a, key_b, b) ((key_a) BETTER (key_b) || ((key_a) == (key_b) && (a) < (b)))
