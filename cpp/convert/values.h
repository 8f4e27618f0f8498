// A few dozen values at once, in vectors: what the searches for scales are made of.
#pragma once
#include "convert.h"

/** n values, a multiple of 4. */
template <int n>
struct Values {
  v128_t v[n / 4];

  static INLINE Values load(const float* x) {
    Values out;
    for (int i = 0; i < n / 4; i++) out.v[i] = wasm_v128_load(x + 4 * i);
    return out;
  }
  static INLINE Values all(float value) {
    Values out;
    for (v128_t& v : out.v) v = wasm_f32x4_splat(value);
    return out;
  }
};

/** The sum of four lanes of as many accumulators as there are vectors, in one order. */
template <int n>
INLINE float sum(const Values<n>& x) {
  v128_t total = x.v[0];
  for (int i = 1; i < n / 4; i++) total = wasm_f32x4_add(total, x.v[i]);
  return f32x4_hsum(total);
}

template <int n>
INLINE float largest(const Values<n>& x) {
  v128_t most = x.v[0];
  for (int i = 1; i < n / 4; i++) most = wasm_f32x4_pmax(most, x.v[i]);
  most = wasm_f32x4_pmax(most, wasm_i64x2_shuffle(most, most, 1, 1));
  const float a = wasm_f32x4_extract_lane(most, 0), b = wasm_f32x4_extract_lane(most, 1);
  return a > b ? a : b;
}

template <int n>
INLINE Values<n> magnitudes(const Values<n>& x) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) out.v[i] = wasm_f32x4_abs(x.v[i]);
  return out;
}

template <int n>
INLINE Values<n> negated(const Values<n>& x) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) out.v[i] = wasm_f32x4_neg(x.v[i]);
  return out;
}

template <int n>
INLINE float smallest(const Values<n>& x) {
  return -largest(negated(x));
}

/** The first value of largest magnitude, with its sign. */
template <int n>
INLINE float furthest(const Values<n>& x) {
  const Values<n> sizes = magnitudes(x);
  const v128_t most = wasm_f32x4_splat(largest(sizes));
  for (int i = 0; i < n / 4; i++) {
    const uint32_t found = wasm_i32x4_bitmask(wasm_f32x4_eq(sizes.v[i], most));
    if (!found) continue;
    float lanes[4];
    wasm_v128_store(lanes, x.v[i]);
    return lanes[__builtin_ctz(found)];
  }
  return 0;
}

/** Codes 0..255 as bytes, 16 of them from vector `first` on. The values are whole numbers. */
template <int n>
INLINE v128_t code_bytes(const Values<n>& codes, int first) {
  v128_t words[4];
  for (int i = 0; i < 4; i++) words[i] = wasm_i32x4_trunc_sat_f32x4(codes.v[first + i]);
  return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(words[0], words[1]),
                                 wasm_i16x8_narrow_i32x4(words[2], words[3]));
}
