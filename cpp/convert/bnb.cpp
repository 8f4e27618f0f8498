// bitsandbytes' encoders, to its bytes on the CPU, and what puts its checkpoints' tensors together. A 4-bit block is 64
// consecutive values: absmax, then each value's nearest code after times 1 / absmax; what is half-way goes to the lower value.
#include "../bnb_tables.h"
#include "convert.h"

namespace {

constexpr float SMALLEST = 1e-38f;  // that values are divided by

/** The codes of a table in ascending order of their values, and what lies half-way between neighbours. */
struct Ranks {
  uint8_t code[16];
  float between[15];
};

constexpr Ranks rank(const Table& table) {
  Ranks ranks = {};
  for (int i = 0; i < 16; i++) ranks.code[i] = static_cast<uint8_t>(i);
  for (int i = 1; i < 16; i++) {
    for (int j = i; j > 0 && table.values[ranks.code[j]] < table.values[ranks.code[j - 1]]; j--) {
      const uint8_t other = ranks.code[j];
      ranks.code[j] = ranks.code[j - 1];
      ranks.code[j - 1] = other;
    }
  }
  for (int i = 0; i < 15; i++) ranks.between[i] = (table.values[ranks.code[i]] + table.values[ranks.code[i + 1]]) / 2;
  return ranks;
}

constexpr Ranks NF4_RANKS = rank(NF4_TABLE), FP4_RANKS = rank(FP4_TABLE);

/** The codes of 16 values that are scaled to -1 .. 1. */
INLINE v128_t codes_of(const Ranks& ranks, const v128_t x[4]) {
  v128_t above[4];
  for (int i = 0; i < 4; i++) {
    above[i] = wasm_i32x4_const_splat(0);
    for (float between : ranks.between) {
      above[i] = wasm_i32x4_sub(above[i], wasm_f32x4_gt(x[i], wasm_f32x4_splat(between)));
    }
  }
  v128_t places = wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(above[0], above[1]),
                                          wasm_i16x8_narrow_i32x4(above[2], above[3]));
  return wasm_i8x16_swizzle(wasm_v128_load(ranks.code), places);
}

/** A block of `count` values; of a short one the rest is 0. @param whole - else the library divides, instead of multiplying */
INLINE void encode_block(const Ranks& ranks, const float* x, uint32_t count, bool whole, BlockTable& out) {
  alignas(16) float values[TABLE_BLOCK] = {};
  memcpy(values, x, count * sizeof(float));
  v128_t largest = f32x4_zero();
  for (uint32_t i = 0; i < TABLE_BLOCK; i += 4) {
    largest = wasm_f32x4_pmax(largest, wasm_f32x4_abs(wasm_v128_load(values + i)));
  }
  const float absmax = f32x4_hmax(largest), divisor = absmax < SMALLEST ? SMALLEST : absmax;
  const v128_t by = wasm_f32x4_splat(whole ? 1 / divisor : divisor);
  memcpy(out.absmax, &absmax, 4);
  for (uint32_t half = 0; half < 2; half++) {
    v128_t packed[2];
    for (uint32_t part = 0; part < 2; part++) {
      v128_t scaled[4];
      for (uint32_t i = 0; i < 4; i++) {
        v128_t v = wasm_v128_load(values + 32 * half + 16 * part + 4 * i);
        scaled[i] = whole ? wasm_f32x4_mul(v, by) : wasm_f32x4_div(v, by);
      }
      v128_t codes = codes_of(ranks, scaled);  // even values first: into the high nibbles
      packed[part] = wasm_v128_or(wasm_v128_and(wasm_i16x8_shl(codes, 4), wasm_i16x8_const_splat(0xf0)),
                                  wasm_u16x8_shr(codes, 8));
    }
    wasm_v128_store(out.codes + 16 * half, wasm_u8x16_narrow_i16x8(packed[0], packed[1]));
  }
}

INLINE uint32_t encode_all(const Ranks& ranks, const float* x, uint8_t* out, uint32_t rows, uint32_t cols) {
  auto encode = [&](const float* values, const float*, BlockTable& block) {
    encode_block(ranks, values, TABLE_BLOCK, true, block);
  };
  return encode_rows<BlockTable, TABLE_BLOCK>(__FLT_MAX__, x, nullptr, out, rows, cols, encode);
}

/** Values in a row, whatever the rows: whole blocks, and perhaps a short one. @returns 0, or 1 where one is no finite number */
INLINE uint32_t encode_values(const Ranks& ranks, const float* x, BlockTable* out, uint32_t count) {
  if (!all_within(__FLT_MAX__, x, count)) return 1;
  for (uint32_t i = 0; i < count; i += TABLE_BLOCK) {
    const uint32_t size = count - i < TABLE_BLOCK ? count - i : TABLE_BLOCK;
    encode_block(ranks, x + i, size, size == TABLE_BLOCK, *out++);
  }
  return 0;
}

/**
 * The map of 256 values that scales are quantized by: for each power of ten from 10^-6 on twice as many values as before,
 * evenly between 0.1 and 1 times it, of both signs; 0 and 1. In f32 as torch's linspace on AVX2 has it.
 */
void dynamic_map(float map[256]) {
  constexpr float powers[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1};
  uint32_t positive = 128;
  map[127] = 0;
  map[255] = 1;
  for (uint32_t i = 0; i < 7; i++) {
    const uint32_t points = (1u << i) + 1;
    const float step = (1 - 0.1f) / static_cast<float>(points - 1);
    auto point = [&](uint32_t k) {
      if (k < points / 2) return static_cast<float>(0.1f + static_cast<double>(step) * k);
      return static_cast<float>(1 - static_cast<double>(step) * (points - 1 - k));
    };
    for (uint32_t k = 0; k + 1 < points; k++, positive++) {
      map[positive] = (point(k) + point(k + 1)) / 2 * powers[i];
      map[254 - positive] = -map[positive];
    }
  }
}

/**
 * The place of the nearest, the lower of two. As the library looks that up in a table of 65,536 values evenly between -1 and
 * 1, x is first rounded to one of those.
 */
uint32_t nearest(const float map[256], float exact) {
  const float x = static_cast<float>(__builtin_floor((static_cast<double>(exact) + 1) / 2 * 65535 + 0.5) / 65535 * 2 - 1);
  uint32_t low = 0, high = 255;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    (map[middle] <= x ? low : high) = middle;
  }
  return map[high] - x < x - map[low] ? high : low;
}

}  // namespace

EXPORT(quantize_bnb_nf4)
uint32_t quantize_bnb_nf4(const float* x, const float*, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_all(NF4_RANKS, x, out, rows, cols);
}
EXPORT(quantize_bnb_fp4)
uint32_t quantize_bnb_fp4(const float* x, const float*, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_all(FP4_RANKS, x, out, rows, cols);
}
EXPORT(bnb_encode_nf4)
uint32_t bnb_encode_nf4(const float* x, BlockTable* out, uint32_t count) { return encode_values(NF4_RANKS, x, out, count); }
EXPORT(bnb_encode_fp4)
uint32_t bnb_encode_fp4(const float* x, BlockTable* out, uint32_t count) { return encode_values(FP4_RANKS, x, out, count); }

/** Rows of f16 with a scale each: codes are the nearest to value * (1 / scale * 127). A value beyond f16's is refused. */
EXPORT(quantize_bnb_int8)
uint32_t quantize_bnb_int8(const float* x, const float*, uint8_t* out, uint32_t rows, uint32_t cols) {
  for (uint32_t r = 0; r < rows; r++, x += cols, out += 4 + cols) {
    v128_t largest = f32x4_zero();
    auto half = [](v128_t v) { return f32x4_from_f16(f32x4_to_f16(v)); };
    f32x4_columns(cols, [&](uint32_t c, auto load, auto) { largest = wasm_f32x4_max(largest, wasm_f32x4_abs(half(load(x + c)))); });
    float lanes[4], scale = 0;
    wasm_v128_store(lanes, largest);
    for (float lane : lanes) {
      if (lane - lane != 0) return 1 + r;
      scale = lane > scale ? lane : scale;
    }
    memcpy(out, &scale, 4);
    const v128_t factor = wasm_f32x4_splat(scale == 0 ? 0 : 1 / scale * 127);
    f32x4_columns(cols, [&](uint32_t c, auto load, auto) {
      v128_t q = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(half(load(x + c)), factor)));
      int32_t codes[4];
      wasm_v128_store(codes, q);
      for (uint32_t i = 0; i < 4 && c + i < cols; i++) out[4 + c + i] = static_cast<uint8_t>(codes[i]);
    });
  }
  return 0;
}

/**
 * Quantizes the scales of a matrix: less their mean, in blocks of 256 by the dynamic map.
 * @param nested [ceil(count / 256)]
 * @returns the mean, added up in f64
 */
EXPORT(bnb_quantize_scales)
float bnb_quantize_scales(const float* absmax, uint32_t count, uint8_t* codes, float* nested, float* map) {
  dynamic_map(map);
  double sum = 0;
  for (uint32_t i = 0; i < count; i++) sum += absmax[i];
  const float offset = static_cast<float>(sum / count);
  for (uint32_t from = 0; from < count; from += 256) {
    const uint32_t to = count - from < 256 ? count : from + 256;
    float largest = 0;
    for (uint32_t i = from; i < to; i++) {
      const float size = __builtin_fabsf(absmax[i] - offset);
      largest = size > largest ? size : largest;
    }
    const float by = 1 / (largest < SMALLEST ? SMALLEST : largest);
    *nested++ = largest;
    for (uint32_t i = from; i < to; i++) codes[i] = static_cast<uint8_t>(nearest(map, (absmax[i] - offset) * by));
  }
  return offset;
}

/** What quantized scales stand for, from scale `first` on: map[code] * nested + offset, of blocks of 2^shift. */
EXPORT(bnb_scales)
void bnb_scales(const uint8_t* codes, const float* nested, const float* map, uint32_t shift, float offset, uint32_t first,
                uint32_t count, float* out) {
  const uint32_t begin = first >> shift;
  for (uint32_t i = 0; i < count; i++) out[i] = map[codes[i]] * nested[((first + i) >> shift) - begin] + offset;
}

/** Blocks of 64 of codes in blocks of 2^shift (at least 64) values, from value `first` on, with scales from its block's on. */
EXPORT(bnb_blocks)
void bnb_blocks(const uint8_t* codes, const float* absmax, uint32_t shift, double first, uint32_t blocks, BlockTable* out) {
  const uint64_t from = static_cast<uint64_t>(first), begin = from >> shift;
  for (uint32_t b = 0; b < blocks; b++, codes += TABLE_BLOCK / 2) {
    memcpy(out[b].absmax, absmax + (((from + b * TABLE_BLOCK) >> shift) - begin), 4);
    memcpy(out[b].codes, codes, TABLE_BLOCK / 2);
  }
}

/** Values from `first` on as f32, by any map of 16 values; `codes` begins with the byte that value is in. */
EXPORT(bnb_decode)
void bnb_decode(const uint8_t* codes, const float* absmax, const float* map, uint32_t shift, double first, uint32_t count,
                float* out) {
  const uint64_t from = static_cast<uint64_t>(first), begin = from >> shift;
  for (uint64_t i = from; i < from + count; i++) {
    const uint8_t both = codes[i / 2 - from / 2];
    *out++ = map[i % 2 ? both & 15 : both >> 4] * absmax[(i >> shift) - begin];
  }
}

/** Copies the scales of blocks out, or into them. */
EXPORT(bnb_take_scales)
void bnb_take_scales(const BlockTable* blocks, uint32_t count, float* out) {
  for (uint32_t b = 0; b < count; b++) memcpy(out + b, blocks[b].absmax, 4);
}
EXPORT(bnb_put_scales)
void bnb_put_scales(BlockTable* blocks, uint32_t count, const float* scales) {
  for (uint32_t b = 0; b < count; b++) memcpy(blocks[b].absmax, scales + b, 4);
}
