// A frame that lies on the device, and its pixels as blue, green, red or as brightness.
//
// frame: uint8, BGR rows of `pitch` bytes; or with YUV 1 a plane of brightness of that pitch and, subsampled 2 × 2,
// the two of colour at bytes u_at and v_at, rows c_pitch and samples c_step bytes apart (NV12: v_at = u_at + 1, step 2).
// Y_BIAS, Y_GAIN, R_V, G_U, G_V, B_U: the matrix and range of YUV, see edge.compute.frame.
// Arithmetic: l = Y_GAIN·(Y − Y_BIAS);  red = l + R_V·(V − 128), green = l − G_U·(U − 128) − G_V·(V − 128), blue alike
//   brightness of BGR: (3735·blue + 19235·green + 9798·red + 2^14) >> 15, as OpenCV has it; of YUV: its own plane.
// twin: edge.compute.frame.to_bgr

#define FRAME_PARAMS                                                                                              \
    __global const uchar *restrict frame, const int pitch, const int u_at, const int v_at, const int c_pitch,     \
        const int c_step
// A part of it, whose pixel (0, 0) is the frame's (ox, oy).
#define PART_PARAMS FRAME_PARAMS, const int ox, const int oy
#define PART frame, pitch, u_at, v_at, c_pitch, c_step, ox, oy

#if YUV
static int3 colours(PART_PARAMS, const int part_x, const int part_y) {
    const int x = part_x + ox, y = part_y + oy;
    const int at = (y >> 1) * c_pitch + (x >> 1) * c_step;
    const float l = Y_GAIN * ((float)frame[y * pitch + x] - Y_BIAS);
    const float u = (float)frame[u_at + at] - 128.0f, v = (float)frame[v_at + at] - 128.0f;
    const float3 bgr = (float3)(l + B_U * u, l - G_U * u - G_V * v, l + R_V * v);
    return convert_int3(clamp(bgr, 0.0f, 255.0f) + 0.5f);  // cut off: PoCL's rounding conversions are slow
}

static int brightness(PART_PARAMS, const int x, const int y) { return frame[(y + oy) * pitch + x + ox]; }
#else
static int3 colours(PART_PARAMS, const int x, const int y) {
    __global const uchar *at = frame + (y + oy) * pitch + 3 * (x + ox);
    return (int3)(at[0], at[1], at[2]);
}

static int brightness(PART_PARAMS, const int x, const int y) {
    const int3 bgr = colours(PART, x, y);
    return (3735 * bgr.x + 19235 * bgr.y + 9798 * bgr.z + (1 << 14)) >> 15;
}
#endif
