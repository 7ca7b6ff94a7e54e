// Padding: y has the axes of x, longer or shorter. One work-item an element of y, in its memory order; any layouts, any
// element type TYPE. PLACES: for each padded axis PLACE(p, place counted from x's first, side of x).
// MODE 0: VALUE outside; 1: the nearest element; 2: mirrored at the first and last element; 3: from the other end.
// Global: size rounded up, local: any.
// twin: numpy.pad
#if MODE == 0
#define PLACE(p, at, side) const int p = at; inside = inside && p >= 0 && p < side;
#elif MODE == 1
#define PLACE(p, at, side) const int p = clamp(at, 0, side - 1);
#elif MODE == 2
#define PERIOD(side) (side > 1 ? 2 * (side) - 2 : 1)
#define WITHIN(at, period) ((at) % (period) + ((at) % (period) < 0 ? (period) : 0))
#define PLACE(p, at, side) const int p##_m = WITHIN(at, PERIOD(side)); const int p = p##_m < side ? p##_m : PERIOD(side) - p##_m;
#else
#define PLACE(p, at, side) const int p = ((at) % (side) + (side)) % (side);
#endif

__kernel void pad(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  bool inside = true;
  PLACES
  y[y_off + (Y_AT)] = inside ? x[x_off + (X_AT)] : (TYPE)VALUE;
}
