// Whole blocks to f32, exactly as ggml decodes them: the same operations in the same order.
#include "f32x4.h"
#include "formats_values.h"
#include "kernels.h"
#include "llm_int8.h"
#include "bnb_tables.h"

// The first `count` values of a group.
template <class F, int half>
INLINE void dequantize_group(const F& f, const uint8_t* src, float* dst, uint32_t count) {
  v128_t codes[8];
  codes_in_blocks<F, half>(f, src, codes);
  int8_t code[128];
  for (int i = 0; i < 8; i++) wasm_v128_store(code + 16 * i, codes[i]);

  float scale[8], minimum[8] = {};  // of 16 values
  for (int i = 0; i < 8; i++) scale[i] = 0;
  if constexpr (F::family == blocks::Family::Grouped) {
    int16_t k[8], l[8] = {};
    wasm_v128_store(k, f.template group_scales<half>(src));
    const float super = wasm_f32x4_extract_lane(f.super_scale(src), 0);
    for (int i = 0; i < 8; i++) scale[i] = super * k[i];
    if constexpr (F::grouped_minimums) {
      wasm_v128_store(l, f.template group_minimums<half>(src));
      const float super_minimum = wasm_f32x4_extract_lane(f.super_minimum(src), 0);
      for (int i = 0; i < 8; i++) minimum[i] = -(super_minimum * l[i]);
    }
  } else {
    float of_block[4];
    v128_t minimums = {};
    if constexpr (F::family == blocks::Family::Minimum) {
      wasm_v128_store(of_block, f.template scales<half>(src, minimums));
    } else {
      wasm_v128_store(of_block, f.template scales<half>(src));
    }
    for (int i = 0; i < 8; i++) scale[i] = of_block[i / 2];
    wasm_v128_store(of_block, minimums);
    for (int i = 0; i < 8; i++) minimum[i] = of_block[i / 2];
  }
  constexpr bool has_minimum = F::family == blocks::Family::Minimum || F::grouped_minimums;
  for (uint32_t i = 0; i < count; i++) {
    const float value = scale[i / 16] * static_cast<float>(code[i] - F::offset);
    dst[i] = has_minimum ? value + minimum[i / 16] : value;
  }
}

template <class F>
INLINE void dequantize(const uint8_t* src, float* dst, uint32_t n) {
  const F f;
  uint32_t done = 0;
  for_each_unit<F>(src, n, [&](const uint8_t* unit) {
    dequantize_group<F, 0>(f, unit, dst + done, n - done < 128 ? n - done : 128);
    if constexpr (F::unit == 256) dequantize_group<F, 1>(f, unit, dst + done + 128, 128);
    done += F::unit;
  });
}

#define FLOAT_FORMAT(...)
#define ROW_FORMAT(...)
#define BLOCK_FORMAT(name, NAME, ...) \
  KERNEL void dequantize_##name(const uint8_t* src, float* dst, uint32_t n) { dequantize<blocks::NAME>(src, dst, n); }
#include "formats.def"

KERNEL void dequantize_f32(const uint8_t* src, float* dst, uint32_t n) { __builtin_memcpy(dst, src, n * sizeof(float)); }

KERNEL void dequantize_f16(const uint8_t* src, float* dst, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint16_t half;
    __builtin_memcpy(&half, src + 2 * i, 2);
    dst[i] = wasm_f32x4_extract_lane(f32x4_from_f16(wasm_i32x4_splat(half)), 0);
  }
}

KERNEL void dequantize_bf16(const uint8_t* src, float* dst, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint16_t half;
    __builtin_memcpy(&half, src + 2 * i, 2);
    dst[i] = __builtin_bit_cast(float, (uint32_t)half << 16);
  }
}

// Even and odd columns are put together again.
template <const Table& table>
INLINE void dequantize_table(const uint8_t* src, float* dst, uint32_t n) {
  const TableFormat<table> f;
  for (uint32_t i = 0; i < n; i += TABLE_BLOCK, src += sizeof(BlockTable), dst += TABLE_BLOCK) {
    v128_t values[16];
    f.load(src, [&](int i, v128_t v) { values[i] = v; });
    for (int s = 0; s < 8; s++) {
      wasm_v128_store(dst + 8 * s, wasm_i32x4_shuffle(values[2 * s], values[2 * s + 1], 0, 4, 1, 5));
      wasm_v128_store(dst + 8 * s + 4, wasm_i32x4_shuffle(values[2 * s], values[2 * s + 1], 2, 6, 3, 7));
    }
  }
}
KERNEL void dequantize_bnb_nf4(const uint8_t* src, float* dst, uint32_t n) { dequantize_table<NF4_TABLE>(src, dst, n); }
KERNEL void dequantize_bnb_fp4(const uint8_t* src, float* dst, uint32_t n) { dequantize_table<FP4_TABLE>(src, dst, n); }

// One row: code * scale / 127.
KERNEL void dequantize_bnb_int8(const uint8_t* src, float* dst, uint32_t n) {
  float scale;
  memcpy(&scale, src, 4);
  for (uint32_t i = 0; i < n; i++) dst[i] = static_cast<float>(static_cast<int8_t>(src[4 + i])) * scale * int8::WEIGHT_SCALE;
}
