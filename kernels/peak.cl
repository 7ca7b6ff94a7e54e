// What a device can do at most: arithmetic, reading, copying, starting. Figures are taken by edge/compute/peak.py.
// twin: edge.compute.peak.chains

// WIDTH: floats in the vectors, 4 on a GPU (one load), 16 on a CPU (PoCL doesn't join narrow ones).
// IN_ROWS: 1 on a CPU, whose work-items read one piece each; 0 on a GPU, whose neighbours read neighbouring vectors.
#if WIDTH == 16
typedef float16 vec;
#define LANES (float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#else
typedef float4 vec;
#define LANES (float4)(0, 1, 2, 3)
#endif

// Eight chains of vectors, so that the latency of one multiply-add is hidden by seven others.
// y: vec (items). rounds: passes over the chains, each 8 · WIDTH · 2 operations. Global size: items; any local size.
//   v ← v·a + b, rounds times, in each of 8 chains, which start at gid + chain + lane/16;  y[gid] = Σ chains
__kernel void flops(__global vec *y, int rounds, float a, float b)
{
    const int i = get_global_id(0);
    const vec start = LANES / 16.0f + (float)i, step = b;
    vec c0 = start, c1 = start + 1.0f, c2 = start + 2.0f, c3 = start + 3.0f;
    vec c4 = start + 4.0f, c5 = start + 5.0f, c6 = start + 6.0f, c7 = start + 7.0f;
    for (int round = 0; round < rounds; ++round) {
        c0 = fma(c0, (vec)a, step); c1 = fma(c1, (vec)a, step); c2 = fma(c2, (vec)a, step); c3 = fma(c3, (vec)a, step);
        c4 = fma(c4, (vec)a, step); c5 = fma(c5, (vec)a, step); c6 = fma(c6, (vec)a, step); c7 = fma(c7, (vec)a, step);
    }
    y[i] = ((c0 + c1) + (c2 + c3)) + ((c4 + c5) + (c6 + c7));
}

// x: vec (steps · items). y: vec (items). Global size: items; any local size.
//   y[gid] = Σ over steps of x[step · items + gid], or of x[gid · steps + step] when IN_ROWS
__kernel void read_all(__global const vec *x, __global vec *y, int steps)
{
    const int i = get_global_id(0), items = get_global_size(0);
    vec sum = 0.0f;
    for (int step = 0; step < steps; ++step)
        sum += IN_ROWS ? x[i * steps + step] : x[step * items + i];
    y[i] = sum;
}

// x, y: vec (items). Global size: items; any local size.
//   y = x
__kernel void copy(__global const vec *x, __global vec *y)
{
    const int i = get_global_id(0);
    y[i] = x[i];
}

// y: float (1), not touched. Global and local size: 1. What is left of a launch when it does nothing.
__kernel void nothing(__global float *y)
{
}
