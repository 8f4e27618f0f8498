// A few dozen values at once, in vectors: one block.
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

template <int n>
INLINE float largest(const Values<n>& x) {
  v128_t most = x.v[0];
  for (int i = 1; i < n / 4; i++) most = wasm_f32x4_pmax(most, x.v[i]);
  return f32x4_hmax(most);
}

template <int n>
INLINE Values<n> shifted(const Values<n>& x, float by) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) out.v[i] = wasm_f32x4_add(x.v[i], wasm_f32x4_splat(by));
  return out;
}

template <int n>
INLINE Values<n> magnitudes(const Values<n>& x) {
  Values<n> out;
  for (int i = 0; i < n / 4; i++) out.v[i] = wasm_f32x4_abs(x.v[i]);
  return out;
}

struct Extremes {
  float smallest, largest;
};
template <int n>
INLINE Extremes extremes(const Values<n>& x) {
  v128_t least = x.v[0], most = x.v[0];
  for (int i = 1; i < n / 4; i++) {
    least = wasm_f32x4_pmin(least, x.v[i]);
    most = wasm_f32x4_pmax(most, x.v[i]);
  }
  // Both at once: the largest of -x and of x.
  least = wasm_f32x4_neg(least);
  v128_t both = wasm_f32x4_pmax(wasm_i64x2_shuffle(least, most, 0, 2), wasm_i64x2_shuffle(least, most, 1, 3));
  both = wasm_f32x4_pmax(both, wasm_i32x4_shuffle(both, both, 1, 0, 3, 2));
  return {-wasm_f32x4_extract_lane(both, 0), wasm_f32x4_extract_lane(both, 2)};
}

/** The first value of largest magnitude, with its sign; 0 where all are zeros of either sign. */
template <int n>
INLINE float furthest(const Values<n>& x) {
  const Values<n> sizes = magnitudes(x);
  const float size = largest(sizes);
  if (size == 0) return 0;
  const v128_t most = wasm_f32x4_splat(size);
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
  for (int i = 0; i < 4; i++) words[i] = small_to_i32(codes.v[first + i]);
  return wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(words[0], words[1]),
                                 wasm_i16x8_narrow_i32x4(words[2], words[3]));
}
