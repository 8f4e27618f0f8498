// What encoders share. An encoder takes rows of f32 and writes rows of blocks:
//
//   uint32_t quantize_<format>(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols)
//
// x [rows][cols], cols whole blocks; importance [cols], how much an error of each column weighs, or null. It returns 0, or
// 1 + the first row that has a value which is NaN, infinite or too large for the format: that row and those behind it are not
// written. All pointers but out are multiples of 16. Errors are sums in f32 in a fixed order, rounded after each operation: the same bytes in
// every engine. src/kernels/convert.ts is the twin in TypeScript.
#pragma once
#include <stdint.h>
#include <string.h>

#include "../blocks.h"
#include "../f32x4.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

// Whole numbers below 2^22 to i32: three instructions on x86, where the conversion takes eight for what does not fit.
INLINE v128_t small_to_i32(v128_t whole) {
  const v128_t magic = wasm_f32x4_const_splat(0x1.8p23f);
  return wasm_i32x4_sub(wasm_f32x4_add(whole, magic), magic);
}

/** The largest f16. */
constexpr float HALF_MOST = 65504;

/** Whether all values are numbers of at most a magnitude: their bits, without the sign, are at most that one's. */
inline bool all_within(float limit, const float* x, uint32_t n) {
  const v128_t size = constant_u32(0x7fffffff), above = wasm_i32x4_splat(__builtin_bit_cast(int32_t, limit));
  v128_t most[2] = {};
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 2; j++)
      most[j] = wasm_i32x4_max(most[j], wasm_v128_and(wasm_v128_load(x + i + 4 * j), size));
  for (; i < n; i++)
    if (!(__builtin_fabsf(x[i]) <= limit)) return false;
  return !wasm_v128_any_true(wasm_i32x4_gt(wasm_i32x4_max(most[0], most[1]), above));
}

/** The f16 nearest to a float, ties to even; the largest for what is beyond. */
inline v128_t to_halves(v128_t v) {
  const v128_t most = wasm_f32x4_const_splat(HALF_MOST);
  return f32x4_to_f16(wasm_f32x4_pmax(wasm_f32x4_pmin(v, most), wasm_f32x4_neg(most)));
}
inline uint16_t to_half(float v) {
  return static_cast<uint16_t>(wasm_i32x4_extract_lane(to_halves(wasm_f32x4_splat(v)), 0));
}
inline void store_half(uint8_t* to, float v) {
  const uint16_t half = to_half(v);
  memcpy(to, &half, 2);
}
/** Two floats, as two f16 one after the other. */
inline void store_halves(uint8_t* to, float a, float b) {
  const v128_t halves = to_halves(wasm_f32x4_make(a, b, 0, 0));
  const uint32_t both = static_cast<uint32_t>(wasm_i32x4_extract_lane(halves, 0) | wasm_i32x4_extract_lane(halves, 1) << 16);
  memcpy(to, &both, 4);
}
/** What a float becomes when it is stored as f16. */
inline float as_half(float v) {
  return wasm_f32x4_extract_lane(f32x4_from_f16(wasm_i32x4_splat(to_half(v))), 0);
}

/** Encodes rows block by block: encode(x, importance of the block's columns or null, block); no value is above `limit`. */
template <class Block, uint32_t values, class Encode>
INLINE uint32_t encode_rows(float limit, const float* x, const float* importance, uint8_t* out, uint32_t rows,
                            uint32_t cols, Encode encode) {
  for (uint32_t r = 0; r < rows; r++, x += cols) {
    if (!all_within(limit, x, cols)) return 1 + r;
    for (uint32_t c = 0; c < cols; c += values, out += sizeof(Block))
      encode(x + c, importance ? importance + c : nullptr, *reinterpret_cast<Block*>(out));
  }
  return 0;
}
