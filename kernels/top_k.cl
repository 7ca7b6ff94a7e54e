// The K elements of each row that come first, in order: y values and y_index places. A row has COUNT elements X_STEP
// apart; DECODE turns the row's number g into places (X_ROW, Y_ROW, I_ROW).
// top_k_rank: global (COUNT rounded up to GROUP, rows), local (GROUP, 1): an element's rank is how many are before it.
// top_k_heap: global (rows), one work-item a row: heap, int (rows, K), holds the K best, the worst on top; then sorted.
// twin: numpy.argsort(kind="stable")
#include "order_key.cl"
#define X_AT(k) x[x_off + (X_ROW) + (k) * (X_STEP)]
#define PUT(rank, at) { \
    y[y_off + (Y_ROW) + (rank) * (Y_STEP)] = X_AT(at); \
    y_index[y_index_off + (I_ROW) + (rank) * (I_STEP)] = at; \
  }

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void top_k_rank(PARAMS) {
  __local KEY_TYPE others[GROUP];
  const int j = get_global_id(0), t = get_local_id(0), g = get_global_id(1);
  DECODE
  const KEY_TYPE own = j < COUNT ? key_of(X_AT(j)) : 0;
  int rank = 0;
  for (int first = 0; first < COUNT; first += GROUP) {
    if (first + t < COUNT) others[t] = key_of(X_AT(first + t));
    barrier(CLK_LOCAL_MEM_FENCE);
    const int count = min(GROUP, COUNT - first);
    for (int k = 0; k < count; k++) rank += BEFORE(others[k], first + k, own, j);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (j < COUNT && rank < K) PUT(rank, j)
}

// Whether the element at place a comes after the one at place b.
#define WORSE(a, b) BEFORE(key_of(X_AT(b)), b, key_of(X_AT(a)), a)
// Let `value` sink from the top of a heap of `count` places.
#define SINK(value, count) { \
    int hole = 0; \
    for (int child = 1; child < (count); child = 2 * hole + 1) { \
      if (child + 1 < (count) && WORSE(best[child + 1], best[child])) child++; \
      if (!WORSE(best[child], value)) break; \
      best[hole] = best[child]; \
      hole = child; \
    } \
    best[hole] = value; \
  }

__kernel void top_k_heap(PARAMS, __global int* heap, const int heap_off) {
  const int g = get_global_id(0);
  DECODE
  __global int* best = heap + heap_off + g * K;
  for (int k = 0; k < K; k++) {  // rises to its place among the first K
    int hole = k;
    while (hole > 0 && WORSE(k, best[(hole - 1) / 2])) {
      best[hole] = best[(hole - 1) / 2];
      hole = (hole - 1) / 2;
    }
    best[hole] = k;
  }
  for (int k = K; k < COUNT; k++)
    if (WORSE(best[0], k)) SINK(k, K)
  for (int left = K - 1; left >= 0; left--) {
    const int worst = best[0];
    PUT(left, worst)
    const int moved = best[left];
    SINK(moved, left)
  }
}
