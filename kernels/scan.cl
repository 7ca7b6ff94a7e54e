// Running totals along one axis of COUNT elements, X_STEP and Y_STEP apart; one work-item a lane. DECODE: from i to the
// lane's place (X_LANE, Y_LANE). FOLD(a, b) joins, INIT starts; REVERSE 1 runs from the end, EXCLUSIVE 1 writes before
// it joins. Global: number of lanes rounded up, local: any.
// twin: numpy.cumsum, numpy.cumprod
__kernel void scan(PARAMS, const int size) {
  const int i = get_global_id(0);
  if (i >= size) return;
  DECODE
  TYPE total = INIT;
  for (int k = 0; k < COUNT; k++) {
    const int at = REVERSE ? COUNT - 1 - k : k;
    const TYPE v = x[x_off + (X_LANE) + at * (X_STEP)];
    const TYPE next = FOLD(total, v);
    y[y_off + (Y_LANE) + at * (Y_STEP)] = EXCLUSIVE ? total : next;
    total = next;
  }
}
