// What encoders share. An encoder takes rows of f32 and writes rows of blocks:
//
//   uint32_t quantize_<format>(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols)
//
// x [rows][cols], cols whole blocks; importance [cols], how much an error of each column weighs, or null. It returns 0, or
// 1 + the first row that has a value which is no finite number: that row and those behind it are not written. All pointers
// but out are multiples of 16. Errors are sums in f32 in a fixed order, rounded after each operation: the same bytes in
// every engine. src/kernels/convert.ts is the twin in TypeScript.
#pragma once
#include <stdint.h>
#include <string.h>

#include "../blocks.h"
#include "../f32x4.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

/** Whether all values are numbers and finite: only those are themselves minus themselves zero. */
inline bool all_finite(const float* x, uint32_t n) {
  v128_t odd = f32x4_zero();
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    v128_t v = wasm_v128_load(x + i);
    odd = wasm_v128_or(odd, wasm_f32x4_ne(wasm_f32x4_sub(v, v), f32x4_zero()));
  }
  for (; i < n; i++)
    if (x[i] - x[i] != 0) return false;
  return !wasm_v128_any_true(odd);
}

/** The f16 nearest to a float, ties to even. */
inline uint16_t to_half(float v) {
  return static_cast<uint16_t>(wasm_i32x4_extract_lane(f32x4_to_f16(wasm_f32x4_splat(v)), 0));
}
inline void store_half(uint8_t* to, float v) {
  const uint16_t half = to_half(v);
  memcpy(to, &half, 2);
}
/** What a float becomes when it is stored as f16. */
inline float as_half(float v) {
  return wasm_f32x4_extract_lane(f32x4_from_f16(wasm_i32x4_splat(to_half(v))), 0);
}

/** Encodes rows block by block: encode(x, importance of the block's columns or null, block). */
template <class Block, uint32_t values, class Encode>
INLINE uint32_t encode_rows(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols,
                            Encode encode) {
  for (uint32_t r = 0; r < rows; r++, x += cols) {
    if (!all_finite(x, cols)) return 1 + r;
    for (uint32_t c = 0; c < cols; c += values, out += sizeof(Block))
      encode(x + c, importance ? importance + c : nullptr, *reinterpret_cast<Block*>(out));
  }
  return 0;
}
