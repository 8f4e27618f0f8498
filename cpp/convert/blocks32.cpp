// The blocks of 32 values: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1. Without importance they are llama.cpp's bytes; with it, of many
// scales near that one the best by the weighted error.
#include "fours.h"
#include "lines.h"
#include "multiples.h"
#include "values.h"

using Values32 = Values<32>;

/** x · factor + shift, cut off, at most `most`. */
static INLINE Values32 cut(const Values32& x, float factor, float shift, float most) {
  Values32 out;
  for (int i = 0; i < 8; i++) {
    const v128_t scaled = wasm_f32x4_mul(x.v[i], wasm_f32x4_splat(factor));
    const v128_t whole = wasm_f32x4_trunc(wasm_f32x4_add(scaled, wasm_f32x4_splat(shift)));
    out.v[i] = wasm_f32x4_pmin(whole, wasm_f32x4_splat(most));
  }
  return out;
}

static INLINE float inverse(float d) { return d ? 1 / d : 0; }

/** 32 bytes as nibbles, the low ones first; where a code has five bits, the upper ones apart. */
template <class Block>
static INLINE void store_codes(v128_t first, v128_t last, Block& block) {
  const v128_t nibble = wasm_i8x16_const_splat(0x0f);
  wasm_v128_store(block.q, wasm_v128_or(wasm_v128_and(first, nibble), wasm_i16x8_shl(wasm_v128_and(last, nibble), 4)));
  if constexpr (requires { block.high; }) {
    const v128_t five = wasm_i8x16_const_splat(0x10);
    const uint32_t bits = wasm_i8x16_bitmask(wasm_i8x16_eq(wasm_v128_and(first, five), five)) |
                          wasm_i8x16_bitmask(wasm_i8x16_eq(wasm_v128_and(last, five), five)) << 16;
    memcpy(block.high, &bits, 4);
  }
}

EXPORT(quantize_q8_0)
uint32_t quantize_q8_0(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_rows<BlockQ8_0, 32>(127 * HALF_MOST, x, importance, out, rows, cols, [](const float* x, const float*, BlockQ8_0& block) {
    const Values32 values = Values32::load(x);
    const float d = largest(magnitudes(values)) / 127;
    const v128_t factor = wasm_f32x4_splat(inverse(d)), half = wasm_f32x4_const_splat(0.5f);
    v128_t words[8];
    for (int i = 0; i < 8; i++) {
      // Halves go away from zero.
      const v128_t v = wasm_f32x4_mul(values.v[i], factor), whole = wasm_f32x4_trunc(v);
      const v128_t up = wasm_f32x4_ge(wasm_f32x4_abs(wasm_f32x4_sub(v, whole)), half);
      const v128_t one = wasm_v128_or(wasm_v128_and(v, wasm_i32x4_const_splat(INT32_MIN)), wasm_f32x4_const_splat(1));
      words[i] = small_to_i32(wasm_f32x4_add(whole, wasm_v128_and(up, one)));
    }
    store_half(block.d, d);
    for (int i = 0; i < 2; i++)
      wasm_v128_store(block.q + 16 * i,
                      wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(words[4 * i], words[4 * i + 1]),
                                              wasm_i16x8_narrow_i32x4(words[4 * i + 2], words[4 * i + 3])));
  });
}

template <class Block>
static INLINE void store_codes(const Values32& codes, Block& block) {
  store_codes(code_bytes(codes, 0), code_bytes(codes, 4), block);
}

/** The codes of four blocks, which are lost. */
template <class Block>
static INLINE void store_fours(const Four<32>& codes, Block* blocks) {
  uint8_t bytes[128];
  store_bytes(codes, bytes);
  for (int b = 0; b < 4; b++) store_codes(wasm_v128_load(bytes + 32 * b), wasm_v128_load(bytes + 32 * b + 16), blocks[b]);
}

/** d * (q - offset), by the weighted error. */
template <class Block, int offset>
static INLINE void weighted_scales(const float* x, const float* weights, Block* blocks, Trials trials) {
  Fours four;
  four.load(x, weights);
  const Codes code(-offset, offset - 1);
  const Lanes d = four.half_of(fit_multiples<true>(four.x, four.w, code, trials, 2)), factor = inverse(d);
  uint16_t halves[4];
  halves_of(four, d, halves);
  for (int b = 0; b < 4; b++) memcpy(blocks[b].d, &halves[b], 2);
  for (Lanes& v : four.x.v) v = code(v * factor) + lanes(offset);
  store_fours(four.x, blocks);
}

/** d * q + m, by the weighted error. */
template <class Block, int most>
static INLINE void weighted_lines(const float* x, const float* weights, Block* blocks, LineTrials trials) {
  Fours four;
  four.load(x, weights);
  const LineFit fit = fit_lines<true, false>(four.x, four.w, most, trials, 2);
  const Lanes d = four.half_of(fit.d), m = four.half_of(-fit.m), factor = inverse(d);
  uint16_t halves[2][4];
  halves_of(four, d, halves[0]);
  halves_of(four, m, halves[1]);
  for (int b = 0; b < 4; b++) {
    memcpy(blocks[b].d, &halves[0][b], 2);
    memcpy(blocks[b].m, &halves[1][b], 2);
  }
  const Codes code(0, most);
  for (Lanes& v : four.x.v) v = code((v - m) * factor);
  store_fours(four.x, blocks);
}

/** d * (q - offset): the value furthest from zero is -offset. */
template <class Block, int offset>
static INLINE uint32_t quantize_scaled(const float* x, const float* importance, uint8_t* out, uint32_t rows,
                                       uint32_t cols, Trials trials) {
  if (importance)
    return encode_fours<Block>(offset * HALF_MOST, x, importance, out, rows, cols, [&](const float* x, const float* weights, Block* blocks) {
      weighted_scales<Block, offset>(x, weights, blocks, trials);
    });
  return encode_rows<Block, 32>(offset * HALF_MOST, x, nullptr, out, rows, cols, [](const float* x, const float*, Block& block) {
    const Values32 values = Values32::load(x);
    const float d = furthest(values) / -offset;
    store_half(block.d, d);
    store_codes(cut(values, inverse(d), offset + 0.5f, 2 * offset - 1), block);
  });
}

/** d * q + m: the smallest value is m. */
template <class Block, int most>
static INLINE uint32_t quantize_minimum(const float* x, const float* importance, uint8_t* out, uint32_t rows,
                                        uint32_t cols, LineTrials trials) {
  if (importance)
    return encode_fours<Block>(HALF_MOST, x, importance, out, rows, cols, [&](const float* x, const float* weights, Block* blocks) {
      weighted_lines<Block, most>(x, weights, blocks, trials);
    });
  return encode_rows<Block, 32>(HALF_MOST, x, nullptr, out, rows, cols, [](const float* x, const float*, Block& block) {
    const Values32 values = Values32::load(x);
    const auto [m, far] = extremes(values);
    const float d = (far - m) / most;
    store_halves(block.d, d, m);
    store_codes(cut(shifted(values, -m), inverse(d), 0.5f, most), block);
  });
}

EXPORT(quantize_q4_0)
uint32_t quantize_q4_0(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize_scaled<BlockQ4_0, 8>(x, importance, out, rows, cols, {-8, -7, 1.04f, 0, 20, -0.94f});
}
EXPORT(quantize_q5_0)
uint32_t quantize_q5_0(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize_scaled<BlockQ5_0, 16>(x, importance, out, rows, cols, {-16, -15, 1.03f, 0, 20, -0.97f});
}
EXPORT(quantize_q4_1)
uint32_t quantize_q4_1(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize_minimum<BlockQ4_1, 15>(x, importance, out, rows, cols, {-1, 0.3f, 8, 0.33f});
}
EXPORT(quantize_q5_1)
uint32_t quantize_q5_1(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize_minimum<BlockQ5_1, 31>(x, importance, out, rows, cols, {-1, 0.3f, 8, 0.33f});
}
