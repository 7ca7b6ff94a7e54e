// A cell of a picture that was halved k times: the mean of 2^k × 2^k pixels, rounded after every halving.
//
// To be included after `#define V` (int, or int3 for three channels) and `V pixel(PART_PARAMS, int x, int y)`, `V four(…)`, its sum over 2 × 2.
// halved(PART, k, x, y): cell (x, y) of the picture halved k times, 0 ≤ k ≤ 6; pixels 2^k·x … 2^k·(x + 1) − 1.
// Arithmetic: c_0 = pixel;  c_k[y, x] = (c_k−1[2y, 2x] + c_k−1[2y, 2x+1] + c_k−1[2y+1, 2x] + c_k−1[2y+1, 2x+1] + 2) >> 2
// twin: edge.inference.preprocess.resize

// A level that is not wanted (k too small) is one step that copies: so the code stands once, not 2^6 times.
#define HALVED(NAME, LEVEL, BELOW)                                                                                \
    static V NAME(PART_PARAMS, const int k, const int x, const int y) {                                          \
        const int steps = k < LEVEL ? 1 : 4, twice = k < LEVEL ? 0 : 1;                                           \
        V sum = 0;                                                                                                \
        for (int i = 0; i < steps; i++) sum += BELOW(PART, k, (x << twice) + (i & 1), (y << twice) + (i >> 1)); \
        return (sum + (steps >> 1)) >> (steps >> 1);                                                              \
    }

static V halved_1(PART_PARAMS, const int k, const int x, const int y) {
    return k < 1 ? pixel(PART, x, y) : (four(PART, 2 * x, 2 * y) + 2) >> 2;
}
HALVED(halved_2, 2, halved_1)
HALVED(halved_3, 3, halved_2)
HALVED(halved_4, 4, halved_3)
HALVED(halved_5, 5, halved_4)
HALVED(halved, 6, halved_5)
