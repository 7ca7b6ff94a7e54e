// y = ALPHA · a · b + BETA · c for matrices M×K and K×N of any strides, in batches (DECODE: g → *_BATCH offsets).
// *_ROW, *_COL: strides in elements. HAS_C 0: c is not read. twin: numpy.matmul
#define ARGS __global const float* a, int a_off, __global const float* b, int b_off, \
             __global const float* c, int c_off, __global float* y, int y_off

// Global: N and M rounded up to TILE, batch. Local: TILE × TILE. Tiles of a and b are read once a group.
__kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) void matmul_tiled(ARGS) {
  __local float as[TILE][TILE + 1], bs[TILE][TILE + 1];
  const int n = get_global_id(0), m = get_global_id(1), g = get_global_id(2);
  const int tx = get_local_id(0), ty = get_local_id(1);
  DECODE
  float sum = 0.0f;
// K is a macro: unrolled altogether, a hundred rows took 228 registers on GCN
#pragma unroll 1
  for (int k0 = 0; k0 < K; k0 += TILE) {
    as[ty][tx] = m < M && k0 + tx < K ? a[a_off + A_BATCH + m * A_ROW + (k0 + tx) * A_COL] : 0.0f;
    bs[ty][tx] = n < N && k0 + ty < K ? b[b_off + B_BATCH + (k0 + ty) * B_ROW + n * B_COL] : 0.0f;
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (int k = 0; k < TILE; k++) sum = mad(as[ty][k], bs[k][tx], sum);
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (m >= M || n >= N) return;
  float v = ALPHA * sum;
#if HAS_C
  v += BETA * c[c_off + C_BATCH + m * C_ROW + n * C_COL];
#endif
  y[y_off + Y_BATCH + m * Y_ROW + n * Y_COL] = v;
}

// Global: N, M, batch. One element a work-item, for devices without local memory.
__kernel void matmul_plain(ARGS) {
  const int n = get_global_id(0), m = get_global_id(1), g = get_global_id(2);
  DECODE
  float sum = 0.0f;
  for (int k = 0; k < K; k++)
    sum = mad(a[a_off + A_BATCH + m * A_ROW + k * A_COL], b[b_off + B_BATCH + k * B_ROW + n * B_COL], sum);
  float v = ALPHA * sum;
#if HAS_C
  v += BETA * c[c_off + C_BATCH + m * C_ROW + n * C_COL];
#endif
  y[y_off + Y_BATCH + m * Y_ROW + n * Y_COL] = v;
}
