// TQ1_0, TQ2_0, MXFP4: their blocks follow from the largest magnitude, there is nothing to search for, and importance does not
// count. The bytes are llama.cpp's.
#include "lanes.h"

// -1, 0 or 1 for the nearest multiple of the largest magnitude, halves away from zero; plus 1.
static void ternary(const float* x, float most, uint8_t* digits) {
  const float factor = most > 0 ? 1 / most : 0;
  for (int i = 0; i < 256; i++) {
    const float v = x[i] * factor;
    digits[i] = static_cast<uint8_t>(1 + (v >= 0.5f) - (v <= -0.5f));
  }
}

EXPORT(quantize_tq2_0)
uint32_t quantize_tq2_0(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_rows<BlockTQ2_0, 256>(HALF_MOST, x, importance, out, rows, cols, [](const float* x, const float*, BlockTQ2_0& block) {
    const float most = largest_magnitude(x, 256);
    uint8_t digits[256];
    ternary(x, most, digits);
    store_half(block.d, most);
    for (int half = 0; half < 2; half++)
      for (int l = 0; l < 32; l++) {
        const uint8_t* of = digits + 128 * half + l;
        block.q[32 * half + l] = of[0] | of[32] << 2 | of[64] << 4 | of[96] << 6;
      }
  });
}

// A number of five ternary digits as a fraction of 243, in 256ths rounded up, so that digits come out by multiplying.
static INLINE uint8_t fraction(uint32_t number) { return static_cast<uint8_t>((number * 256 + 242) / 243); }

EXPORT(quantize_tq1_0)
uint32_t quantize_tq1_0(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_rows<BlockTQ1_0, 256>(HALF_MOST, x, importance, out, rows, cols, [](const float* x, const float*, BlockTQ1_0& block) {
    const float most = largest_magnitude(x, 256);
    uint8_t digits[256];
    ternary(x, most, digits);
    store_half(block.d, most);
    const auto five = [](const uint8_t* d, int apart) {
      return fraction((((d[0] * 3 + d[apart]) * 3 + d[2 * apart]) * 3 + d[3 * apart]) * 3 + d[4 * apart]);
    };
    for (int l = 0; l < 32; l++) block.q[l] = five(digits + l, 32);
    for (int l = 0; l < 16; l++) block.q[32 + l] = five(digits + 160 + l, 16);
    for (int l = 0; l < 4; l++) {
      const uint8_t* d = digits + 240 + l;
      block.last[l] = fraction((((d[0] * 3 + d[4]) * 3 + d[8]) * 3 + d[12]) * 3);
    }
  });
}

EXPORT(quantize_mxfp4)
uint32_t quantize_mxfp4(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_rows<BlockMXFP4, 32>(__FLT_MAX__, x, importance, out, rows, cols, [](const float* x, const float*, BlockMXFP4& block) {
    // The largest magnitude is between 4 and 8 times the scale, of which the table has 6, or below 4 where e ends.
    const int exponent = __builtin_bit_cast(int32_t, largest_magnitude(x, 32)) >> 23;
    block.e = exponent > 2 ? exponent - 2 : 0;
    // 2^(128 - e), in two factors: the one may be too large for f32.
    const float half = __builtin_bit_cast(float, (block.e > 1 ? 254 - block.e : 252) << 23);
    const float rest = block.e > 1 ? 2 : block.e ? 8 : 16;
    uint8_t codes[32];
    for (int i = 0; i < 32; i++) {
      const float v = x[i] * half * rest, size = v < 0 ? -v : v;
      const int code = (size > 0.5f) + (size > 1.5f) + (size > 2.5f) + (size > 3.5f) + (size > 5) + (size > 7) + (size > 10);
      codes[i] = static_cast<uint8_t>(code && v < 0 ? code + 8 : code);
    }
    for (int i = 0; i < 16; i++) block.q[i] = codes[i] | codes[16 + i] << 4;
  });
}
