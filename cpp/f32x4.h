// Four floats at a time: the vocabulary of the kernels that compute in f32. Multiplies and adds are rounded separately
// (-ffp-contract=off), so every engine and build gives the same bits.
#pragma once
#include "simd.h"

// A constant for a loop, see `opaque`.
INLINE v128_t constant_f32(float value) { return constant_u32(__builtin_bit_cast(uint32_t, value)); }

inline v128_t f32x4_zero() { return wasm_f32x4_const_splat(0.0f); }

// sum + a * b, two roundings.
inline v128_t f32x4_muladd(v128_t sum, v128_t a, v128_t b) { return wasm_f32x4_add(sum, wasm_f32x4_mul(a, b)); }

// Activations below this count as zero where they are packed or gated. Beside ordinary ones, of 2^-10 and more, they would
// be lost in a sum's rounding by 30 bits. But still smaller ones, times a block's scale (f16: 2^-24 and more), end among
// the subnormal numbers, and each operation on one of those costs a processor some 150 cycles: where gates are near -85,
// products of w2 took two to five times as long. From 2^-64 on all products are normal, with room to spare.
inline constexpr float NEGLIGIBLE = 0x1p-64f;

// v, or 0 where it is negligible; NaN and infinities pass.
template <class Float>
inline Float significant(Float v) {
  return v > -NEGLIGIBLE && v < NEGLIGIBLE ? 0 : v;
}
inline v128_t f32x4_significant(v128_t v) {
  return wasm_v128_andnot(v, wasm_f32x4_lt(wasm_f32x4_abs(v), wasm_f32x4_const_splat(NEGLIGIBLE)));
}

// The first n < 4 floats at p, then zeros; and their store.
inline v128_t f32x4_load_part(const float* p, uint32_t n) {
  float lanes[4] = {};
  for (uint32_t i = 0; i < n; i++) lanes[i] = p[i];
  return wasm_v128_load(lanes);
}
inline void f32x4_store_part(float* p, v128_t v, uint32_t n) {
  float lanes[4];
  wasm_v128_store(lanes, v);
  for (uint32_t i = 0; i < n; i++) p[i] = lanes[i];
}

// Calls row(column, load, store) for every vector of a row: whole ones, then the padded rest. One body serves both, so a
// value's bits do not depend on its place.
template <class Body>
inline void f32x4_columns(uint32_t cols, Body body) {
  uint32_t c = 0;
  for (; c + 4 <= cols; c += 4)
    body(c, [](const float* p) { return wasm_v128_load(p); }, [](float* p, v128_t v) { wasm_v128_store(p, v); });
  if (uint32_t rest = cols - c)
    body(c, [rest](const float* p) { return f32x4_load_part(p, rest); },
         [rest](float* p, v128_t v) { f32x4_store_part(p, v, rest); });
}

// The one order in which four lanes are added: (0 + 2) + (1 + 3).
inline float f32x4_hsum(v128_t v) {
  v128_t halves = wasm_f32x4_add(v, wasm_i64x2_shuffle(v, v, 1, 1));
  return wasm_f32x4_extract_lane(halves, 0) + wasm_f32x4_extract_lane(halves, 1);
}

// The same sums of four vectors, as the lanes of one.
inline v128_t f32x4_hsum4(v128_t a, v128_t b, v128_t c, v128_t d) {
  v128_t ab = wasm_f32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
  v128_t cd = wasm_f32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
  return wasm_f32x4_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}

// Sum of a[c] * b[c]: 16 lanes by column mod 16, then added in one order.
inline float f32x4_dot(const float* a, const float* b, uint32_t cols) {
  v128_t sum[4] = {f32x4_zero(), f32x4_zero(), f32x4_zero(), f32x4_zero()};
  uint32_t whole = cols / 16 * 16;
  for (uint32_t c = 0; c < whole; c += 16)
    for (uint32_t i = 0; i < 4; i++)
      sum[i] = f32x4_muladd(sum[i], wasm_v128_load(a + c + 4 * i), wasm_v128_load(b + c + 4 * i));
  uint32_t i = 0;
  f32x4_columns(cols - whole, [&](uint32_t c, auto load, auto) {
    sum[i] = f32x4_muladd(sum[i], load(a + whole + c), load(b + whole + c));
    i++;
  });
  return f32x4_hsum(wasm_f32x4_add(wasm_f32x4_add(sum[0], sum[1]), wasm_f32x4_add(sum[2], sum[3])));
}

inline float f32x4_hmax(v128_t v) {
  v128_t halves = wasm_f32x4_pmax(v, wasm_i64x2_shuffle(v, v, 1, 0));
  float a = wasm_f32x4_extract_lane(halves, 0), b = wasm_f32x4_extract_lane(halves, 1);
  return a < b ? b : a;
}

// Four halves (i32 lanes, zero-extended) to floats, exactly: subnormals, infinities and NaN too.
inline v128_t f32x4_from_f16(v128_t h) {
  v128_t magnitude = wasm_i32x4_shl(wasm_v128_and(h, wasm_i32x4_const_splat(0x7fff)), 13);
  v128_t sign = wasm_i32x4_shl(wasm_v128_and(h, wasm_i32x4_const_splat(0x8000)), 16);
  // The exponent's bias is 112 less than a float's; a multiply also makes subnormals normal. 31 stands for infinity.
  v128_t value = wasm_f32x4_mul(magnitude, wasm_f32x4_const_splat(0x1p112f));
  v128_t infinite = wasm_i32x4_gt(magnitude, wasm_i32x4_const_splat(0x0f7fffff));
  value = wasm_v128_or(value, wasm_v128_and(infinite, wasm_i32x4_const_splat(0x7f800000)));
  return wasm_v128_or(value, sign);
}

// Four floats to halves in i32 lanes, rounded to nearest even; what is too large becomes infinite.
inline v128_t f32x4_to_f16(v128_t v) {
  v128_t magnitude = wasm_v128_and(v, wasm_i32x4_const_splat(0x7fffffff));
  v128_t sign = wasm_v128_and(wasm_u32x4_shr(v, 16), wasm_i32x4_const_splat(0x8000));
  v128_t odd = wasm_v128_and(wasm_u32x4_shr(magnitude, 13), wasm_i32x4_const_splat(1));
  v128_t normal = wasm_i32x4_add(magnitude, wasm_i32x4_const_splat(0xfff - (112 << 23)));
  normal = wasm_u32x4_shr(wasm_i32x4_add(normal, odd), 13);
  // A float from 0.5 to 1 counts in units of 2^-24, as the subnormal halves do: adding 0.5 rounds to them.
  v128_t half = wasm_f32x4_const_splat(0.5f);
  v128_t subnormal = wasm_i32x4_sub(wasm_f32x4_add(magnitude, half), half);
  v128_t result = wasm_v128_bitselect(subnormal, normal, wasm_i32x4_lt(magnitude, wasm_i32x4_const_splat(113 << 23)));
  v128_t large = wasm_i32x4_gt(magnitude, wasm_i32x4_const_splat((143 << 23) - 1));
  result = wasm_v128_bitselect(wasm_i32x4_const_splat(0x7c00), result, large);
  v128_t nan = wasm_i32x4_gt(magnitude, wasm_i32x4_const_splat(0x7f800000));
  result = wasm_v128_bitselect(wasm_i32x4_const_splat(0x7e00), result, nan);
  return wasm_v128_or(result, sign);
}
