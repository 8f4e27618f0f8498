// How GGUF's formats with values from a table of 16 are read, IQ4 and MXFP4, and the ternary ones; see formats.h, formats_iq.h.
#pragma once
#include "formats_iq.h"

namespace blocks {

struct Values4 {
  uint64_t low, high;
};
// The table's entries, `added` to each, or the size of each.
constexpr Values4 values4(const int8_t (&values)[16], int added, bool sizes) {
  Values4 words = {};
  for (int i = 0; i < 16; i++) {
    const int value = sizes && values[i] < 0 ? -values[i] : values[i];
    (i < 8 ? words.low : words.high) |= static_cast<uint64_t>(static_cast<uint8_t>(value + added)) << (8 * (i % 8));
  }
  return words;
}
INLINE v128_t constant_values(const Values4& values) { return constant_u64(values.low, values.high); }

// Sixteen bytes of nibbles: values 0..15 in the low ones.
template <class F>
struct NibblesIQ4 : SignsAndMagnitudes<F> {
  static constexpr int largest = 127;
  HalfToFloat half_to_float;
  v128_t nibble = constant_u8(0x0f), eight = constant_u8(8);
  v128_t sizes = constant_values(values4(VALUES_IQ4, 0, true)), values = constant_values(values4(VALUES_IQ4, 0, false));

  template <int half>
  INLINE v128_t magnitude(const uint8_t* p, v128_t, int i, v128_t& s) const {
    v128_t q = index<half>(p, i);
    s = wasm_i8x16_gt(eight, q);
    return pick_bytes(sizes, q);
  }
  template <int half>
  INLINE v128_t code(const uint8_t* p, v128_t, int i) const {
    return pick_bytes(values, index<half>(p, i));
  }

 private:
  template <int half>
  INLINE v128_t index(const uint8_t* p, int i) const {
    v128_t q = wasm_v128_load(F::template nibbles<half>(p, i / 2));
    return wasm_v128_and(i % 2 ? wasm_u16x8_shr(q, 4) : q, nibble);
  }
};

struct IQ4_NL : NibblesIQ4<IQ4_NL> {
  static constexpr Family family = Family::Scaled;
  static constexpr int rows = 2;
  static constexpr uint32_t unit = 128, bytes = 4 * sizeof(BlockIQ4_NL);

  template <int half>
  INLINE static const uint8_t* nibbles(const uint8_t* p, int b) {
    return reinterpret_cast<const BlockIQ4_NL*>(p)[b].q;
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.load<sizeof(BlockIQ4_NL)>(p);
  }
};

struct IQ4_XS : NibblesIQ4<IQ4_XS> {
  static constexpr Family family = Family::Scaled;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ4_XS);
  FourNibbles four_nibbles;
  v128_t two_bits = constant_u64(0x0000000c00000003, 0x000000c000000030);
  v128_t up = constant_u64(0x4080000041800000, 0x3e8000003f800000), middle = constant_u32(0x42000000);  // 16, 4, 1, 1/4; 32

  template <int half>
  INLINE static const uint8_t* nibbles(const uint8_t* p, int b) {
    return reinterpret_cast<const BlockIQ4_XS*>(p)->q + 64 * half + 16 * b;
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    const BlockIQ4_XS& block = *reinterpret_cast<const BlockIQ4_XS*>(p);
    v128_t upper = wasm_f32x4_convert_i32x4(wasm_v128_and(wasm_v128_load8_splat(block.high + half), two_bits));
    v128_t scale = wasm_f32x4_add(four_nibbles(block.low + 2 * half), wasm_f32x4_mul(upper, up));
    return wasm_f32x4_mul(half_to_float.splat(p), wasm_f32x4_sub(scale, middle));
  }
};

struct MXFP4 {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = 4 * sizeof(BlockMXFP4);
  static constexpr int offset = 16, centre = offset, rows = 2;
  v128_t nibble = constant_u8(0x0f);
  v128_t values = constant_values(values4(VALUES_MXFP4, 16, false));

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int b = 0; b < 4; b++) {
      v128_t q = wasm_v128_load(reinterpret_cast<const BlockMXFP4*>(p)[b].q);
      c[2 * b] = pick_bytes(values, wasm_v128_and(q, nibble));
      c[2 * b + 1] = pick_bytes(values, wasm_v128_and(wasm_u16x8_shr(q, 4), nibble));
    }
  }
  // 2^(e - 128): the bits of e = 0 and 1, whose powers are subnormal, are (e + 1) << 21, and above (e - 1) << 23, which is
  // the larger of the two there.
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    const BlockMXFP4* block = reinterpret_cast<const BlockMXFP4*>(p);
    v128_t e = wasm_i32x4_make(block[0].e, block[1].e, block[2].e, block[3].e), one = wasm_i32x4_const_splat(1);
    return wasm_i32x4_max(wasm_i32x4_shl(wasm_i32x4_sub(e, one), 23), wasm_i32x4_shl(wasm_i32x4_add(e, one), 21));
  }
};

struct TQ2_0 {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockTQ2_0);
  static constexpr int offset = 1, centre = offset, rows = 2;
  HalfToFloat half_to_float;
  v128_t three = constant_u8(3);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int i = 0; i < 2; i++) {
      v128_t q = wasm_v128_load(reinterpret_cast<const BlockTQ2_0*>(p)->q + 32 * half + 16 * i);
      c[i] = wasm_v128_and(q, three);
      c[2 + i] = wasm_v128_and(wasm_u16x8_shr(q, 2), three);
      c[4 + i] = wasm_v128_and(wasm_u16x8_shr(q, 4), three);
      c[6 + i] = wasm_v128_and(wasm_u16x8_shr(q, 6), three);
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockTQ2_0*>(p)->d);
  }
};

struct TQ1_0 {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockTQ1_0);
  static constexpr int offset = 1, centre = offset, rows = 1;
  static constexpr bool slow = true;
  HalfToFloat half_to_float;
  v128_t top = constant_u8(0x80), first = constant_u8(0x80 ^ 85), second = constant_u8(0x80 ^ 170);
  v128_t seven_bits = constant_u8(0x7f), low_byte = constant_i16(0xff), eighty_one = constant_i16(81);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockTQ1_0& block = *reinterpret_cast<const BlockTQ1_0*>(p);
    v128_t a = signed_bytes(block.q), b = signed_bytes(block.q + 16);
    if constexpr (half == 0) {
      for (int n = 0; n < 4; n++) {
        c[2 * n] = digit(a);
        c[2 * n + 1] = digit(b);
        a = thrice(a);
        b = thrice(b);
      }
    } else {
      c[0] = digit(times_81(a));
      c[1] = digit(times_81(b));
      v128_t q = signed_bytes(block.q + 32);
      for (int n = 0; n < 5; n++) {
        c[2 + n] = digit(q);
        q = thrice(q);
      }
      v128_t last = wasm_v128_xor(wasm_v128_load32_splat(block.last), top), last1 = thrice(last), last2 = thrice(last1);
      v128_t low = wasm_i32x4_shuffle(last, last1, 0, 4, 0, 4), high = wasm_i32x4_shuffle(last2, thrice(last2), 0, 4, 0, 4);
      c[7] = digit(wasm_i64x2_shuffle(low, high, 0, 2));
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockTQ1_0*>(p)->d);
  }

 private:
  // Bytes less 128, for there are comparisons of signed bytes only; three times that is three times the byte, less 128.
  INLINE v128_t signed_bytes(const uint8_t* p) const { return wasm_v128_xor(wasm_v128_load(p), top); }
  // Doubled as i16: of a sum of bytes clang would make a product, which it takes apart byte by byte.
  INLINE v128_t thrice(v128_t v) const { return wasm_i8x16_add(wasm_i16x8_shl(wasm_v128_and(v, seven_bits), 1), v); }
  // 81 times as much, from even and odd bytes.
  INLINE v128_t times_81(v128_t v) const {
    v128_t even = wasm_v128_and(wasm_i16x8_mul(v, eighty_one), low_byte);
    return wasm_v128_or(even, wasm_i16x8_mul(wasm_v128_andnot(v, low_byte), eighty_one));
  }
  // Whether three times the byte reaches 256, and 512: whether it is above 85, and above 170.
  INLINE v128_t digit(v128_t v) const {
    return wasm_i8x16_abs(wasm_i8x16_add(wasm_i8x16_gt(v, first), wasm_i8x16_gt(v, second)));
  }
};

}  // namespace blocks
