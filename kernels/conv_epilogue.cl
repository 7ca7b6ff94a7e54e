// What every convolution does with a finished sum: y = POST(ACT(sum + bias) + r), in float or float4.
//
// ACT(v), POST(v): expressions in v. RESIDUAL: 1 when r is added. CO: channels written. YS, RS: floats between pixels
// of y and r. VY: 4 when CO, YS, RS and all offsets are multiples of 4, else 1.
// twin: edge.inference.opencl.ops.conv_twins.finish

#include "math.cl"

#if RESIDUAL
#define R_ARG __global const float *r, int r_off,
#else
#define R_ARG
#endif

// Writes up to four channels n … n+3 of output pixel m; nothing at or past CO, for there another tensor may lie.
#if RESIDUAL
#define FINISH(m, n, sum) finish(y + y_off, r + r_off, bias + bias_off, (m), (n), (sum))
#else
#define FINISH(m, n, sum) finish(y + y_off, bias + bias_off, (m), (n), (sum))
#endif

// One channel of one pixel.
#if RESIDUAL
#define FINISH_ONE(m, n, sum) finish_one(y + y_off, r + r_off, bias + bias_off, (m), (n), (sum))
#else
#define FINISH_ONE(m, n, sum) finish_one(y + y_off, bias + bias_off, (m), (n), (sum))
#endif

void finish_one(__global float *y,
#if RESIDUAL
                       __global const float *r,
#endif
                       __global const float *bias, int m, int n, float sum) {
    float v = sum + bias[n];
    v = ACT(v);
#if RESIDUAL
    v += r[m * RS + n];
#endif
    y[m * YS + n] = POST(v);
}

void finish(__global float *y,
#if RESIDUAL
                   __global const float *r,
#endif
                   __global const float *bias, int m, int n, float4 sum) {
#if VY == 4
    if (n >= CO) return;
    float4 v = sum + *(__global const float4 *)(bias + n);
    v = ACT(v);
#if RESIDUAL
    v += *(__global const float4 *)(r + m * RS + n);
#endif
    *(__global float4 *)(y + m * YS + n) = POST(v);
#else
    const float part[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (n + i < CO) {
            float v = part[i] + bias[n + i];
            v = ACT(v);
#if RESIDUAL
            v += r[m * RS + n + i];
#endif
            y[m * YS + n + i] = POST(v);
        }
    }
#endif
}
