// Many parts of one frame as a classifier's batch, in one launch.
//
// frame …: see frame.cl. parts: int (n, 8): left, top in pixels of the frame, cells across and down after its halvings,
// halvings, mode (see resample.cl), two unused. y: float (n, 3, height, width) at y_off, planes red first when RGB.
// scale, shift: of the planes in their order. Global size (≥ width, ≥ height, n), any local size of depth 1.
// Arithmetic: y[i, c, py, px] = resampled part i · scale[c] − shift[c]
// twin: edge.inference.preprocess.square_crop, then edge.inference.preprocess.to_batch
#include "resample.cl"

__kernel void crop(FRAME_PARAMS, __global const int *restrict parts, __global float *restrict y, const int y_off,
                   const int width, const int height, const float scale_0, const float scale_1, const float scale_2,
                   const float shift_0, const float shift_1, const float shift_2) {
    const int px = get_global_id(0), py = get_global_id(1), n = get_global_id(2);
    if (px >= width || py >= height) return;
    const int8 part = vload8(n, parts);
    const int ox = part.s0, oy = part.s1;
    float3 v = resampled(PART, part.s4, part.s5, (int2)(px, py), part.s23, (int2)(width, height));
    if (RGB) v = v.zyx;
    const int plane = width * height, at = y_off + (3 * n * height + py) * width + px;
    y[at] = mad(v.x, scale_0, -shift_0);
    y[at + plane] = mad(v.y, scale_1, -shift_1);
    y[at + 2 * plane] = mad(v.z, scale_2, -shift_2);
}
