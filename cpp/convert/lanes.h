// Four blocks at once, a lane each: a search for the scales of blocks is written as if it were for one, its sums need no
// adding across lanes, and a block's bits depend on nothing but its own values.
#pragma once
#include "convert.h"

using Lanes = float __attribute__((vector_size(16)));
using Mask = int32_t __attribute__((vector_size(16)));

INLINE Lanes lanes(float value) { return (Lanes)wasm_f32x4_splat(value); }
INLINE Lanes choose(Mask mask, Lanes yes, Lanes no) {
  return (Lanes)wasm_v128_bitselect((v128_t)yes, (v128_t)no, (v128_t)mask);
}
INLINE Lanes lesser(Lanes a, Lanes b) { return (Lanes)wasm_f32x4_pmin((v128_t)a, (v128_t)b); }
INLINE Lanes greater(Lanes a, Lanes b) { return (Lanes)wasm_f32x4_pmax((v128_t)a, (v128_t)b); }
INLINE Lanes magnitude(Lanes a) { return (Lanes)wasm_f32x4_abs((v128_t)a); }
INLINE Lanes rounded(Lanes a) { return (Lanes)wasm_f32x4_nearest((v128_t)a); }
// A constant for a loop, see `opaque`.
INLINE Lanes loop_lanes(float value) { return (Lanes)constant_f32(value); }

// Whole numbers within bounds.
struct Codes {
  Lanes least, most;
  INLINE Codes(float least, float most) : least(loop_lanes(least)), most(loop_lanes(most)) {}
  INLINE Lanes operator()(Lanes a) const {
    return lesser(greater((Lanes)wasm_f32x4_nearest((v128_t)a), least), most);
  }
};
// 1 / a, and 0 where a is 0.
INLINE Lanes inverse(Lanes a) { return choose(a != lanes(0), lanes(1) / a, lanes(0)); }
INLINE float largest(Lanes a) { return f32x4_hmax((v128_t)a); }
INLINE float total(Lanes a) { return f32x4_hsum((v128_t)a); }

// Value i of four blocks of n in lanes 0..3 of v[i].
template <int n>
struct Four {
  Lanes v[n];
};

// Four blocks of n that follow one another at p, each value times `factor`.
template <int n>
INLINE Four<n> load_four(const float* p, float factor) {
  Four<n> four;
  for (int i = 0; i < n; i += 4) {
    v128_t columns[4];
    transpose_dwords(wasm_v128_load(p + i), wasm_v128_load(p + n + i), wasm_v128_load(p + 2 * n + i),
                     wasm_v128_load(p + 3 * n + i), columns);
    for (int j = 0; j < 4; j++) four.v[i + j] = (Lanes)columns[j] * lanes(factor);
  }
  return four;
}

// Whole numbers 0..255, as bytes at p, block after block.
template <int n>
INLINE void store_bytes(const Four<n>& codes, uint8_t* p) {
  for (int i = 0; i < n; i += 4) {
    v128_t word = wasm_i32x4_const_splat(0);
    for (int j = 0; j < 4; j++)
      word = wasm_v128_or(word, wasm_i32x4_shl(small_to_i32((v128_t)codes.v[i + j]), 8 * j));
    wasm_v128_store32_lane(p + i, word, 0);
    wasm_v128_store32_lane(p + n + i, word, 1);
    wasm_v128_store32_lane(p + 2 * n + i, word, 2);
    wasm_v128_store32_lane(p + 3 * n + i, word, 3);
  }
}

// The power of two that brings a magnitude to [1, 2), for magnitudes of 2^-100 to 2^100; else 0.
INLINE float unit_of(float magnitude) {
  const int32_t exponent = (__builtin_bit_cast(int32_t, magnitude) >> 23 & 255) - 127;
  if (exponent < -100 || exponent > 100) return 0;
  return __builtin_bit_cast(float, (127 - exponent) << 23);
}

// What f16 makes of a scale of values that were brought near one.
INLINE float half_of(float scaled, float unit) { return as_half(scaled / unit) * unit; }

INLINE float largest_magnitude(const float* x, int n) {
  v128_t most = f32x4_zero();
  for (int i = 0; i < n; i += 4) most = wasm_f32x4_pmax(most, wasm_f32x4_abs(wasm_v128_load(x + i)));
  return f32x4_hmax(most);
}

// What an error weighs at least, beside a largest weight of 1: a column that was never used still gets sensible values.
constexpr float LEAST_WEIGHT = 0x1p-20f;

// A super-block of 256 values in blocks of n, and what an error of each weighs; both brought near one by powers of two, so
// that no sum of squares leaves the range of f32.
template <int n>
struct Super {
  static constexpr int groups = 64 / n;
  Four<n> x[groups];
  Four<n> w[groups];
  float unit;     // values times unit are x; 0: they are all zero, or too small to be told from it
  bool weighted;  // else all weigh the same, and w is not set

  INLINE void load(const float* values, const float* importance) {
    unit = unit_of(largest_magnitude(values, 256));
    if (unit == 0) return;
    for (int g = 0; g < groups; g++) x[g] = load_four<n>(values + 4 * n * g, unit);
    const float heavy = importance ? unit_of(largest_magnitude(importance, 256)) : 0;
    weighted = heavy > 0;
    for (int g = 0; weighted && g < groups; g++) {
      w[g] = load_four<n>(importance + 4 * n * g, heavy);
      for (Lanes& weight : w[g].v) weight = greater(lanes(LEAST_WEIGHT), weight);
    }
  }
};
