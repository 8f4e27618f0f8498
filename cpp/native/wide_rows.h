// Four rows side by side of the formats that most weights have, for 512 bits with VNNI: of a group of 128 columns of a row, lane
// k of a vector holds dword k of the four blocks.
#pragma once
#include "../few_tokens.h"
#include "wide.h"

#if TRAMONTANE_FAR_ROWS

namespace wide {

// Lane k of vector r becomes lane r of vector k.
INLINE void transpose_lanes(const ints v[4], ints out[4]) {
  const __m512i a = (__m512i)v[0], b = (__m512i)v[1], c = (__m512i)v[2], d = (__m512i)v[3];
  const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44), ab_high = _mm512_shuffle_i32x4(a, b, 0xee);
  const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44), cd_high = _mm512_shuffle_i32x4(c, d, 0xee);
  out[0] = (ints)_mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  out[1] = (ints)_mm512_shuffle_i32x4(ab_low, cd_low, 0xdd);
  out[2] = (ints)_mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  out[3] = (ints)_mm512_shuffle_i32x4(ab_high, cd_high, 0xdd);
}

INLINE ints load(const void* p) { return (ints)_mm512_loadu_si512(p); }

// f16 in the upper halves of i32 lanes, as HalfToFloat.
INLINE floats half_to_float(ints upper) {
  const ints bits = (ints)_mm512_and_si512(_mm512_srai_epi32((__m512i)upper, 3), _mm512_set1_epi32(static_cast<int>(0x8fffe000)));
  return (floats)bits * (floats)_mm512_set1_epi32(0x77800000);
}

// Words of 16 bits for a permutation: word i of the result is word of(i).
struct Words {
  alignas(64) uint16_t index[32] = {};
  template <class Of>
  constexpr explicit Words(Of of) {
    for (int i = 0; i < 32; i++) index[i] = static_cast<uint16_t>(of(i));
  }
  INLINE __m512i get() const { return _mm512_load_si512(index); }
};
// Of word i of a vector with a dword of each of four blocks in a lane: the lane, the block, and which half of the dword.
constexpr int lane_at(int i) { return i / 8; }
constexpr int block_at(int i) { return i % 8 / 2; }
constexpr int half_at(int i) { return i % 2; }

// A group of four rows. Of each row, dwords 0..3 of the four blocks, and dwords 4..7; in lane r what row r's blocks are
// multiplied by, what is added, and where each 16 values have a scale, those of the first and second 16.
struct GroupOfFour {
  ints low[4], high[4];
  floats scale, minimum;
  ints groups[2];
};

// 16 bytes at p[r] + offset in lane r.
INLINE __m512i in_lanes(const uint8_t* const p[4], uint32_t offset) {
  __m512i v = _mm512_castsi128_si512((__m128i)wasm_v128_load(p[0] + offset));
  v = _mm512_inserti32x4(v, (__m128i)wasm_v128_load(p[1] + offset), 1);
  v = _mm512_inserti32x4(v, (__m128i)wasm_v128_load(p[2] + offset), 2);
  return _mm512_inserti32x4(v, (__m128i)wasm_v128_load(p[3] + offset), 3);
}

// A nibble of each byte.
INLINE ints low_nibbles(ints v) { return v & (ints)_mm512_set1_epi8(15); }
INLINE ints high_nibbles(ints v) { return (ints)_mm512_srli_epi16((__m512i)v, 4) & (ints)_mm512_set1_epi8(15); }

// Four rows of format F: load(at, use) calls use(group) for each group of the unit that begins at at[r].
template <class F>
struct FourRows {
  static constexpr bool there = false;
};

template <>
struct FourRows<blocks::Q4_0> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  // Words 0..31 of a group, and words 4..35.
  static constexpr Words codes = Words([](int i) {
    const int word = 9 * block_at(i) + 1 + 2 * lane_at(i) + half_at(i);
    return word < 32 ? word : word + 28;
  });
  static constexpr Words scales = Words([](int i) { return 9 * block_at(i); });

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    GroupOfFour group;
    __m512i halves = _mm512_setzero_si512();
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const __m512i first = (__m512i)wide::load(at[r]), last = (__m512i)wide::load(at[r] + 8);
      const __m512i both = _mm512_permutex2var_epi16(first, codes.get(), last);
      group.low[r] = low_nibbles((ints)both);
      group.high[r] = high_nibbles((ints)both);
      // The upper words of lane r.
      halves = _mm512_mask_permutexvar_epi16(halves, 0xaau << (8 * r), scales.get(), first);
    }
    group.scale = half_to_float((ints)halves);
    use(group);
  }
};

template <>
struct FourRows<blocks::Q8_0> {
  static constexpr bool there = true;
  static constexpr bool is_signed = true;

  // Of words 0..63, and of words 4..67.
  static constexpr Words low = Words([](int i) { return 17 * block_at(i) + 1 + 2 * lane_at(i) + half_at(i); });
  static constexpr Words high = Words([](int i) { return 17 * block_at(i) + 9 + 2 * lane_at(i) + half_at(i) - 4; });
  static constexpr Words scales = Words([](int i) { return 17 * block_at(i); });

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    GroupOfFour group;
    const ints turn = (ints)_mm512_set1_epi8(-128);
    __m512i halves = _mm512_setzero_si512();
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const uint8_t* p = at[r];
      const __m512i a = (__m512i)wide::load(p), b = (__m512i)wide::load(p + 64);
      const __m512i c = (__m512i)wide::load(p + 8), e = (__m512i)wide::load(p + 72);
      group.low[r] = (ints)_mm512_permutex2var_epi16(a, low.get(), b) ^ turn;
      group.high[r] = (ints)_mm512_permutex2var_epi16(c, high.get(), e) ^ turn;
      halves = _mm512_or_si512(halves, _mm512_maskz_permutex2var_epi16(0xaau << (8 * r), a, scales.get(), b));
    }
    group.scale = half_to_float((ints)halves);
    use(group);
  }
};

// A group of a row that is repacked: dword k of each block in the low nibbles of lane k, dword k + 4 in the high ones.
INLINE void put_repacked(GroupOfFour& group, int r, const uint8_t* p) {
  const ints both = load(p);
  group.low[r] = low_nibbles(both);
  group.high[r] = high_nibbles(both);
}

template <>
struct FourRows<blocks::Q4_0_R> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    GroupOfFour group;
#pragma unroll
    for (int r = 0; r < 4; r++) put_repacked(group, r, at[r] + 8);
    const __m512i halves = _mm512_broadcast_i32x4(
        _mm_setr_epi8(-128, -128, 0, 1, -128, -128, 2, 3, -128, -128, 4, 5, -128, -128, 6, 7));
    group.scale = half_to_float((ints)_mm512_shuffle_epi8(in_lanes(at, 0), halves));
    use(group);
  }
};

// The headers of four super-blocks of Q4_K or Q5_K: what both halves are multiplied by, and what is added.
struct HeadersOfFour {
  floats scale[2], minimum[2];

  INLINE explicit HeadersOfFour(const uint8_t* const at[4]) {
    const __m512i header = in_lanes(at, 0);
    // Bytes b .. b + 3 of a lane, one in each dword.
    const auto spread = [&](int b) {
      const __m128i first = _mm_setr_epi8(0, -128, -128, -128, 1, -128, -128, -128, 2, -128, -128, -128, 3, -128, -128, -128);
      return (ints)_mm512_shuffle_epi8(header, _mm512_add_epi8(_mm512_broadcast_i32x4(first), _mm512_set1_epi32(b)));
    };
    const auto upper = [&](int b) {  // Bytes b and b + 1, the upper half of each dword.
      const int word = 0x80 | 0x80 << 8 | b << 16 | (b + 1) << 24;
      return (ints)_mm512_shuffle_epi8(header, _mm512_set1_epi32(word));
    };
    const ints first = spread(4), second = spread(8), third = spread(12);
    const ints six = (ints)_mm512_set1_epi32(63), four = (ints)_mm512_set1_epi32(15), top = (ints)_mm512_set1_epi32(48);
    const auto right = [](ints v, int n) { return (ints)_mm512_srli_epi32((__m512i)v, n); };
    const ints scales[2] = {first & six, (third & four) | (right(first, 2) & top)};
    const ints minimums[2] = {second & six, right(third, 4) | (right(second, 2) & top)};
    const floats d = half_to_float(upper(0)), dmin = half_to_float(upper(2));
    const floats less = (floats)((ints)dmin ^ (ints)_mm512_set1_epi32(INT32_MIN));
    for (int half = 0; half < 2; half++) {
      scale[half] = d * to_floats(scales[half]);
      minimum[half] = less * to_floats(minimums[half]);
    }
  }
};

// Both halves of four super-blocks that begin with such headers: put(group, r, half) puts row r's codes into a group.
template <class Put, class Use>
INLINE void load_halves(const uint8_t* const at[4], Put put, Use use) {
  const HeadersOfFour headers(at);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    GroupOfFour group;
#pragma unroll
    for (int r = 0; r < 4; r++) put(group, r, half);
    group.scale = headers.scale[half];
    group.minimum = headers.minimum[half];
    use(group);
  }
}

template <>
struct FourRows<blocks::Q4_K> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  // Permutations of the bytes, which are then taken apart, are sooner done than those of two vectors of nibbles, which Q5_K and
  // Q6_K have to add bits to (from the second cache 18.9 -> 23.4 GB/s, Zen 4).
  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    // Lane k: dword k of the first 32 bytes, whose low nibbles are block 0 and whose high ones block 1, twice; of the others twice.
    const __m512i low = _mm512_setr_epi32(0, 0, 8, 8, 1, 1, 9, 9, 2, 2, 10, 10, 3, 3, 11, 11);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(4)), shift = _mm512_set1_epi64(4ll << 32);
    const auto put = [&](GroupOfFour& group, int r, int half) INLINED {
      const __m512i bytes = (__m512i)wide::load(at[r] + 16 + 64 * half);
      group.low[r] = low_nibbles((ints)_mm512_srlv_epi32(_mm512_permutexvar_epi32(low, bytes), shift));
      group.high[r] = low_nibbles((ints)_mm512_srlv_epi32(_mm512_permutexvar_epi32(high, bytes), shift));
    };
    load_halves(at, put, use);
  }
};

template <>
struct FourRows<blocks::Q4_K_R> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    load_halves(at, [&](GroupOfFour& group, int r, int half) INLINED { put_repacked(group, r, at[r] + 16 + 64 * half); }, use);
  }
};

// Two vectors, each half of which has the eight dwords of a block: places, of the 32 dwords of both, where blocks 1 to 3 begin.
struct PairsOfBlocks {
  __m512i low, high;
  INLINE PairsOfBlocks(int block1, int block2, int block3)
      : low(_mm512_add_epi32(_mm512_broadcast_i32x4(_mm_setr_epi32(0, block1, block2, block3)),
                             _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3))),
        high(_mm512_add_epi32(low, _mm512_set1_epi32(4))) {}
  INLINE void put(GroupOfFour& group, int r, ints first, ints second) const {
    group.low[r] = (ints)_mm512_permutex2var_epi32((__m512i)first, low, (__m512i)second);
    group.high[r] = (ints)_mm512_permutex2var_epi32((__m512i)first, high, (__m512i)second);
  }
};

// 32 bytes in both halves of a vector.
INLINE __m512i twice(const uint8_t* p) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// Bits of a byte where they are wanted, for each half of a vector: turned left by so many, then masked.
INLINE ints turned(__m512i v, int first, int second, int mask) {
  const __m512i by = _mm512_setr_epi64(first, first, first, first, second, second, second, second);
  return (ints)_mm512_rolv_epi64(v, by) & (ints)_mm512_set1_epi8(static_cast<char>(mask));
}

template <>
struct FourRows<blocks::Q5_K> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    // 32 bytes are blocks 0 and 1, 32 blocks 2 and 3.
    const PairsOfBlocks blocks(16, 8, 24);
    __m512i bits[4];
    for (int r = 0; r < 4; r++) bits[r] = twice(at[r] + 16);
    const auto put = [&](GroupOfFour& group, int r, int half) INLINED {
      // Bit b of a byte becomes bit 4: of blocks 0 and 2 of the half, 1 and 3.
      const ints both = wide::load(at[r] + 48 + 64 * half);
      const ints even = turned(bits[r], (68 - 4 * half) % 64, (66 - 4 * half) % 64, 16);
      const ints odd = turned(bits[r], (67 - 4 * half) % 64, (65 - 4 * half) % 64, 16);
      blocks.put(group, r, low_nibbles(both) | even, high_nibbles(both) | odd);
    };
    load_halves(at, put, use);
  }
};

template <>
struct FourRows<blocks::Q6_K> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    // 32 bytes are blocks 0 and 2, 32 blocks 1 and 3.
    const PairsOfBlocks blocks(8, 16, 24);
    const __m512i scales = in_lanes(at, offsetof(BlockQ6_K, scales));
    // The last two bytes.
    const __m512i halves = in_lanes(at, sizeof(BlockQ6_K) - 16);
    const floats d = half_to_float((ints)_mm512_shuffle_epi8(halves, _mm512_set1_epi32(0x0f0e8080)));
#pragma unroll
    for (int half = 0; half < 2; half++) {
      GroupOfFour group;
#pragma unroll
      for (int r = 0; r < 4; r++) {
        const ints both = wide::load(at[r] + 64 * half);
        const __m512i bits = twice(at[r] + offsetof(BlockQ6_K, high) + 32 * half);
        blocks.put(group, r, low_nibbles(both) | turned(bits, 4, 2, 48), high_nibbles(both) | turned(bits, 0, 62, 48));
      }
      group.scale = d;
      for (int i = 0; i < 2; i++) {
        // Byte 8 half + 2 b + i, signed, in dword b.
        const __m128i first = _mm_setr_epi8(-128, -128, -128, 0, -128, -128, -128, 2, -128, -128, -128, 4, -128, -128, -128, 6);
        const __m512i index = _mm512_add_epi8(_mm512_broadcast_i32x4(first), _mm512_set1_epi32((8 * half + i) << 24));
        group.groups[i] = (ints)_mm512_srai_epi32(_mm512_shuffle_epi8(scales, index), 24);
      }
      use(group);
    }
  }
};

// Runs body(at) on the units of four rows, one after another, and moves `at` on. The blocks left over are a unit filled up with
// zero bytes, so that nothing is read beyond a row.
template <class F, class Body>
INLINE void for_each_unit_of_four(const uint8_t* at[4], uint32_t cols, Body body) {
  for (uint32_t units = cols / F::unit; units > 0; units--) {
    body(at);
    for (int r = 0; r < 4; r++) at[r] += F::bytes;
  }
  if (uint32_t rest = F::unit == 256 ? 0 : cols % F::unit) {
    const uint32_t bytes = rest * F::bytes / F::unit;
    alignas(64) uint8_t copies[4][(F::bytes + 63) / 64 * 64] = {};
    const uint8_t* copied[4];
    for (int r = 0; r < 4; r++) {
      memcpy(copies[r], at[r], bytes);
      copied[r] = copies[r];
      at[r] += bytes;
    }
    body(copied);
  }
}

}  // namespace wide

#endif
