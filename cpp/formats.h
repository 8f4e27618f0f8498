// How each block format is read, 128 values (a group: four blocks of 32) at a time. A format's struct holds the
// constants it needs, is made once before a loop, and says
//   family  how a block's value comes about: see Family
//   unit    values that are read from one pointer: 128, or 256 for a super-block, whose halves are groups 0 and 1
//   bytes   bytes of a unit
//   offset  what is taken off every code; codes are 0..63, or signed for Q8_0
//   centre  what must be taken off for 16 products of a code and a value of +-127 to add up in 16 bits
//   rows    rows that a one-token product takes at once, which then share the loads of activations; where a row alone needs
//           most registers, more of them only spill
//   slow    where it is there and true, memory is faster than the unpacking
// codes<half>(p, c): c[2b] and c[2b + 1] are the codes of block b's values 0..15 and 16..31. Of a repacked format, whose
// codes are nibbles, dwords<half>(p, k) instead: a vector with dword k of the four blocks in its low nibbles, dword k + 4 in
// the high ones.
#pragma once
#include <string.h>

#include "blocks.h"
#include "simd.h"

// Apart from the ids of the same names in kernels.h.
namespace blocks {

// With s a f32 for a block, k an integer for 16 values:
enum class Family {
  Scaled,   // s * (code - offset): scales(p) gives s of the four blocks
  Minimum,  // s * code + m: scales(p, m) gives s and m of the four blocks
  Grouped,  // s * k * (code - offset): super_scale(p) gives s in all lanes, group_scales(p) k of the 8 groups in i16;
            // with minimums s * k * code - t * l: super_minimum(p) gives t, group_minimums(p) l
};

// Bit `bit` of each byte, moved to bit `to`, the only one in `mask`.
template <int bit, int to>
INLINE v128_t move_bit(v128_t v, v128_t mask) {
  return wasm_v128_and(to >= bit ? wasm_i16x8_shl(v, to - bit) : wasm_u16x8_shr(v, bit - to), mask);
}

struct Q8_0 {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = 4 * sizeof(BlockQ8_0);
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 2;
  HalfToFloat half_to_float;

  // The 32 values of block b.
  INLINE static const int8_t* bytes_of(const uint8_t* p, int b) { return reinterpret_cast<const BlockQ8_0*>(p)[b].q; }

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int b = 0; b < 4; b++) {
      const int8_t* q = bytes_of(p, b);
      c[2 * b] = wasm_v128_load(q);
      c[2 * b + 1] = wasm_v128_load(q + 16);
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.load<sizeof(BlockQ8_0)>(p);
  }
};

// Q4_0 and Q4_1 differ in the minimum alone.
template <class Block>
struct Nibbles {
  static constexpr uint32_t unit = 128, bytes = 4 * sizeof(Block);
  HalfToFloat half_to_float;
  v128_t nibble = constant_u8(0x0f);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int b = 0; b < 4; b++) {
      v128_t q = wasm_v128_load(reinterpret_cast<const Block*>(p)[b].q);
      c[2 * b] = wasm_v128_and(q, nibble);
      c[2 * b + 1] = wasm_v128_and(wasm_u16x8_shr(q, 4), nibble);
    }
  }
};

struct Q4_0 : Nibbles<BlockQ4_0> {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 8, centre = offset;
  static constexpr int rows = 2;
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.load<sizeof(BlockQ4_0)>(p);
  }
};
struct Q4_1 : Nibbles<BlockQ4_1> {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 2;
  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    minimums = half_to_float.load<sizeof(BlockQ4_1)>(p + 2);
    return half_to_float.load<sizeof(BlockQ4_1)>(p);
  }
};

// Q5_0 and Q5_1: nibbles and 32 high bits a block.
template <class Block>
struct NibblesAndBits {
  static constexpr uint32_t unit = 128, bytes = 4 * sizeof(Block);
  HalfToFloat half_to_float;
  v128_t nibble = constant_u8(0x0f), sixteen = constant_u8(0x10);
  v128_t bit_of_byte = constant_u64(0x8040201008040201, 0x8040201008040201);
  v128_t first_bytes = constant_u64(0, 0x0101010101010101);
  v128_t last_bytes = constant_u64(0x0202020202020202, 0x0303030303030303);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int b = 0; b < 4; b++) {
      const Block& block = reinterpret_cast<const Block*>(p)[b];
      v128_t q = wasm_v128_load(block.q), high = wasm_v128_load32_splat(block.high);
      c[2 * b] = wasm_v128_or(wasm_v128_and(q, nibble), bits(pick_bytes(high, first_bytes)));
      c[2 * b + 1] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(q, 4), nibble), bits(pick_bytes(high, last_bytes)));
    }
  }

 private:
  // 16 where bit j mod 8 of byte j is set.
  INLINE v128_t bits(v128_t spread) const {
    return wasm_v128_and(wasm_i8x16_eq(wasm_v128_and(spread, bit_of_byte), bit_of_byte), sixteen);
  }
};

struct Q5_0 : NibblesAndBits<BlockQ5_0> {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 16, centre = offset;
  static constexpr int rows = 2;
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    return half_to_float.load<sizeof(BlockQ5_0)>(p);
  }
};
struct Q5_1 : NibblesAndBits<BlockQ5_1> {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 0, centre = 16;
  static constexpr int rows = 2;
  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    minimums = half_to_float.load<sizeof(BlockQ5_1)>(p + 2);
    return half_to_float.load<sizeof(BlockQ5_1)>(p);
  }
};

// Q4_K and Q5_K share the scales: of 12 bytes, the first half's are the low 6 bits of bytes 0..3 (scales) and 4..7
// (minimums); the second half's have their low 4 bits in the nibbles of bytes 8..11, the upper 2 above the first half's.
template <class Block>
struct SuperScales {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(Block);
  static constexpr int offset = 0;
  HalfToFloat half_to_float;

  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    const Block& block = *reinterpret_cast<const Block*>(p);
    v128_t both = wasm_u16x8_extend_low_u8x16(wasm_i64x2_splat(six_bits<half>(block.scales)));
    minimums = wasm_f32x4_mul(wasm_f32x4_neg(half_to_float.splat(block.dmin)),
                              wasm_f32x4_convert_i32x4(wasm_u32x4_extend_high_u16x8(both)));
    return wasm_f32x4_mul(half_to_float.splat(block.d), wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(both)));
  }

 private:
  // Four scales, then four minimums, a byte each.
  template <int half>
  INLINE static uint64_t six_bits(const uint8_t* scales) {
    uint64_t first;
    uint32_t last;
    memcpy(&first, scales, 8);
    memcpy(&last, scales + 8, 4);
    if (half == 0) return first & 0x3f3f3f3f3f3f3f3f;
    uint64_t nibbles = last | static_cast<uint64_t>(last >> 4) << 32;
    return (nibbles & 0x0f0f0f0f0f0f0f0f) | ((first >> 2) & 0x3030303030303030);
  }
};

struct Q4_K : SuperScales<BlockQ4_K> {
  static constexpr int centre = 0;
  static constexpr int rows = 2;
  v128_t nibble = constant_u8(0x0f);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const uint8_t* q = reinterpret_cast<const BlockQ4_K*>(p)->q + 64 * half;
    for (int i = 0; i < 4; i++) {
      v128_t v = wasm_v128_load(q + 16 * i);
      int low = i % 2 + 4 * (i / 2);
      c[low] = wasm_v128_and(v, nibble);
      c[low + 2] = wasm_v128_and(wasm_u16x8_shr(v, 4), nibble);
    }
  }
};

struct Q5_K : SuperScales<BlockQ5_K> {
  static constexpr int centre = 16;
  static constexpr int rows = 1;
  v128_t nibble = constant_u8(0x0f), sixteen = constant_u8(0x10);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockQ5_K& block = *reinterpret_cast<const BlockQ5_K*>(p);
    const uint8_t* q = block.q + 64 * half;
    for (int i = 0; i < 2; i++) {
      v128_t high = wasm_v128_load(block.high + 16 * i), first = wasm_v128_load(q + 16 * i),
             second = wasm_v128_load(q + 32 + 16 * i);
      c[i] = wasm_v128_or(wasm_v128_and(first, nibble), move_bit<4 * half, 4>(high, sixteen));
      c[2 + i] =
          wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(first, 4), nibble), move_bit<4 * half + 1, 4>(high, sixteen));
      c[4 + i] = wasm_v128_or(wasm_v128_and(second, nibble), move_bit<4 * half + 2, 4>(high, sixteen));
      c[6 + i] =
          wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(second, 4), nibble), move_bit<4 * half + 3, 4>(high, sixteen));
    }
  }
};

// Where the nibbles of a group begin in a repacked unit, which is also what its scales take.
template <uint32_t head>
struct Dwords {
  v128_t nibble = constant_u8(0x0f);

  template <int half>
  INLINE v128_t dwords(const uint8_t* p, int k) const {
    return wasm_v128_load(p + head + 64 * half + 16 * k);
  }
};

struct Q4_0_R : Dwords<8> {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = sizeof(BlockQ4_0_R);
  static constexpr int offset = 8, centre = offset;
  static constexpr int rows = 4;
  HalfToFloat half_to_float;

  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t d = wasm_v128_load64_zero(p);
    return half_to_float(wasm_i16x8_shuffle(d, d, 0, 0, 1, 1, 2, 2, 3, 3));
  }
};
struct Q4_K_R : SuperScales<BlockQ4_K_R>, Dwords<16> {
  static constexpr int centre = 0;
  static constexpr int rows = 4;
};

struct INT4_32 : Dwords<20> {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = sizeof(BlockINT4_32);
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 4;

  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    const BlockINT4_32& block = *reinterpret_cast<const BlockINT4_32*>(p);
    v128_t d = wasm_v128_load(block.d), zero = wasm_v128_load32_zero(block.zero);
    v128_t whole = wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(zero));
    minimums = wasm_f32x4_mul(d, wasm_f32x4_neg(wasm_f32x4_convert_i32x4(whole)));
    return d;
  }
};
struct INT4_128 : Dwords<8> {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = sizeof(BlockINT4_128);
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 4;

  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    minimums = wasm_v128_load32_splat(p + 4);
    return wasm_v128_load32_splat(p);
  }
};
struct INT8_32 {
  static constexpr Family family = Family::Minimum;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 128, bytes = sizeof(BlockINT8_32);
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 2;

  INLINE static const int8_t* bytes_of(const uint8_t* p, int b) {
    return reinterpret_cast<const BlockINT8_32*>(p)->q + 32 * b;
  }

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int i = 0; i < 8; i++) c[i] = wasm_v128_load(bytes_of(p, i / 2) + 16 * (i % 2));
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p, v128_t& minimums) const {
    const BlockINT8_32& block = *reinterpret_cast<const BlockINT8_32*>(p);
    minimums = wasm_v128_load(block.minimum);
    return wasm_v128_load(block.d);
  }
};

struct Q6_K {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockQ6_K);
  static constexpr int offset = 32, centre = offset;
  static constexpr int rows = 1;
  static constexpr bool grouped_minimums = false;
  HalfToFloat half_to_float;
  v128_t nibble = constant_u8(0x0f), upper = constant_u8(0x30);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockQ6_K& block = *reinterpret_cast<const BlockQ6_K*>(p);
    for (int i = 0; i < 2; i++) {
      v128_t high = wasm_v128_load(block.high + 32 * half + 16 * i);
      v128_t even = wasm_v128_load(block.low + 64 * half + 16 * i);
      v128_t odd = wasm_v128_load(block.low + 64 * half + 32 + 16 * i);
      c[i] = wasm_v128_or(wasm_v128_and(even, nibble), wasm_v128_and(wasm_i16x8_shl(high, 4), upper));
      c[2 + i] = wasm_v128_or(wasm_v128_and(odd, nibble), wasm_v128_and(wasm_i16x8_shl(high, 2), upper));
      c[4 + i] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(even, 4), nibble), wasm_v128_and(high, upper));
      c[6 + i] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(odd, 4), nibble),
                              wasm_v128_and(wasm_u16x8_shr(high, 2), upper));
    }
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    return wasm_i16x8_load8x8(reinterpret_cast<const BlockQ6_K*>(p)->scales + 8 * half);
  }
  INLINE v128_t super_scale(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockQ6_K*>(p)->d);
  }
};

struct Q3_K {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockQ3_K);
  static constexpr int offset = 4, centre = offset;
  static constexpr int rows = 2;
  static constexpr bool grouped_minimums = false;
  HalfToFloat half_to_float;
  v128_t three = constant_u8(3), four = constant_u8(4), thirty_two = constant_i16(32);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockQ3_K& block = *reinterpret_cast<const BlockQ3_K*>(p);
    for (int i = 0; i < 2; i++) {
      v128_t q = wasm_v128_load(block.q + 32 * half + 16 * i), high = wasm_v128_load(block.high + 16 * i);
      c[i] = wasm_v128_or(wasm_v128_and(q, three), move_bit<4 * half, 2>(high, four));
      c[2 + i] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(q, 2), three), move_bit<4 * half + 1, 2>(high, four));
      c[4 + i] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(q, 4), three), move_bit<4 * half + 2, 2>(high, four));
      c[6 + i] = wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(q, 6), three), move_bit<4 * half + 3, 2>(high, four));
    }
  }
  // Scale g of a half: nibble `half` of byte g, below bits 4 half + 2 (g / 4) of byte 8 + g mod 4.
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    uint64_t low;
    uint32_t last;
    memcpy(&low, reinterpret_cast<const BlockQ3_K*>(p)->scales, 8);
    memcpy(&last, reinterpret_cast<const BlockQ3_K*>(p)->scales + 8, 4);
    uint64_t high = last | static_cast<uint64_t>(last >> 2) << 32;
    uint64_t six = ((low >> (4 * half)) & 0x0f0f0f0f0f0f0f0f) | ((half ? high : high << 4) & 0x3030303030303030);
    return wasm_i16x8_sub(wasm_u16x8_extend_low_u8x16(wasm_i64x2_splat(six)), thirty_two);
  }
  INLINE v128_t super_scale(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockQ3_K*>(p)->d);
  }
};

struct Q2_K {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockQ2_K);
  static constexpr int offset = 0, centre = offset;
  static constexpr int rows = 1;
  static constexpr bool grouped_minimums = true;
  HalfToFloat half_to_float;
  v128_t three = constant_u8(3), nibble = constant_i16(0x0f);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int i = 0; i < 2; i++) {
      v128_t q = wasm_v128_load(reinterpret_cast<const BlockQ2_K*>(p)->q + 32 * half + 16 * i);
      c[i] = wasm_v128_and(q, three);
      c[2 + i] = wasm_v128_and(wasm_u16x8_shr(q, 2), three);
      c[4 + i] = wasm_v128_and(wasm_u16x8_shr(q, 4), three);
      c[6 + i] = wasm_v128_and(wasm_u16x8_shr(q, 6), three);
    }
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    return wasm_v128_and(wasm_u16x8_load8x8(p + 8 * half), nibble);
  }
  template <int half>
  INLINE v128_t group_minimums(const uint8_t* p) const {
    return wasm_u16x8_shr(wasm_u16x8_load8x8(p + 8 * half), 4);
  }
  INLINE v128_t super_scale(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockQ2_K*>(p)->d);
  }
  INLINE v128_t super_minimum(const uint8_t* p) const {
    return half_to_float.splat(reinterpret_cast<const BlockQ2_K*>(p)->dmin);
  }
};

}  // namespace blocks

template <class F>
inline constexpr bool repacked = requires(F f, const uint8_t* p) { f.template dwords<0>(p, 0); };

// The codes of a group, dword by dword: out[k] is dword k of the four blocks.
template <class F, int half>
INLINE void codes_in_dwords(const F& f, const uint8_t* p, v128_t out[8]) {
  if constexpr (repacked<F>) {
    for (int k = 0; k < 4; k++) {
      v128_t both = f.template dwords<half>(p, k);
      out[k] = wasm_v128_and(both, f.nibble);
      out[k + 4] = wasm_v128_and(wasm_u16x8_shr(both, 4), f.nibble);
    }
  } else {
    v128_t c[8];
    f.template codes<half>(p, c);
    blocks_to_dwords(c, out);
  }
}

// The same codes block by block, as F::codes gives them.
template <class F, int half>
INLINE void codes_in_blocks(const F& f, const uint8_t* p, v128_t out[8]) {
  if constexpr (repacked<F>) {
    v128_t c[8];
    codes_in_dwords<F, half>(f, p, c);
    dwords_to_blocks(c, out);
  } else {
    f.template codes<half>(p, out);
  }
}

// Runs body(unit) on every unit of a row: whole units in place, the blocks left over (formats of 32 values only) as a unit
// filled up with zero bytes, so that nothing is read beyond the row.
template <class F, class Body>
INLINE void for_each_unit(const uint8_t* row, uint32_t cols, Body body) {
  const uint8_t* end = row + cols / F::unit * F::bytes;
  for (; row < end; row += F::bytes) body(row);
  if (uint32_t rest = F::unit == 256 ? 0 : cols % F::unit) {
    alignas(16) uint8_t copy[F::bytes] = {};
    memcpy(copy, row, rest * F::bytes / F::unit);
    body(copy);
  }
}
