// The formats whose blocks of 32 values stand by themselves: four of them at a time.
#pragma once
#include "lanes.h"

// The powers of two that bring magnitudes to [1, 2), see unit_of.
INLINE Lanes units_of(Lanes magnitudes) {
  const v128_t exponent = wasm_i32x4_sub(wasm_u32x4_shr((v128_t)magnitudes, 23), wasm_i32x4_const_splat(127));
  const v128_t unit = wasm_i32x4_shl(wasm_i32x4_sub(wasm_i32x4_const_splat(127), exponent), 23);
  const v128_t in_range = wasm_i32x4_le(wasm_i32x4_abs(exponent), wasm_i32x4_const_splat(100));
  return (Lanes)wasm_v128_and(unit, in_range);
}

// Four blocks, each brought near one, and what an error of each value weighs.
struct Fours {
  Four<32> x, w;
  Lanes unit;  // values times unit are x; 0: all are zero, or too small to be told from it

  INLINE void load(const float* values, const float* importance) {
    x = load_four<32>(values, 1);
    unit = bring_near_one(x);
    if (!importance) return;
    w = load_four<32>(importance, 1);
    const Mask nothing = bring_near_one(w) == lanes(0);
    for (Lanes& weight : w.v) weight = choose(nothing, lanes(1), greater(lanes(LEAST_WEIGHT), weight));
  }

  static INLINE Lanes bring_near_one(Four<32>& values) {
    Lanes most = lanes(0);
    for (const Lanes& v : values.v) most = greater(most, magnitude(v));
    const Lanes unit = units_of(most);
    for (Lanes& v : values.v) v *= unit;
    return unit;
  }

  // A scale as f16 has it.
  INLINE Lanes half_of(Lanes scale) const {
    return (Lanes)f32x4_from_f16(to_halves((v128_t)(scale * inverse(unit)))) * unit;
  }
};

INLINE void halves_of(const Fours& four, Lanes scale, uint16_t out[4]) {
  const v128_t halves = to_halves((v128_t)(scale * inverse(four.unit)));
  for (int i = 0; i < 4; i++) out[i] = static_cast<uint16_t>(reinterpret_cast<const int32_t*>(&halves)[i]);
}

// Encodes rows by encode(x, importance or null, blocks): four blocks at a time, the last ones of a row beside zeros.
template <class Block, class Encode>
INLINE uint32_t encode_fours(float limit, const float* x, const float* importance, uint8_t* out, uint32_t rows,
                             uint32_t cols, Encode encode) {
  for (uint32_t r = 0; r < rows; r++, x += cols) {
    if (!all_within(limit, x, cols)) return 1 + r;
    for (uint32_t c = 0; c < cols; c += 128) {
      if (cols - c >= 128) {
        encode(x + c, importance ? importance + c : nullptr, reinterpret_cast<Block*>(out));
        out += 4 * sizeof(Block);
        continue;
      }
      float values[128] = {}, weights[128] = {};
      Block blocks[4];
      memcpy(values, x + c, 4 * (cols - c));
      if (importance) memcpy(weights, importance + c, 4 * (cols - c));
      encode(values, importance ? weights : nullptr, blocks);
      const uint32_t bytes = (cols - c) / 32 * sizeof(Block);
      memcpy(out, blocks, bytes);
      out += bytes;
    }
  }
  return 0;
}
