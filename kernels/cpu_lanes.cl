// Vectors of 16 channels of which only the first `lanes` exist. What lies beside them in memory belongs to other tensors,
// or to nobody: it is neither read nor written. `lanes` is a constant at every call, so a full vector costs no branch.
#ifndef CPU_LANES
#define CPU_LANES

inline __attribute__((always_inline)) float16 load_lanes(__global const float* p, int lanes) {
  if (lanes == 16) return vload16(0, p);
  float part[16];
  vstore16((float16)(0.0f), 0, part);
  for (int i = 0; i < lanes; i++) part[i] = p[i];
  return vload16(0, part);
}

inline __attribute__((always_inline)) void store_lanes(float16 v, __global float* p, int lanes) {
  if (lanes == 16) {
    vstore16(v, 0, p);
    return;
  }
  float part[16];
  vstore16(v, 0, part);
  for (int i = 0; i < lanes; i++) p[i] = part[i];
}

#endif
