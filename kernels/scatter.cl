// Updates into y at places that an index tensor names. One work-item a lane of updates that no other lane meets; it
// applies its SERIAL updates in order: y = FOLD(y, update). DECODE: from i to the lane's coordinates, DECODE_U from u to
// those along it. Y_STILL: place in y of what is not looked up, PICKS as in gather.cl.
// Global: number of lanes rounded up, local: any.
// twin: numpy.put_along_axis, numpy.add.at
#define PICK(where, side, stride) { \
    const long k = index[index_off + where]; \
    at += (int)clamp(k < 0 ? k + (side) : k, 0L, (long)(side) - 1) * (stride); \
  }

__kernel void scatter(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  for (int u = 0; u < SERIAL; u++) {
    DECODE_U
    int at = y_off + (Y_STILL);
    PICKS
    const TYPE value = updates[updates_off + (UPDATE_AT)];
    y[at] = FOLD(y[at], value);
  }
}
