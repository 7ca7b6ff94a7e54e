// A frame that lies on the device, and its pixels as blue, green, red or as brightness.
//
// frame: uint8, BGR rows of `pitch` bytes; or with YUV 1 a plane of brightness of that pitch and, subsampled 2 × 2,
// the two of colour at bytes u_at and v_at, rows c_pitch and samples c_step bytes apart (NV12: v_at = u_at + 1, step 2).
// Y_BIAS, Y_GAIN, R_V, G_U, G_V, B_U: the matrix and range of YUV in 2^13ths, see edge.compute.frame.
// Arithmetic: as FFmpeg's swscale has it, each product cut off to a whole number: l = Y_GAIN·(8·Y − Y_BIAS) >> 16;
//   red = l + (R_V·(8·V − 1024) >> 16), green = l + (G_U·(8·U − 1024) >> 16) + (G_V·(8·V − 1024) >> 16), blue alike
//   brightness of BGR: (3735·blue + 19235·green + 9798·red + 2^14) >> 15, as OpenCV has it; of YUV: its own plane.
// twin: edge.compute.frame.to_bgr

#define FRAME_PARAMS                                                                                              \
    __global const uchar *restrict frame, const int pitch, const int u_at, const int v_at, const int c_pitch,     \
        const int c_step
// A part of it, whose pixel (0, 0) is the frame's (ox, oy).
#define PART_PARAMS FRAME_PARAMS, const int ox, const int oy
#define PART frame, pitch, u_at, v_at, c_pitch, c_step, ox, oy

#if YUV
static int3 tint(PART_PARAMS, const int x, const int y) {
    const int at = ((y + oy) >> 1) * c_pitch + ((x + ox) >> 1) * c_step;
    const int u = 8 * frame[u_at + at] - 1024, v = 8 * frame[v_at + at] - 1024;
    return (int3)(mul24(u, B_U) >> 16, (mul24(u, G_U) >> 16) + (mul24(v, G_V) >> 16), mul24(v, R_V) >> 16);
}

static int3 tinted(PART_PARAMS, const int x, const int y, const int3 tint) {
    const int light = mul24(8 * frame[(y + oy) * pitch + x + ox] - Y_BIAS, Y_GAIN) >> 16;
    return clamp(light + tint, 0, 255);
}

static int3 colours(PART_PARAMS, const int x, const int y) { return tinted(PART, x, y, tint(PART, x, y)); }

// The sum of 2 × 2 pixels; they share a sample of colour unless the part begins at an odd pixel.
static int3 colours_of_four(PART_PARAMS, const int x, const int y) {
    if ((ox | oy) & 1)
        return colours(PART, x, y) + colours(PART, x + 1, y) + colours(PART, x, y + 1) + colours(PART, x + 1, y + 1);
    const int3 same = tint(PART, x, y);
    return tinted(PART, x, y, same) + tinted(PART, x + 1, y, same) + tinted(PART, x, y + 1, same) +
           tinted(PART, x + 1, y + 1, same);
}

static int brightness(PART_PARAMS, const int x, const int y) { return frame[(y + oy) * pitch + x + ox]; }
#else
static int3 colours(PART_PARAMS, const int x, const int y) {
    __global const uchar *at = frame + (y + oy) * pitch + 3 * (x + ox);
    return (int3)(at[0], at[1], at[2]);
}

// The sum of 2 × 2 pixels.
static int3 colours_of_four(PART_PARAMS, const int x, const int y) {
    return colours(PART, x, y) + colours(PART, x + 1, y) + colours(PART, x, y + 1) + colours(PART, x + 1, y + 1);
}

static int brightness(PART_PARAMS, const int x, const int y) {
    const int3 bgr = colours(PART, x, y);
    return (3735 * bgr.x + 19235 * bgr.y + 9798 * bgr.z + (1 << 14)) >> 15;
}
#endif

// The sum of 2 × 2 pixels.
static int brightness_of_four(PART_PARAMS, const int x, const int y) {
    return brightness(PART, x, y) + brightness(PART, x + 1, y) + brightness(PART, x, y + 1) +
           brightness(PART, x + 1, y + 1);
}
