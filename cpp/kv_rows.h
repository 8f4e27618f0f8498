// Rows of the cache: one position's key or value of one head, as it stands in a page, and back as f32. Rows are padded
// with zeros to whole strips of sixteen dims (q8_0's, whole blocks of 32, need none), so that no reader has a tail.
//
// A strip is read in the order that costs no shuffle: f16 gives each eight dims as 0, 2, 4, 6, 1, 3, 5, 7, the others
// give them in order.
#pragma once
#include <stddef.h>

#include "blocks.h"
#include "f32x4.h"
#include "kernels.h"

inline constexpr uint32_t STRIP = 16;  // dims

inline uint32_t padded_dim(uint32_t head_dim) { return (head_dim + STRIP - 1) / STRIP * STRIP; }

// The dim that stands at place i of a row as it is read.
inline uint32_t dim_at(uint32_t type, uint32_t i) { return type == KV_F16 ? (i & ~7u) + (i % 4) * 2 + (i & 4) / 4 : i; }

// ---- Writing -------------------------------------------------------------------------------------------------------

INLINE void store_f16(const float* src, uint32_t n, uint8_t* row) {
  f32x4_columns(n, [&](uint32_t c, auto load, auto) {
    v128_t halves = f32x4_to_f16(load(src + c));
    wasm_v128_store64_lane(row + 2 * c, wasm_u16x8_narrow_i32x4(halves, halves), 0);
  });
}

// A block as ggml's quantize_row_q8_0_ref makes it: d = amax / 127, codes x * (1 / d) with d as it was before it became a
// half, rounded half away from zero. Where 1 / d overflows, d becomes a half of 0 and the codes, which do not matter, are
// 0. An infinity or NaN makes d infinite or NaN and the codes 0, so that all of the block reads as NaN.
INLINE void quantize_q8_0(const float* x, BlockQ8_0& block) {
  v128_t amax = f32x4_zero();
  for (uint32_t i = 0; i < 32; i += 4) amax = wasm_f32x4_max(amax, wasm_f32x4_abs(wasm_v128_load(x + i)));
  amax = wasm_f32x4_max(amax, wasm_i64x2_shuffle(amax, amax, 1, 0));
  amax = wasm_f32x4_max(amax, wasm_i32x4_shuffle(amax, amax, 1, 0, 3, 2));
  v128_t d = wasm_f32x4_div(amax, wasm_f32x4_const_splat(127)), inverse = wasm_f32x4_div(wasm_f32x4_const_splat(1), d);
  inverse = wasm_v128_and(inverse, wasm_f32x4_le(inverse, wasm_f32x4_const_splat(__FLT_MAX__)));
  wasm_v128_store16_lane(block.d, f32x4_to_f16(d), 0);

  // Cutting off after adding the largest float below a half: a half itself, added to 0.49999997, would round up to 1.
  v128_t sign = wasm_f32x4_const_splat(-0.0f), below_half = wasm_f32x4_const_splat(0x1.fffffep-2f), q[8];
  for (uint32_t i = 0; i < 8; i++) {
    v128_t scaled = wasm_f32x4_mul(wasm_v128_load(x + 4 * i), inverse);
    q[i] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_add(scaled, wasm_v128_bitselect(scaled, below_half, sign)));
  }
  for (uint32_t i = 0; i < 2; i++)
    wasm_v128_store(block.q + 16 * i, wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(q[4 * i], q[4 * i + 1]),
                                                              wasm_i16x8_narrow_i32x4(q[4 * i + 2], q[4 * i + 3])));
}

// Writes the row of head_dim values.
inline void store_row(uint32_t type, const float* src, uint32_t head_dim, uint8_t* row) {
  if (type == KV_Q8_0) {
    for (uint32_t b = 0; b < head_dim / 32; b++) quantize_q8_0(src + 32 * b, reinterpret_cast<BlockQ8_0*>(row)[b]);
    return;
  }
  uint32_t end = kv_row_bytes(head_dim, type), written = head_dim * (type == KV_F16 ? 2 : 4);
  if (type == KV_F16)
    store_f16(src, head_dim, row);
  else
    __builtin_memcpy(row, src, written);
  __builtin_memset(row + written, 0, end - written);
}

// ---- Reading: dims [d, d + 16) of some rows as f32, those of row i to to[i * stride] -----------------------------------

struct Rows {
  const uint8_t* at;
  uint32_t bytes;  // from a row to the next
  uint32_t count;  // a multiple of 4
};

INLINE void read_f32(const Rows& rows, uint32_t d, float* to, uint32_t stride) {
  const uint8_t* from = rows.at + 4 * d;
  for (uint32_t i = 0; i < rows.count; i++, from += rows.bytes, to += stride)
    for (uint32_t j = 0; j < STRIP; j += 4) wasm_v128_store(to + j, wasm_v128_load(from + 4 * j));
}

// Unless `exact` it takes infinities and NaN, which are rare, for finite numbers. @returns whether it met none
template <bool exact>
INLINE bool read_f16(const Rows& rows, uint32_t d, float* to, uint32_t stride) {
  const HalfToFloat half;
  const uint8_t* from = rows.at + 2 * d;
  v128_t largest = wasm_i32x4_const_splat(0);  // magnitude, doubled
  for (uint32_t i = 0; i < rows.count; i++, from += rows.bytes, to += stride)
    for (uint32_t j = 0; j < STRIP; j += 8) {
      v128_t pairs = wasm_v128_load(from + 2 * j);
      if (exact) {
        wasm_v128_store(to + j, f32x4_from_f16(wasm_v128_and(pairs, wasm_i32x4_const_splat(0xffff))));
        wasm_v128_store(to + j + 4, f32x4_from_f16(wasm_u32x4_shr(pairs, 16)));
      } else {
        wasm_v128_store(to + j, half(wasm_i32x4_shl(pairs, 16)));
        wasm_v128_store(to + j + 4, half(pairs));
        largest = wasm_u16x8_max(largest, wasm_i16x8_add(pairs, pairs));
      }
    }
  return !wasm_v128_any_true(wasm_u16x8_ge(largest, wasm_i16x8_const_splat(0xf800)));
}

// The scales, not negative, of four blocks `stride` bytes apart. Small values have subnormal halves: a subtraction makes
// them normal, for a product of subnormal floats (HalfToFloat) costs processors dozens of cycles.
INLINE v128_t q8_0_scales(const uint8_t* blocks, uint32_t stride) {
  uint16_t halves[4];
  for (uint32_t i = 0; i < 4; i++) __builtin_memcpy(halves + i, blocks + i * stride, 2);
  v128_t bits = wasm_u32x4_make(halves[0], halves[1], halves[2], halves[3]);
  bits = wasm_i32x4_shl(wasm_v128_and(bits, wasm_i32x4_const_splat(0x7fff)), 13);
  v128_t normal = wasm_i32x4_add(bits, wasm_i32x4_const_splat(112 << 23));
  v128_t subnormal = wasm_i32x4_add(bits, wasm_i32x4_const_splat(113 << 23));
  subnormal = wasm_f32x4_sub(subnormal, wasm_f32x4_const_splat(0x1p-14f));
  v128_t scales = wasm_v128_bitselect(subnormal, normal, wasm_i32x4_lt(bits, wasm_i32x4_const_splat(1 << 23)));
  v128_t infinite = wasm_i32x4_gt(bits, wasm_i32x4_const_splat((31 << 23) - 1));
  return wasm_v128_or(scales, wasm_v128_and(infinite, wasm_i32x4_const_splat(0x7f800000)));
}

// Scale times code is exact: 11 bits times 8.
INLINE void read_q8_0(const Rows& rows, uint32_t d, float* to, uint32_t stride) {
  const uint8_t* from = rows.at + d / 32 * sizeof(BlockQ8_0);
  const uint32_t codes_at = offsetof(BlockQ8_0, q) + d % 32;
  for (uint32_t i = 0; i < rows.count; i += 4) {
    v128_t scales = q8_0_scales(from, rows.bytes);
    v128_t scale[4] = {wasm_i32x4_shuffle(scales, scales, 0, 0, 0, 0), wasm_i32x4_shuffle(scales, scales, 1, 1, 1, 1),
                       wasm_i32x4_shuffle(scales, scales, 2, 2, 2, 2), wasm_i32x4_shuffle(scales, scales, 3, 3, 3, 3)};
    for (uint32_t k = 0; k < 4; k++, from += rows.bytes, to += stride)
      for (uint32_t j = 0; j < STRIP; j += 8) {
        v128_t codes = wasm_i16x8_load8x8(from + codes_at + j);
        v128_t low = wasm_i32x4_extend_low_i16x8(codes), high = wasm_i32x4_extend_high_i16x8(codes);
        wasm_v128_store(to + j, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(low), scale[k]));
        wasm_v128_store(to + j + 4, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(high), scale[k]));
      }
  }
}

inline void read_strip(uint32_t type, const Rows& rows, uint32_t d, float* to, uint32_t stride) {
  if (type == KV_F32)
    read_f32(rows, d, to, stride);
  else if (type == KV_Q8_0)
    read_q8_0(rows, d, to, stride);
  else if (!read_f16<false>(rows, d, to, stride))
    read_f16<true>(rows, d, to, stride);
}
