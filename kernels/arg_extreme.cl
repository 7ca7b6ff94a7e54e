// Where each row has its largest (BETTER >) or smallest (BETTER <) element: the first such place, with LAST 1 the last.
// A row has COUNT elements X_STEP apart; DECODE turns its number g into places (X_ROW, Y_ROW). y: long.
// One work-group of GROUP work-items a row: each looks at every GROUP-th element, then a tree in local memory.
// twin: numpy.argmax, numpy.argmin
#include "order_key.cl"
#if LAST
#define WINS(key_a, a, key_b, b) ((key_a) BETTER (key_b) || ((key_a) == (key_b) && (a) > (b)))
#else
#define WINS BEFORE
#endif

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void arg_extreme(PARAMS) {
  const int g = get_group_id(0), t = get_local_id(0);
  DECODE
  const int first = min(t, COUNT - 1);
  KEY_TYPE best = key_of(x[x_off + (X_ROW) + first * (X_STEP)]);
  int where = first;
  for (int k = t + GROUP; k < COUNT; k += GROUP) {
    const KEY_TYPE key = key_of(x[x_off + (X_ROW) + k * (X_STEP)]);
    if (WINS(key, k, best, where)) {
      best = key;
      where = k;
    }
  }
#if GROUP > 1
  __local KEY_TYPE keys[GROUP];
  __local int places[GROUP];
  keys[t] = best;
  places[t] = where;
  for (int apart = GROUP / 2; apart > 0; apart /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < apart && WINS(keys[t + apart], places[t + apart], keys[t], places[t])) {
      keys[t] = keys[t + apart];
      places[t] = places[t + apart];
    }
  }
  where = places[0];
#endif
  if (t == 0) y[y_off + (Y_ROW)] = where;
}
