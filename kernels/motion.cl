// What moved since the background was last seen: the frame as a small map, the light fitted, compared, learnt.
//
// Maps are float (rows · columns), grey levels: small, last (the picture before), mean, noise (of the background).
// light: float (8): gain, offset, darkest, brightest. seen: int (2 + ⌈rows · columns / 4⌉): pixels that changed, Σ of
// how much the light moved each as 2^20ths of the map's mean, then uint8 (rows · columns): 1 where something changed.
// Constants come by macro from edge.compute.motion.Rule.
// twin: plugins.stages.motion.look

#include "frame.cl"

#define V int
#define pixel brightness
#define four brightness_of_four
#include "halve.cl"
#undef pixel
#undef four

#pragma OPENCL FP_CONTRACT OFF  // a fused multiply-add rounds once where NumPy rounds twice

// Global size: (≥ columns, ≥ rows), any local size. HALVINGS, then squares of SIDE × SIDE cells.
//   small = round(mean of 2^HALVINGS·SIDE squared pixels), rounded after every halving as the host does it
__kernel void shrink(FRAME_PARAMS, __global float *restrict small, const int columns, const int rows) {
    const int x = get_global_id(0), y = get_global_id(1), ox = 0, oy = 0;
    if (x >= columns || y >= rows) return;
    int sum = 0;
    for (int j = 0; j < SIDE; j++)
        for (int i = 0; i < SIDE; i++) sum += halved(PART, HALVINGS, x * SIDE + i, y * SIDE + j);
    small[y * columns + x] = rint((float)sum * (1.0f / (SIDE * SIDE)));
}

#define FOLD(VALUE, OF)                                                                   \
    do {                                                                                  \
        fold[me] = VALUE;                                                                 \
        for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {                  \
            barrier(CLK_LOCAL_MEM_FENCE);                                                 \
            if (me < half_size) fold[me] = OF(fold[me], fold[me + half_size]);            \
        }                                                                                 \
        barrier(CLK_LOCAL_MEM_FENCE);                                                     \
        VALUE = fold[0];                                                                  \
        barrier(CLK_LOCAL_MEM_FENCE);                                                     \
    } while (0)
#define ADD(a, b) ((a) + (b))

// Every third pixel of every third row, in turn for the items of the one group.
#define SAMPLES (((columns + 2) / 3) * ((rows + 2) / 3))
#define EACH(X, Y)                                                                                          \
    for (int s = me; s < SAMPLES; s += GROUP) {                                                             \
        const int at = s / ((columns + 2) / 3) * 3 * columns + s % ((columns + 2) / 3) * 3;                 \
        const float X = mean[at], Y = small[at];                                                            \
        if (!everything && !(Y > darkest + 1.0f && Y < brightest - 1.0f)) continue;
#define END }

// Global and local size: GROUP. Two least-squares fits of small = gain · mean + offset over a ninth of the pixels, the
// second over the half that fitted better: |residual| ≤ its lower median, found digit by digit of its bits.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void fit_light(
    __global const float *restrict small, __global const float *restrict mean, const int columns, const int rows,
    __global float *restrict light, __global int *restrict seen) {
    __local float fold[GROUP];
    __local int digits[256];
    __local int chosen[2];
    const int me = get_local_id(0);
    float darkest = INFINITY, brightest = -INFINITY;
    for (int i = me; i < columns * rows; i += GROUP) {
        darkest = fmin(darkest, small[i]);
        brightest = fmax(brightest, small[i]);
    }
    FOLD(darkest, fmin);
    FOLD(brightest, fmax);
    bool everything = false;
    float count = 0.0f;
    EACH(x, y) count += 1.0f; END
    FOLD(count, ADD);
    if (count <= 0.5f * SAMPLES) {  // most is black or white: then all have a say
        everything = true;
        count = SAMPLES;
    }
    float gain = 1.0f, offset = 0.0f, most = INFINITY;
    for (int round = 0; round < 2; round++) {
        float n = 0.0f, mean_x = 0.0f, mean_y = 0.0f, spread = 0.0f, along = 0.0f;
        EACH(x, y) if (fabs(y - gain * x - offset) <= most) { n += 1.0f; mean_x += x; mean_y += y; } END
        FOLD(n, ADD);
        FOLD(mean_x, ADD);
        FOLD(mean_y, ADD);
        mean_x /= n;
        mean_y /= n;
        EACH(x, y)
            if (fabs(y - gain * x - offset) <= most) {
                spread += (x - mean_x) * (x - mean_x);
                along += (x - mean_x) * (y - mean_y);
            }
        END
        FOLD(spread, ADD);
        FOLD(along, ADD);
        gain = clamp(spread > n ? along / spread : 1.0f, LEAST_GAIN, MOST_GAIN);  // a flat scene has no contrast to fit
        offset = mean_y - gain * mean_x;
        if (round) break;
        int before = ((int)count - 1) / 2, prefix = 0;
        for (int shift = 24; shift >= 0; shift -= 8) {
            for (int i = me; i < 256; i += GROUP) digits[i] = 0;
            barrier(CLK_LOCAL_MEM_FENCE);
            EACH(x, y)
                const uint bits = as_uint(fabs(y - gain * x - offset));
                if (shift == 24 || bits >> (shift + 8) == (uint)prefix) atomic_inc(digits + (bits >> shift & 255));
            END
            barrier(CLK_LOCAL_MEM_FENCE);
            if (me == 0) {
                int digit = 0, left = before;
                while (left >= digits[digit]) left -= digits[digit++];
                chosen[0] = digit;
                chosen[1] = left;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            prefix = prefix << 8 | chosen[0];
            before = chosen[1];
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        most = as_float(prefix);
    }
    if (me == 0) {
        vstore4((float4)(gain, offset, darkest, brightest), 0, light);
        vstore2((int2)(0), 0, seen);
    }
}

static float expected(const float mean, __global const float *light) {
    return clamp(mean * light[0] + light[1], light[2], light[3]);
}

// Global size: ⌈size / GROUP⌉ · GROUP, local size: GROUP.
//   changed = |small − expected| > clamp(NOISE_FACTOR · noise, THRESHOLD, MOST_LIMIT)
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void compare(
    __global const float *restrict small, __global const float *restrict mean, __global const float *restrict noise,
    __global const float *restrict light, const int size, __global int *restrict seen) {
    __local float fold[GROUP];
    const int i = get_global_id(0), me = get_local_id(0);
    float moved = 0.0f, count = 0.0f;
    if (i < size) {
        const float there = expected(mean[i], light);
        const bool changed = fabs(small[i] - there) > clamp(noise[i] * NOISE_FACTOR, THRESHOLD, MOST_LIMIT);
        ((__global uchar *)(seen + 2))[i] = changed;
        count = changed;
        moved = there - mean[i];
    }
    FOLD(count, ADD);
    FOLD(moved, ADD);
    if (me == 0) {
        atomic_add(seen, (int)count);
        atomic_add(seen + 1, (int)rint(moved * (1048576.0f / size)));
    }
}

static float towards(const float from, const float to, const float rate) { return from * (1.0f - rate) + to * rate; }

// Global size: ≥ size, any local size. anew: 1 to begin with this picture; so it does too when more than light_pixels
// changed, or the light moved by more than LIGHT_JUMP. mean_after is another buffer than mean; noise changes in place.
//   fits: mean, noise → at `quick`; rests (small near last): mean → at `rate`; moves: mean → at rate · MOVING_RATE
__kernel void learn(__global const float *restrict small, __global const float *restrict last,
                    __global const float *restrict mean, __global float *restrict mean_after,
                    __global float *restrict noise, __global const float *restrict light,
                    __global const int *restrict seen, const int size, const int anew, const int light_pixels,
                    const float quick, const float rate) {
    const int i = get_global_id(0);
    if (i >= size) return;
    if (anew || seen[0] > light_pixels || abs(seen[1]) > (int)(LIGHT_JUMP * 1048576.0f)) {
        mean_after[i] = small[i];
        noise[i] = SIGMA_FIRST;
        return;
    }
    const float there = expected(mean[i], light);
    const bool changed = ((__global const uchar *)(seen + 2))[i];
    const bool rests = fabs(small[i] - last[i]) < THRESHOLD;
    mean_after[i] = towards(there, small[i], !changed ? quick : rests ? rate : rate * MOVING_RATE);
    if (!changed) noise[i] = towards(noise[i], fabs(small[i] - there) * SIGMA_PER_DEVIATION, quick);
}
