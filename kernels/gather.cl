// Elements of x at places that an index tensor names. One work-item an element of y, in its memory order; any layouts.
// X_STILL: place in x along the axes that are not looked up. PICKS: PICK for each axis that is, with the place of its
// index, the axis' side and stride; negative indices count from the end, those beyond are held at the last element.
// REVERSE: along time, backwards within the first `index` elements. Global: size rounded up, local: any.
// twin: numpy.take, numpy.take_along_axis
#define PICK(where, side, stride) { \
    const long k = index[index_off + where]; \
    at += (int)clamp(k < 0 ? k + (side) : k, 0L, (long)(side) - 1) * (stride); \
  }
#define REVERSE(where, time, stride) { \
    const int length = (int)index[index_off + where]; \
    at += (time < length ? length - 1 - time : time) * (stride); \
  }

__kernel void gather(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  int at = x_off + (X_STILL);
  PICKS
  y[y_off + (Y_AT)] = x[at];
}
