// How GGUF's formats below 4.5 bits are read: values from tables and grids (grids.h), and ternary ones; see formats.h.
//
// Of some the codes are signs and magnitudes, which a product of bytes wants apart: magnitudes<half>(p, m, s) gives the
// magnitudes, at most `largest`, and 255 in s where a value is negative; codes<half> joins them to signed bytes.
#pragma once
#include "formats.h"
#include "grids.h"

namespace blocks {

// All bytes of value j 255 where bit j of a sign of 7 bits, or the parity of all, is set.
struct SignTable {
  uint64_t entries[128];
};
constexpr SignTable sign_table() {
  SignTable table = {};
  for (int sign = 0; sign < 128; sign++) {
    const int byte = sign | (__builtin_popcount(sign) & 1) << 7;
    for (int j = 0; j < 8; j++) table.entries[sign] |= static_cast<uint64_t>(byte >> j & 1 ? 255 : 0) << (8 * j);
  }
  return table;
}
inline constexpr SignTable SIGNS = sign_table();

// A grid with other values: value v becomes factor * v / divisor + added.
template <class Word, int n>
constexpr Grid<Word, n> scaled_grid(const Grid<Word, n>& grid, int factor, int divisor, int added) {
  Grid<Word, n> scaled = {};
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < static_cast<int>(sizeof(Word)); j++) {
      const int value = factor * static_cast<int8_t>(grid[i] >> (8 * j)) / divisor + added;
      scaled.entries[i] |= static_cast<Word>(static_cast<uint8_t>(value)) << (8 * j);
    }
  }
  return scaled;
}

// Eights of bytes next to each other.
INLINE v128_t eights(const uint64_t& a, const uint64_t& b) {
  return wasm_i64x2_shuffle(wasm_v128_load64_zero(&a), wasm_v128_load64_zero(&b), 0, 2);
}
INLINE v128_t fours(const uint32_t& a, const uint32_t& b, const uint32_t& c, const uint32_t& d) {
  v128_t ab = wasm_i32x4_shuffle(wasm_v128_load32_zero(&a), wasm_v128_load32_zero(&b), 0, 4, 1, 1);
  v128_t cd = wasm_i32x4_shuffle(wasm_v128_load32_zero(&c), wasm_v128_load32_zero(&d), 0, 4, 1, 1);
  return wasm_i64x2_shuffle(ab, cd, 0, 2);
}

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

// 255 where bit j mod 8 of byte j is set, of the sign bytes of 16 values.
struct SignBytes {
  v128_t bit_of_byte = constant_u64(0x8040201008040201, 0x8040201008040201);
  v128_t spread = constant_u64(0, 0x0101010101010101);

  INLINE v128_t operator()(const uint8_t* p) const {
    return wasm_i8x16_eq(wasm_v128_and(pick_bytes(wasm_v128_load16_splat(p), spread), bit_of_byte), bit_of_byte);
  }
};

// The four nibbles of a u16 as f32, times `factor`.
struct FourNibbles {
  v128_t mask = constant_u64(0x000000f00000000f, 0x0000f00000000f00);
  v128_t down = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_i32x4_splat(opaque(1))), wasm_f32x4_make(1, 1.0f / 16, 1.0f / 256, 1.0f / 4096));

  INLINE v128_t operator()(const uint8_t* p) const {
    return wasm_f32x4_mul(wasm_f32x4_convert_i32x4(wasm_v128_and(wasm_v128_load16_splat(p), mask)), down);
  }
};

template <class F>
struct SignsAndMagnitudes {
  static constexpr bool grouped_minimums = false;
  static constexpr int offset = 0, centre = 0, rows = 1;

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    v128_t s[8];
    static_cast<const F*>(this)->template magnitudes<half>(p, c, s);
    for (int i = 0; i < 8; i++) c[i] = wasm_i8x16_sub(wasm_v128_xor(c[i], s[i]), s[i]);
  }
};

// Four scales 2 (w >> 28) + 1 of u32, as f32.
INLINE v128_t odd_top_nibbles(v128_t w) {
  return wasm_f32x4_convert_i32x4(wasm_v128_or(wasm_u32x4_shr(w, 27), wasm_i32x4_const_splat(1)));
}

// The eight nibbles n of four bytes as 2 n + 1, i16.
INLINE v128_t odd_nibbles(const uint8_t* p) {
  v128_t bytes = wasm_v128_load32_zero(p), nibble = wasm_i8x16_const_splat(0x0f);
  v128_t low = wasm_v128_and(bytes, nibble), high = wasm_v128_and(wasm_u16x8_shr(bytes, 4), nibble);
  v128_t both = wasm_i8x16_shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 8, 8, 8, 8, 8, 8, 8, 8);
  v128_t wide = wasm_u16x8_extend_low_u8x16(both);
  return wasm_v128_or(wasm_i16x8_add(wide, wide), wasm_i16x8_const_splat(1));
}

struct IQ2_XXS : SignsAndMagnitudes<IQ2_XXS> {
  static constexpr Family family = Family::Scaled;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ2_XXS);
  static constexpr int largest = 43;
  HalfToFloat eighth = half_times<-3>();

  template <int half>
  INLINE void magnitudes(const uint8_t* p, v128_t m[8], v128_t s[8]) const {
    for (int b = 0; b < 4; b++) {
      const auto& q = reinterpret_cast<const BlockIQ2_XXS*>(p)->q[4 * half + b];
      const uint32_t w = load_u32(q.w);
      for (int i = 0; i < 2; i++) {
        m[2 * b + i] = eights(GRID_IQ2_XXS[q.grid[2 * i]], GRID_IQ2_XXS[q.grid[2 * i + 1]]);
        s[2 * b + i] = eights(SIGNS.entries[w >> (14 * i) & 127], SIGNS.entries[w >> (14 * i + 7) & 127]);
      }
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    const auto* q = reinterpret_cast<const BlockIQ2_XXS*>(p)->q + 4 * half;
    v128_t w = wasm_i32x4_shuffle(wasm_v128_load(q), wasm_v128_load(q + 2), 1, 3, 5, 7);
    return wasm_f32x4_mul(eighth.splat(p), odd_top_nibbles(w));
  }
};

struct IQ2_XS : SignsAndMagnitudes<IQ2_XS> {
  static constexpr Family family = Family::Grouped;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ2_XS);
  static constexpr int largest = 43;
  HalfToFloat eighth = half_times<-3>();

  template <int half>
  INLINE void magnitudes(const uint8_t* p, v128_t m[8], v128_t s[8]) const {
    for (int i = 0; i < 8; i++) {
      const uint32_t w = load_u32(reinterpret_cast<const BlockIQ2_XS*>(p)->q[16 * half + 2 * i]);
      m[i] = eights(GRID_IQ2_XS[w & 511], GRID_IQ2_XS[w >> 16 & 511]);
      s[i] = eights(SIGNS.entries[w >> 9 & 127], SIGNS.entries[w >> 25]);
    }
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
  HalfToFloat eighth = half_times<-3>();
  SignBytes sign_bytes;

  template <int half>
  INLINE void magnitudes(const uint8_t* p, v128_t m[8], v128_t s[8]) const {
    const BlockIQ2_S& block = *reinterpret_cast<const BlockIQ2_S*>(p);
    for (int i = 0; i < 8; i++) {
      const int k = 16 * half + 2 * i;
      const uint32_t high = block.high[k / 4] << (i % 2 ? 4 : 8);
      m[i] = eights(GRID_IQ2_S[block.q[k] | (high & 0x300)], GRID_IQ2_S[block.q[k + 1] | (high >> 2 & 0x300)]);
      s[i] = sign_bytes(block.signs + k);
    }
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    return odd_nibbles(reinterpret_cast<const BlockIQ2_S*>(p)->scales + 4 * half);
  }
  INLINE v128_t super_scale(const uint8_t* p) const { return eighth.splat(p); }
};

// Half the magnitudes, which then leave room for sums.
inline constexpr auto IQ3_XXS_HALVES = scaled_grid(GRID_IQ3_XXS, 1, 2, 0);

struct IQ3_XXS : SignsAndMagnitudes<IQ3_XXS> {
  static constexpr Family family = Family::Scaled;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ3_XXS);
  static constexpr int largest = 31;
  HalfToFloat half_of = half_times<-1>();

  template <int half>
  INLINE void magnitudes(const uint8_t* p, v128_t m[8], v128_t s[8]) const {
    const BlockIQ3_XXS& block = *reinterpret_cast<const BlockIQ3_XXS*>(p);
    for (int i = 0; i < 8; i++) {
      const uint8_t* q = block.q + 32 * half + 4 * i;
      const uint32_t w = load_u32(block.w[4 * half + i / 2]) >> (i % 2 * 14);
      m[i] = fours(IQ3_XXS_HALVES[q[0]], IQ3_XXS_HALVES[q[1]], IQ3_XXS_HALVES[q[2]], IQ3_XXS_HALVES[q[3]]);
      s[i] = eights(SIGNS.entries[w & 127], SIGNS.entries[w >> 7 & 127]);
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t w = wasm_v128_load(reinterpret_cast<const BlockIQ3_XXS*>(p)->w[4 * half]);
    return wasm_f32x4_mul(half_of.splat(p), odd_top_nibbles(w));
  }
};

// Magnitudes are odd, 1 to 15: with 16 added, changing bits 1 to 4 changes the sign.
inline constexpr auto IQ3_S_CODES = scaled_grid(GRID_IQ3_S, 1, 1, 16);

struct IQ3_S {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ3_S);
  static constexpr int offset = 16, centre = offset, rows = 1;
  HalfToFloat half_to_float;
  SignBytes sign_bytes;
  FourNibbles four_nibbles;
  v128_t change = constant_u8(30);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockIQ3_S& block = *reinterpret_cast<const BlockIQ3_S*>(p);
    for (int i = 0; i < 8; i++) {
      const uint8_t* q = block.q + 32 * half + 4 * i;
      const uint32_t high = block.high[4 * half + i / 2] << (i % 2 ? 4 : 8);
      v128_t grid = fours(IQ3_S_CODES[q[0] | (high & 256)], IQ3_S_CODES[q[1] | (high >> 1 & 256)],
                          IQ3_S_CODES[q[2] | (high >> 2 & 256)], IQ3_S_CODES[q[3] | (high >> 3 & 256)]);
      c[i] = wasm_v128_xor(grid, wasm_v128_and(sign_bytes(block.signs + 16 * half + 2 * i), change));
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t scale = four_nibbles(reinterpret_cast<const BlockIQ3_S*>(p)->scales + 2 * half);
    v128_t odd = wasm_f32x4_add(wasm_f32x4_add(scale, scale), wasm_f32x4_const_splat(1));
    return wasm_f32x4_mul(half_to_float.splat(p), odd);
  }
};

// Eight times a value and its 1/8, 16 above zero, with 1/8 added: 9, 17, 25; two less where it is taken off.
inline constexpr auto IQ1_CODES = scaled_grid(GRID_IQ1, 8, 1, 17);

struct IQ1_S {
  static constexpr Family family = Family::Scaled;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ1_S);
  static constexpr int offset = 16, centre = offset, rows = 1;
  HalfToFloat eighth = half_times<-3>();

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockIQ1_S& block = *reinterpret_cast<const BlockIQ1_S*>(p);
    for (int b = 0; b < 4; b++) {
      const uint8_t* q = block.q + 16 * half + 4 * b;
      const uint32_t high = load_u16(block.high[4 * half + b]);
      v128_t less = wasm_i8x16_splat(high >> 14 & 2);
      c[2 * b] = wasm_i8x16_sub(eights(IQ1_CODES[q[0] | (high << 8 & 0x700)], IQ1_CODES[q[1] | (high << 5 & 0x700)]), less);
      c[2 * b + 1] =
          wasm_i8x16_sub(eights(IQ1_CODES[q[2] | (high << 2 & 0x700)], IQ1_CODES[q[3] | (high >> 1 & 0x700)]), less);
    }
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    v128_t high = wasm_u32x4_load16x4(reinterpret_cast<const BlockIQ1_S*>(p)->high[4 * half]);
    v128_t scale = wasm_v128_and(wasm_u32x4_shr(high, 11), wasm_i32x4_const_splat(14));
    v128_t odd = wasm_f32x4_convert_i32x4(wasm_v128_or(scale, wasm_i32x4_const_splat(1)));
    return wasm_f32x4_mul(eighth.splat(p), odd);
  }
};

struct IQ1_M {
  static constexpr Family family = Family::Grouped;
  static constexpr bool grouped_minimums = false;
  static constexpr uint32_t unit = 256, bytes = sizeof(BlockIQ1_M);
  static constexpr int offset = 16, centre = offset, rows = 1;
  HalfToFloat eighth = half_times<-3>();
  v128_t minus = constant_u64(0x0808080808080808, 0x8080808080808080), two = constant_u8(2);
  v128_t to_top = constant_u64(0x0010008004002000, 0x0010008004002000);

  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    const BlockIQ1_M& block = *reinterpret_cast<const BlockIQ1_M*>(p);
    for (int i = 0; i < 8; i++) {
      const uint8_t* q = block.q + 16 * half + 2 * i;
      const uint8_t& high = block.high[8 * half + i];
      v128_t grid = eights(IQ1_CODES[q[0] | (high << 8 & 0x700)], IQ1_CODES[q[1] | (high << 4 & 0x700)]);
      c[i] = wasm_i8x16_sub(grid, wasm_u8x16_min(wasm_v128_and(wasm_v128_load8_splat(&high), minus), two));
    }
  }
  template <int half>
  INLINE v128_t group_scales(const uint8_t* p) const {
    v128_t both = wasm_v128_load32_zero(reinterpret_cast<const BlockIQ1_M*>(p)->scales[2 * half]);
    v128_t fours = wasm_i16x8_shuffle(both, both, 0, 0, 0, 0, 1, 1, 1, 1);
    v128_t scale = wasm_u16x8_shr(wasm_i16x8_mul(fours, to_top), 13);
    return wasm_v128_or(wasm_i16x8_add(scale, scale), wasm_i16x8_const_splat(1));
  }
  INLINE v128_t super_scale(const uint8_t* p) const {
    uint64_t s;
    memcpy(&s, reinterpret_cast<const BlockIQ1_M*>(p)->scales, 8);
    const uint64_t d = (s >> 12 & 0xf) | (s >> 24 & 0xf0) | (s >> 36 & 0xf00) | (s >> 48 & 0xf000);
    return eighth(wasm_i32x4_splat(static_cast<uint32_t>(d) << 16));
  }
};

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
  INLINE void magnitudes(const uint8_t* p, v128_t m[8], v128_t s[8]) const {
    for (int b = 0; b < 4; b++) {
      v128_t q = wasm_v128_load(F::template nibbles<half>(p, b));
      v128_t low = wasm_v128_and(q, nibble), high = wasm_v128_and(wasm_u16x8_shr(q, 4), nibble);
      m[2 * b] = pick_bytes(sizes, low);
      m[2 * b + 1] = pick_bytes(sizes, high);
      s[2 * b] = wasm_i8x16_gt(eight, low);
      s[2 * b + 1] = wasm_i8x16_gt(eight, high);
    }
  }
  template <int half>
  INLINE void codes(const uint8_t* p, v128_t c[8]) const {
    for (int b = 0; b < 4; b++) {
      v128_t q = wasm_v128_load(F::template nibbles<half>(p, b));
      c[2 * b] = pick_bytes(values, wasm_v128_and(q, nibble));
      c[2 * b + 1] = pick_bytes(values, wasm_v128_and(wasm_u16x8_shr(q, 4), nibble));
    }
  }
};

struct IQ4_NL : NibblesIQ4<IQ4_NL> {
  static constexpr Family family = Family::Scaled;
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

  template <int half>
  INLINE static const uint8_t* nibbles(const uint8_t* p, int b) {
    return reinterpret_cast<const BlockIQ4_XS*>(p)->q + 64 * half + 16 * b;
  }
  template <int half>
  INLINE v128_t scales(const uint8_t* p) const {
    const BlockIQ4_XS& block = *reinterpret_cast<const BlockIQ4_XS*>(p);
    // Upper bits 4 to 5, 2 to 3, 0 to 1 below the others: where the scale wants them, times a power of four each.
    const uint32_t high = load_u16(block.high) >> (8 * half);
    v128_t upper = wasm_v128_and(wasm_i32x4_splat(high), wasm_u32x4_const(0x03, 0x0c, 0x30, 0xc0));
    upper = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(upper), wasm_f32x4_const(16, 4, 1, 0.25f));
    v128_t scale = wasm_f32x4_add(four_nibbles(block.low + 2 * half), upper);
    return wasm_f32x4_mul(half_to_float.splat(p), wasm_f32x4_sub(scale, wasm_f32x4_const_splat(32)));
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
  // 2^(e - 128): of e = 0 and 1, whose powers are subnormal, (e + 1) << 21 are the bits, and above them (e - 1) << 23, each the larger.
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
  HalfToFloat half_to_float;
  v128_t top = constant_u8(0x80), first = constant_u8(0x80 ^ 85), second = constant_u8(0x80 ^ 170);

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
      for (int n = 0; n < 4; n++) {
        a = thrice(a);
        b = thrice(b);
      }
      c[0] = digit(a);
      c[1] = digit(b);
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
  INLINE static v128_t thrice(v128_t v) { return wasm_i8x16_add(wasm_i8x16_add(v, v), v); }
  // Whether three times the byte reaches 256, and 512: whether it is above 85, and above 170.
  INLINE v128_t digit(v128_t v) const {
    return wasm_i8x16_abs(wasm_i8x16_add(wasm_i8x16_gt(v, first), wasm_i8x16_gt(v, second)));
  }
};

}  // namespace blocks
