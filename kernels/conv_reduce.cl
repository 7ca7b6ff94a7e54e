// The second launch of a product split along K: adds the parts and finishes.
//
// part: [splits][pixels][NP], from conv_gemm with PARTIAL. bias: NP floats. y, r: see conv_epilogue.cl.
// One item per pixel and four channels; global size (multiple of the local size ≥ pixels · ⌈CO/4⌉).
// Arithmetic: y[m, n] = epilogue(Σ_s part[s, m, n]), s in rising order.
// twin: edge.inference.opencl.ops.conv_twins.reduce_parts

#include "conv_epilogue.cl"

__kernel void conv_reduce(__global const float *restrict part, int part_off, __global const float *restrict bias,
                          int bias_off, R_ARG __global float *y, int y_off, int pixels, int splits) {
    const int quads = (CO + 3) / 4;
    const int m = (int)get_global_id(0) / quads, n = (int)get_global_id(0) % quads * 4;
    if (m >= pixels) return;
    __global const float4 *p = (__global const float4 *)(part + part_off + m * NP + n);
    float4 sum = *p;
#pragma unroll 4
    for (int s = 1; s < splits; s++) {
        p += pixels * (NP / 4);
        sum += *p;
    }
    FINISH(m, n, sum);
}
