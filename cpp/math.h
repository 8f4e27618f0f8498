// exp, log, the normal distribution, sine and cosine, compiled in: Math.* and a C library differ between engines in the last
// bits, these are additions and multiplications alone. f32 functions are within about 1 unit in the last place; the f64
// ones, whose results are rounded to f32, within a few 1e-16.
#pragma once
#include "f32x4.h"

// e^x; below -87.3365, where the result would be subnormal, 0. Made once before a loop: its constants are opaque, because V8
// builds a known vector anew at each use.
struct Exp {
  v128_t magic = constant_f32(0x1.8p23f);          // 1.5 * 2^23: adding it rounds to an integer, in the low bits
  v128_t per_ln2 = constant_f32(0x1.715476p0f);    // 1 / ln 2
  v128_t ln2_high = constant_f32(0.693359375f);    // ln 2 in two parts, the first of 10 bits, so that n times it is exact
  v128_t ln2_low = constant_f32(2.12194440e-4f);   // what the first has too much
  // (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, fitted by Remez exchange to 3e-9 of e^r
  v128_t c4 = constant_f32(0.001381448613f), c3 = constant_f32(0.008368780553f);
  v128_t c2 = constant_f32(0.0416683939f), c1 = constant_f32(0.1666652011f);
  v128_t c0 = constant_f32(0.4999999341f);
  v128_t one = constant_f32(1.0f);
  v128_t least = constant_f32(-87.3365f);

  // For x <= 0.
  INLINE v128_t decay(v128_t x) const { return wasm_v128_andnot(scaled(x), wasm_f32x4_lt(x, least)); }

  INLINE v128_t operator()(v128_t x) const {
    v128_t large = wasm_f32x4_gt(x, wasm_f32x4_const_splat(88.72283f));
    return wasm_v128_bitselect(wasm_f32x4_const_splat(__builtin_inff()), decay(x), large);
  }

  // e^x where neither bound is passed.
  INLINE v128_t scaled(v128_t x) const {
    v128_t t = f32x4_muladd(magic, x, per_ln2), n = wasm_f32x4_sub(t, magic);
    v128_t r = f32x4_muladd(wasm_f32x4_sub(x, wasm_f32x4_mul(n, ln2_high)), n, ln2_low);
    v128_t p = f32x4_muladd(c0, r, f32x4_muladd(c1, r, f32x4_muladd(c2, r, f32x4_muladd(c3, r, c4))));
    p = wasm_f32x4_add(f32x4_muladd(r, wasm_f32x4_mul(r, r), p), one);
    return wasm_i32x4_add(p, wasm_i32x4_shl(t, 23));  // times 2^n
  }
};

inline float exp_f32(float x) { return wasm_f32x4_extract_lane(Exp()(wasm_f32x4_splat(x)), 0); }

inline double power_of_two(int n) { return __builtin_bit_cast(double, (uint64_t)(n + 1023) << 52); }

// sum of coefficients[i] * x^i
template <int N>
inline double polynomial(const double (&coefficients)[N], double x) {
  double sum = coefficients[N - 1];
  for (int i = N - 2; i >= 0; i--) sum = sum * x + coefficients[i];
  return sum;
}

// Taylor coefficients 1 / (first + i * step)!, the signs alternating where `alternate`.
template <int N>
struct TaylorSeries {
  double c[N];
  constexpr TaylorSeries(int first, int step, bool alternate) : c{} {
    for (int i = 0; i < N; i++) {
      double factorial = 1;
      for (int k = 2; k <= first + i * step; k++) factorial *= k;
      c[i] = (alternate && i % 2 ? -1 : 1) / factorial;
    }
  }
};

// e^x for -700 < x < 700.
inline double exp_f64(double x) {
  static constexpr TaylorSeries<14> series(0, 1, false);
  double n = __builtin_rint(x * 0x1.71547652b82fep0);
  double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;  // ln 2 in two parts
  return polynomial(series.c, r) * power_of_two((int)n);
}

// Natural logarithm of a normal x > 0.
inline double log_f64(double x) {
  uint64_t bits = __builtin_bit_cast(uint64_t, x);
  int exponent = (int)(bits >> 52) - 1023;
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffff) | (1023ull << 52));
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  double s = (m - 1) / (m + 1), square = s * s, sum = 0;  // ln m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172
  for (int k = 23; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * 0x1.62e42fefa39efp-1 + 2 * s * sum;
}

// The standard normal distribution function, 0.5 (1 + erf(x / sqrt 2)), to a relative 1e-10 at either end.
inline double normal_cdf(double x) {
  // erfc(z) e^(z^2) for z >= 0 as a polynomial in t = 2 / (2 + z), fitted by Remez exchange up to z = 10.
  static constexpr double fit[13] = {
      -5.8538593265992118e-7, 0.28211697771626004, 0.28171963979643989, 0.25057705721292584, 0.15173614211988487,
      0.19547154291277816, -0.36475765350611703, 0.77035684932642352, -1.3789466412342697, 1.4005958096553181,
      -0.80948007347385286, 0.25510306941821558, -0.034492134633403059};
  double z = __builtin_fabs(x) * 0.70710678118654752;
  double tail = z > 10 ? 0 : 0.5 * polynomial(fit, 2 / (2 + z)) * exp_f64(-z * z);  // erfc(10) = 2e-45
  return x < 0 ? tail : 1 - tail;
}

// Cosine and sine of 0 <= x < 2^24 into out[0] and out[1].
inline void cos_sin_f64(double x, double out[2]) {
  static constexpr TaylorSeries<9> sine(1, 2, true), cosine(0, 2, true);
  double n = __builtin_rint(x * 0x1.45f306dc9c883p-1);
  // pi/2 in three parts; the first two have 29 bits, so that n < 2^24 times them is exact.
  double r = ((x - n * 0x1.921fb54p0) - n * 0x1.10b4611p-30) - n * 0x1.4c4c6628b80dcp-59;
  double square = r * r;
  double s = r * polynomial(sine.c, square), c = polynomial(cosine.c, square);
  uint32_t quarter = (uint32_t)n & 3;
  out[0] = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
  out[1] = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
}
