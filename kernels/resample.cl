// One pixel of a part of a frame in another size: averaged on the way down, interpolated on the way up.
//
// resampled(PART, k, mode, d, from, to): pixel d of `to` pixels, of a part that, halved k times, has `from` cells. mode AREA: each cell counts by its share of the pixel. CUBIC: four cells an axis,
// a = −0.75. MIXED: two cells an axis, what OpenCV's INTER_AREA does when one axis grows and the other shrinks.
// Arithmetic: v = Σ_y Σ_x w_y(y) · w_x(x) · cell(x, y), rounded to 0..255; the AREA weights are ratios of integers:
//   w(i) = (min((i + 1)·to, (d + 1)·from) − max(i·to, d·from)) / from
// twin: edge.inference.preprocess.resize

#include "frame.cl"

#define V int3
#define pixel colours
#define four colours_of_four
#include "halve.cl"
#undef pixel
#undef four

#define AREA 0
#define CUBIC 1
#define MIXED 2

// Twice the place of pixel d's middle among `from` cells, as a numerator over `to`; negative at the very start.
static int middle(const int d, const int from, const int to) { return (2 * d + 1) * from - to; }

static int first_cell(const int mode, const int d, const int from, const int to) {
    if (mode != CUBIC) return d * from / to;
    const int twice = middle(d, from, to), two = 2 * to;
    return (twice >= 0 ? twice / two : -((two - 1 - twice) / two)) - 1;
}

static int last_cell(const int mode, const int first, const int d, const int from, const int to) {
    return mode == AREA ? ((d + 1) * from - 1) / to : first + (mode == CUBIC ? 3 : 1);
}

static float cubic(const float t) {
    const float a = -0.75f;
    return t < 1.0f ? ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f : ((a * t - 5.0f * a) * t + 8.0f * a) * t - 4.0f * a;
}

// per_from: 1 / from.
static float weight(const int mode, const int i, const int first, const int d, const int from, const int to,
                    const float per_from) {
    if (mode == AREA) return (float)(min((i + 1) * to, (d + 1) * from) - max(i * to, d * from)) * per_from;
    if (mode == CUBIC) return cubic(fabs((float)(middle(d, from, to) - 2 * to * i) / (float)(2 * to)));
    const float over = (float)((d + 1) * from - (first + 1) * to) * per_from;
    const float second = over <= 0.0f ? 0.0f : over - floor(over);
    return i == first ? 1.0f - second : second;
}

static float3 resampled(PART_PARAMS, const int k, const int mode, const int2 d, const int2 from, const int2 to) {
    const int x0 = first_cell(mode, d.x, from.x, to.x), x1 = last_cell(mode, x0, d.x, from.x, to.x);
    const int y0 = first_cell(mode, d.y, from.y, to.y), y1 = last_cell(mode, y0, d.y, from.y, to.y);
    const float2 per_from = 1.0f / convert_float2(from);
    float3 sum = 0.0f;
    for (int y = y0; y <= y1; y++) {
        const float wy = weight(mode, y, y0, d.y, from.y, to.y, per_from.y);
        const int cy = clamp(y, 0, from.y - 1);
        float3 row = 0.0f;
        for (int x = x0; x <= x1; x++) {
            const float wx = weight(mode, x, x0, d.x, from.x, to.x, per_from.x);
            row += wx * convert_float3(halved(PART, k, clamp(x, 0, from.x - 1), cy));
        }
        sum += wy * row;
    }
    return rint(clamp(sum, 0.0f, 255.0f));
}
