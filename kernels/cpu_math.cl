// exp and sigmoid for float and float16 without calls, so that a CPU compiler keeps them in vector registers.
//
// exp(v) = 2^n * p(r), n = round(v / ln 2), |r| <= ln 2 / 2, p a polynomial of degree 6 (Cephes expf); relative error 2e-7.
// 1 / d  = three Newton steps from a guess by exponent arithmetic, as a 512-bit division takes as long as 32 FMAs.
// Files that include this one get them as EXP(v), native_exp(v) and SIGMOID(v), the names activations use.
#ifndef CPU_MATH
#define CPU_MATH

#define CPU_MATH_OF(T, I, AS_T, AS_I)                                                                                \
  __attribute__((overloadable, always_inline)) T cpu_exp(T v) {                                                      \
    const T magic = (T)(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number in the low mantissa bits */  \
    v = fmin(fmax(v, (T)(-87.0f)), (T)(88.0f));                                                                      \
    const T shifted = fma(v, (T)(1.44269504088896341f), magic);                                                      \
    const T n = shifted - magic;                                                                                     \
    T r = fma(n, (T)(-0.693359375f), v);                                                                             \
    r = fma(n, (T)(2.12194440e-4f), r);                                                                              \
    T p = fma((T)(1.9875691500e-4f), r, (T)(1.3981999507e-3f));                                                      \
    p = fma(p, r, (T)(8.3334519073e-3f));                                                                            \
    p = fma(p, r, (T)(4.1665795894e-2f));                                                                            \
    p = fma(p, r, (T)(1.6666665459e-1f));                                                                            \
    p = fma(p, r, (T)(5.0000001201e-1f));                                                                            \
    p = fma(p, r * r, r + (T)(1.0f));                                                                                \
    return AS_T(AS_I(p) + (AS_I(shifted) << 23)); /* the low bits of `shifted` are n: they land in the exponent */   \
  }                                                                                                                  \
  __attribute__((overloadable, always_inline)) T cpu_reciprocal(T d) { /* 1e-38 < |d| < 1e38 */                      \
    T g = AS_T((I)(0x7EF311C7) - AS_I(d));                                                                           \
    g = g * fma(-d, g, (T)(2.0f));                                                                                   \
    g = g * fma(-d, g, (T)(2.0f));                                                                                   \
    return g * fma(-d, g, (T)(2.0f));                                                                                \
  }                                                                                                                  \
  __attribute__((overloadable, always_inline)) T cpu_sigmoid(T v) {                                                  \
    return cpu_reciprocal((T)(1.0f) + cpu_exp(fmin(-v, (T)(80.0f))));                                                \
  }

CPU_MATH_OF(float, int, as_float, as_int)
CPU_MATH_OF(float16, int16, as_float16, as_int16)

#undef native_exp
#define native_exp(v) cpu_exp(v)
#undef EXP
#define EXP(v) cpu_exp(v)
#include "math.cl"
#undef SIGMOID
#define SIGMOID(v) cpu_sigmoid(v)

#endif
