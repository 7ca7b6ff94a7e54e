// A frame as a detector's input: colours converted, as large as it goes, border filled, normalised, in one launch.
//
// frame …: see frame.cl; from_w, from_h: its cells after HALVINGS halvings. y: float (3, height, width) at y_off, planes
// red first when RGB. The picture covers new_w × new_h pixels from (left, top) on. MODE: see resample.cl. fill: grey of
// the border, 0..255. scale, shift: of the planes in their order. Global size (≥ width, ≥ height), any local size.
// Arithmetic: y[c, oy, ox] = (inside ? resampled frame : fill) · scale[c] − shift[c]
// twin: edge.inference.preprocess.letterbox, then edge.inference.preprocess.to_batch
#include "resample.cl"

__kernel void letterbox(FRAME_PARAMS, const int from_w, const int from_h, __global float *restrict y, const int y_off,
                        const int width, const int height, const int left, const int top, const int new_w,
                        const int new_h, const float fill, const float scale_0, const float scale_1,
                        const float scale_2, const float shift_0, const float shift_1, const float shift_2) {
    const int px = get_global_id(0), py = get_global_id(1), ox = 0, oy = 0;
    if (px >= width || py >= height) return;
    const int2 d = (int2)(px - left, py - top), to = (int2)(new_w, new_h);
    float3 v = fill;
    if (d.x >= 0 && d.y >= 0 && d.x < new_w && d.y < new_h)
        v = resampled(PART, HALVINGS, MODE, d, (int2)(from_w, from_h), to);
    if (RGB) v = v.zyx;
    const int plane = width * height, at = y_off + py * width + px;
    y[at] = mad(v.x, scale_0, -shift_0);
    y[at + plane] = mad(v.y, scale_1, -shift_1);
    y[at + 2 * plane] = mad(v.z, scale_2, -shift_2);
}
