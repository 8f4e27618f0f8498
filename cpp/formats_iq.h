// How GGUF's formats IQ1, IQ2 and IQ3 are read, whose values come by fours and eights from grids (tables.h). As in formats.h,
// but a vector of 16 values at a time, for each takes long to make and eight would not stay in registers:
//   code<half>(p, i)   the codes of vector i; or, of formats with signs and magnitudes,
//   signs<half>(p)     what is made once for a group, and then
//   magnitude<half>(p, signs, i, s), code<half>(p, signs, i)
//                      the magnitudes, at most `largest`, with 255 in s where a value is negative; and both as signed bytes
#pragma once
#include "formats.h"
#include "tables.h"

namespace blocks {

// Entries of a table next to each other, by their offsets in bytes. Integers are added, not pointers: only then does clang
// know that there is no overflow, and give the load the table's address as its own offset.
INLINE v128_t eights(uintptr_t table, uint32_t a, uint32_t b) {
  return wasm_i64x2_shuffle(wasm_v128_load64_zero(reinterpret_cast<const void*>(table + a)),
                            wasm_v128_load64_zero(reinterpret_cast<const void*>(table + b)), 0, 2);
}
INLINE v128_t fours(uintptr_t table, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  v128_t ab = wasm_i32x4_shuffle(wasm_v128_load32_zero(reinterpret_cast<const void*>(table + a)),
                                 wasm_v128_load32_zero(reinterpret_cast<const void*>(table + b)), 0, 4, 1, 1);
  v128_t cd = wasm_i32x4_shuffle(wasm_v128_load32_zero(reinterpret_cast<const void*>(table + c)),
                                 wasm_v128_load32_zero(reinterpret_cast<const void*>(table + d)), 0, 4, 1, 1);
  return wasm_i64x2_shuffle(ab, cd, 0, 2);
}

// Four offsets in a table, two in each word: those of indices 0 and 2, and of 1 and 3. Made together, as bits above a byte's
// take several instructions to fetch.
struct FourOffsets {
  uint32_t even, odd;

  // Of the four bytes q, times 2^shift, and of higher bits, which stand where they belong.
  INLINE static FourOffsets of(uint32_t q, int shift, uint32_t high_even, uint32_t high_odd) {
    const uint32_t byte = 0x00ff00ff << shift;
    return {(q << shift & byte) | high_even, (q >> (8 - shift) & byte) | high_odd};
  }
  INLINE v128_t eights(uintptr_t table, int pair) const {
    return pair == 0 ? blocks::eights(table, even & 0xffff, odd & 0xffff) : blocks::eights(table, even >> 16, odd >> 16);
  }
  INLINE v128_t fours(uintptr_t table) const {
    return blocks::fours(table, even & 0xffff, odd & 0xffff, even >> 16, odd >> 16);
  }
};

INLINE uint32_t load_u16(const uint8_t* p) {
  uint16_t value;
  memcpy(&value, p, 2);
  return value;
}

INLINE uint32_t load_u32(const uint8_t* p) {
  uint32_t value;
  memcpy(&value, p, 4);
  return value;
}

// f16 to f32, times a power of two.
template <int exponent>
INLINE HalfToFloat half_times() {
  HalfToFloat half_to_float;
  half_to_float.scale = constant_u32((112 + 127 + exponent) << 23);
  return half_to_float;
}

// 255 where the bit of a value is set in the sign bytes of a group: of vector i those are bytes 2 i and 2 i + 1.
struct SignBytes {
  v128_t bit_of_byte = constant_u64(0x8040201008040201, 0x8040201008040201);

  INLINE v128_t operator()(v128_t signs, int i) const {
    v128_t spread = wasm_v128_load(reinterpret_cast<const void*>(TABLE(spread) + 16 * i));
    return wasm_i8x16_eq(wasm_v128_and(pick_bytes(signs, spread), bit_of_byte), bit_of_byte);
  }
};

// The same of signs of 7 bits, the two first or the two last of the four in a u32. From a table: in vectors, by the parity
// of all bytes at once, IQ2_XXS came at 2.6 instead of 3.3 GB/s.
INLINE v128_t seven_bits(uint32_t w, int pair) {
  return pair == 0 ? eights(TABLE(signs), w << 3 & 0x3f8, w >> 4 & 0x3f8)
                   : eights(TABLE(signs), w >> 11 & 0x3f8, w >> 18 & 0x3f8);
}

// The four nibbles of a u16 as f32.
struct FourNibbles {
  v128_t mask = constant_u64(0x000000f00000000f, 0x0000f00000000f00);
  v128_t down = constant_u64(0x3d8000003f800000, 0x398000003b800000);  // 1, 1/16, 1/256, 1/4096

  INLINE v128_t operator()(const uint8_t* p) const {
    return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_v128_and(wasm_v128_load16_splat(p), mask)), down);
  }
};

// Four scales 2 (w >> 28) + 1 of u32, as f32.
struct TopNibbles {
  v128_t one = constant_u32(1);

  INLINE v128_t operator()(v128_t w) const {
    return wasm_f32x4_convert_i32x4(wasm_v128_or(wasm_u32x4_shr(w, 27), one));
  }
};

// The eight nibbles n of four bytes as 2 n + 1, i16.
struct OddNibbles {
  v128_t one = constant_i16(1), thirty = constant_i16(30);

  INLINE v128_t operator()(const uint8_t* p) const {
    v128_t bytes = wasm_v128_load32_zero(p), twice = wasm_u16x8_extend_low_u8x16(bytes);
    v128_t low = wasm_i16x8_shl(twice, 1), high = wasm_u16x8_shr(twice, 3);
    v128_t both = wasm_i16x8_shuffle(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
    return wasm_v128_or(wasm_v128_and(both, thirty), one);
  }
};

template <class F>
struct SignsAndMagnitudes {
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 0, centre = 0, rows = 1;

  // Sign bytes of the group, of formats that have them together.
  template <int half>
  INLINE v128_t signs(const uint8_t*) const {
    return v128_t{};
  }
  template <int half>
  INLINE v128_t code(const uint8_t* p, v128_t signs, int i) const {
    v128_t s, m = static_cast<const F*>(this)->template magnitude<half>(p, signs, i, s);
    return wasm_i8x16_sub(wasm_v128_xor(m, s), s);
  }
  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const F& f = *static_cast<const F*>(this);
    v128_t signs = f.template signs<half>(p);
#pragma unroll
    for (int i = 0; i < 8; i++) c[i] = f.template code<half>(p, signs, i);
  }
};

// Codes of a format that makes them one vector at a time.
template <class F>
struct Piecewise {
  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
#pragma unroll
    for (int i = 0; i < 8; i++) c[i] = static_cast<const F*>(this)->template code<half>(p, i);
  }
};

struct IQ2_XXS : SignsAndMagnitudes<IQ2_XXS> {
  static constexpr Family family = Family::Scaled;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ2_XXS);
  static constexpr int largest = 43;
  static constexpr bool slow = true;
  HalfToFloat eighth = half_times<-3>();
  TopNibbles top_nibbles;

  template <int half>
  INLINE v128_t magnitude(const uint8_t* p, v128_t, int i, v128_t& s) const {
    const auto& q = reinterpret_cast<const BlockIQ2_XXS*>(p)->q[4 * half + i / 2];
    s = seven_bits(load_u32(q.w), i % 2);
    return eights(TABLE(iq2_xxs), q.grid[i % 2 * 2] << 3, q.grid[i % 2 * 2 + 1] << 3);
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    const auto* q = reinterpret_cast<const BlockIQ2_XXS*>(p)->q + 4 * half;
    v128_t w = wasm_i32x4_shuffle(wasm_v128_load(q), wasm_v128_load(q + 2), 1, 3, 5, 7);
    return wasm_f32x4_mul(eighth.splat(p), top_nibbles(w));
  }
};

struct IQ2_XS : SignsAndMagnitudes<IQ2_XS> {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ2_XS);
  static constexpr int largest = 43;
  static constexpr bool slow = true;
  HalfToFloat eighth = half_times<-3>();
  OddNibbles odd_nibbles;

  template <int half>
  INLINE v128_t magnitude(const uint8_t* p, v128_t, int i, v128_t& s) const {
    const uint32_t w = load_u32(reinterpret_cast<const BlockIQ2_XS*>(p)->q[16 * half + 2 * i]);
    s = eights(TABLE(signs), w >> 6 & 0x3f8, w >> 22 & 0x3f8);
    return eights(TABLE(iq2_xs), w << 3 & 0xff8, w >> 13 & 0xff8);
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    return odd_nibbles(reinterpret_cast<const BlockIQ2_XS*>(p)->scales + 4 * half);
  }
  INLINE v128_t super_scale(const uint8_t* p) const { return eighth.splat(p); }
};

struct IQ2_S : SignsAndMagnitudes<IQ2_S> {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ2_S);
  static constexpr int largest = 43;
  static constexpr bool slow = true;
  HalfToFloat eighth = half_times<-3>();
  OddNibbles odd_nibbles;
  SignBytes sign_bytes;

  template <int half>
  INLINE v128_t signs(const uint8_t* p) const {
    return wasm_v128_load(reinterpret_cast<const BlockIQ2_S*>(p)->signs + 16 * half);
  }
  template <int half>
  INLINE v128_t magnitude(const uint8_t* p, v128_t signs, int i, v128_t& s) const {
    const BlockIQ2_S& block = *reinterpret_cast<const BlockIQ2_S*>(p);
    const int b = 4 * half + i / 2;
    // Bits 0 and 1, 4 and 5 of the byte to bits 11 and 12 of the two halves; then 2 and 3, 6 and 7.
    const uint32_t high = block.high[b] * 0x00800800u, bits = 0x18001800;
    s = sign_bytes(signs, i);
    return FourOffsets::of(load_u32(block.q + 4 * b), 3, high & bits, high >> 2 & bits).eights(TABLE(iq2_s), i % 2);
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    return odd_nibbles(reinterpret_cast<const BlockIQ2_S*>(p)->scales + 4 * half);
  }
  INLINE v128_t super_scale(const uint8_t* p) const { return eighth.splat(p); }
};

// Half the magnitudes, at most 31: four products of 16 bits have room in a lane.
struct IQ3_XXS : SignsAndMagnitudes<IQ3_XXS> {
  static constexpr Family family = Family::Scaled;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ3_XXS);
  static constexpr int largest = 31;
  static constexpr bool slow = true;
  HalfToFloat half_of = half_times<-1>();
  TopNibbles top_nibbles;

  template <int half>
  INLINE v128_t magnitude(const uint8_t* p, v128_t, int i, v128_t& s) const {
    const BlockIQ3_XXS& block = *reinterpret_cast<const BlockIQ3_XXS*>(p);
    const uint8_t* q = block.q + 32 * half + 4 * i;
    s = seven_bits(load_u32(block.w[4 * half + i / 2]), i % 2);
    return fours(TABLE(iq3_xxs), q[0] << 2, q[1] << 2, q[2] << 2, q[3] << 2);
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t w = wasm_v128_load(reinterpret_cast<const BlockIQ3_XXS*>(p)->w[4 * half]);
    return wasm_f32x4_mul(half_of.splat(p), top_nibbles(w));
  }
};

// Magnitudes are odd, 1 to 15: with 16 added, changing bits 1 to 4 changes the sign.
struct IQ3_S : Piecewise<IQ3_S> {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ3_S);
  static constexpr int offset = 16, centre = offset, rows = 1;
  static constexpr bool slow = true;
  HalfToFloat half_to_float;
  SignBytes sign_bytes;
  FourNibbles four_nibbles;
  v128_t change = constant_u8(30), one = constant_u32(0x3f800000);

  template <int half>
  INLINE v128_t code(const uint8_t* p, int i) const {
    const BlockIQ3_S& block = *reinterpret_cast<const BlockIQ3_S*>(p);
    const uint8_t* q = block.q + 32 * half + 4 * i;
    // Bits 0 and 2 of the nibble to bit 10 of the two halves; then 1 and 3.
    const uint32_t nibble = i % 2 ? block.high[4 * half + i / 2] >> 4 : block.high[4 * half + i / 2];
    const uint32_t high = nibble * 0x01000400u, bit = 0x04000400;
    v128_t grid = FourOffsets::of(load_u32(q), 2, high & bit, high >> 1 & bit).fours(TABLE(iq3_s));
    return wasm_v128_xor(grid, wasm_v128_and(sign_bytes(wasm_v128_load(block.signs + 16 * half), i), change));
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t scale = four_nibbles(reinterpret_cast<const BlockIQ3_S*>(p)->scales + 2 * half);
    return wasm_f32x4_mul(half_to_float.splat(p), wasm_f32x4_add(wasm_f32x4_add(scale, scale), one));
  }
};

// The grid has eight times a value, 16 above zero, and 1: 9, 17, 25, two less where the 1/8 is taken off.
struct IQ1_S : Piecewise<IQ1_S> {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ1_S);
  static constexpr int offset = 16, centre = offset, rows = 1;
  static constexpr bool slow = true;
  HalfToFloat eighth = half_times<-3>();
  v128_t two = constant_u8(2), fourteen = constant_u32(14), one = constant_u32(1);

  template <int half>
  INLINE v128_t code(const uint8_t* p, int i) const {
    const BlockIQ1_S& block = *reinterpret_cast<const BlockIQ1_S*>(p);
    const int b = 4 * half + i / 2;
    const uint32_t h = load_u16(block.high[b]), low = 0x3800, upper = 0x38000000;
    const FourOffsets offsets = FourOffsets::of(load_u32(block.q + 4 * b), 3, (h << 11 & low) | (h << 21 & upper),
                                                (h << 8 & low) | (h << 18 & upper));
    v128_t less = wasm_v128_and(wasm_u16x8_shr(wasm_v128_load8_splat(block.high[b] + 1), 6), two);
    return wasm_i8x16_sub(offsets.eights(TABLE(iq1), i % 2), less);
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t high = wasm_u32x4_load16x4(reinterpret_cast<const BlockIQ1_S*>(p)->high[4 * half]);
    v128_t odd = wasm_v128_or(wasm_v128_and(wasm_u32x4_shr(high, 11), fourteen), one);
    return wasm_f32x4_mul(eighth.splat(p), wasm_f32x4_convert_i32x4(odd));
  }
};

struct IQ1_M : Piecewise<IQ1_M> {
  static constexpr Family family = Family::Grouped;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ1_M);
  static constexpr int offset = 16, centre = offset, rows = 1;
  static constexpr bool slow = true;
  HalfToFloat eighth = half_times<-3>();
  v128_t minus = constant_u64(0x0808080808080808, 0x8080808080808080), two = constant_u8(2);
  v128_t up = constant_u64(0x0010008004002000, 0x0010008004002000), one = constant_i16(1), fourteen = constant_i16(14);

  template <int half>
  INLINE v128_t code(const uint8_t* p, int i) const {
    const BlockIQ1_M& block = *reinterpret_cast<const BlockIQ1_M*>(p);
    const int b = 4 * half + i / 2;
    const uint32_t h = load_u16(block.high + 2 * b), low = 0x3800, upper = 0x38000000;
    const FourOffsets offsets = FourOffsets::of(load_u32(block.q + 4 * b), 3, (h << 11 & low) | (h << 19 & upper),
                                                (h << 7 & low) | (h << 15 & upper));
    v128_t less = wasm_u8x16_min(wasm_v128_and(wasm_v128_load8_splat(block.high + 8 * half + i), minus), two);
    return wasm_i8x16_sub(offsets.eights(TABLE(iq1), i % 2), less);
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    v128_t both = wasm_v128_load32_zero(reinterpret_cast<const BlockIQ1_M*>(p)->scales[2 * half]);
    v128_t fours = wasm_i16x8_shuffle(both, both, 0, 0, 0, 0, 1, 1, 1, 1);
    return wasm_v128_or(wasm_v128_and(wasm_u16x8_shr(wasm_i16x8_mul(fours, up), 12), fourteen), one);
  }
  INLINE v128_t super_scale(const uint8_t* p) const {
    uint64_t s;
    memcpy(&s, reinterpret_cast<const BlockIQ1_M*>(p)->scales, 8);
    const uint64_t d = (s >> 12 & 0xf) | (s >> 24 & 0xf0) | (s >> 36 & 0xf00) | (s >> 48 & 0xf000);
    return eighth(wasm_i32x4_splat(static_cast<uint32_t>(d) << 16));
  }
};

}  // namespace blocks
