// Floats of fewer bits, rounded to the nearest, ties to even. Importance changes nothing.
#include "convert.h"

EXPORT(quantize_f16)
uint32_t quantize_f16(const float* x, const float*, uint8_t* out, uint32_t rows, uint32_t cols) {
  for (uint32_t r = 0; r < rows; r++, x += cols) {
    if (!all_within(0x1.ffdffep15f, x, cols)) return 1 + r;  // what is rounded to the largest
    uint32_t c = 0;
    for (; c + 4 <= cols; c += 4, out += 8) {
      v128_t halves = f32x4_to_f16(wasm_v128_load(x + c));
      wasm_v128_store64_lane(out, wasm_u16x8_narrow_i32x4(halves, halves), 0);
    }
    for (; c < cols; c++, out += 2) store_half(out, x[c]);
  }
  return 0;
}

EXPORT(quantize_bf16)
uint32_t quantize_bf16(const float* x, const float*, uint8_t* out, uint32_t rows, uint32_t cols) {
  for (uint32_t r = 0; r < rows; r++, x += cols) {
    if (!all_within(0x1.fefffep127f, x, cols)) return 1 + r;
    for (uint32_t c = 0; c < cols; c++, out += 2) {
      uint32_t bits;
      memcpy(&bits, x + c, 4);
      const uint16_t half = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      memcpy(out, &half, 2);
    }
  }
  return 0;
}
