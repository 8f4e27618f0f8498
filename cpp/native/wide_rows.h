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

// Of four rows, dwords 0..3 of a group's four blocks, and dwords 4..7.
struct Dwords {
  ints low[4], high[4];
};

// Four rows of format F: load(at, use) calls use(dwords, scale, minimum) for each group of the unit that begins at at[r].
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
    Dwords d;
    const ints nibble = (ints)_mm512_set1_epi8(15);
    __m512i halves = _mm512_setzero_si512();
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const __m512i first = (__m512i)wide::load(at[r]), last = (__m512i)wide::load(at[r] + 8);
      const __m512i both = _mm512_permutex2var_epi16(first, codes.get(), last);
      d.low[r] = (ints)both & nibble;
      d.high[r] = (ints)_mm512_srli_epi16(both, 4) & nibble;
      // The upper words of lane r.
      halves = _mm512_mask_permutexvar_epi16(halves, 0xaau << (8 * r), scales.get(), first);
    }
    use(d, half_to_float((ints)halves), floats{});
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
    Dwords d;
    const ints turn = (ints)_mm512_set1_epi8(-128);
    __m512i halves = _mm512_setzero_si512();
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const uint8_t* p = at[r];
      const __m512i a = (__m512i)wide::load(p), b = (__m512i)wide::load(p + 64);
      const __m512i c = (__m512i)wide::load(p + 8), e = (__m512i)wide::load(p + 72);
      d.low[r] = (ints)_mm512_permutex2var_epi16(a, low.get(), b) ^ turn;
      d.high[r] = (ints)_mm512_permutex2var_epi16(c, high.get(), e) ^ turn;
      halves = _mm512_or_si512(halves, _mm512_maskz_permutex2var_epi16(0xaau << (8 * r), a, scales.get(), b));
    }
    use(d, half_to_float((ints)halves), floats{});
  }
};

// Super-blocks: the header of a row, its scales and the two halves' offsets, stands in a lane.
template <>
struct FourRows<blocks::Q4_K> {
  static constexpr bool there = true;
  static constexpr bool is_signed = false;

  template <class Use>
  INLINE static void load(const uint8_t* const at[4], Use use) {
    __m512i header = _mm512_castsi128_si512((__m128i)wasm_v128_load(at[0]));
    header = _mm512_inserti32x4(header, (__m128i)wasm_v128_load(at[1]), 1);
    header = _mm512_inserti32x4(header, (__m128i)wasm_v128_load(at[2]), 2);
    header = _mm512_inserti32x4(header, (__m128i)wasm_v128_load(at[3]), 3);
    // Bytes b .. b + 3 of a lane, one in each dword.
    const auto spread = [&](int b) {
      return (ints)_mm512_shuffle_epi8(header, _mm512_add_epi8(_mm512_broadcast_i32x4(_mm_setr_epi8(
                                                   0, -128, -128, -128, 1, -128, -128, -128, 2, -128, -128, -128, 3, -128,
                                                   -128, -128)),
                                               _mm512_set1_epi32(b)));
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
    const ints nibble = (ints)_mm512_set1_epi8(15);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      Dwords dwords;
#pragma unroll
      for (int r = 0; r < 4; r++) {
        // Blocks 0 and 2 in the low nibbles, 1 and 3 in the high ones.
        const ints both = wide::load(at[r] + 16 + 64 * half);
        const __m512i even = (__m512i)(both & nibble), odd = (__m512i)((ints)_mm512_srli_epi16((__m512i)both, 4) & nibble);
        dwords.low[r] = (ints)_mm512_permutex2var_epi32(even, low_index(), odd);
        dwords.high[r] = (ints)_mm512_permutex2var_epi32(even, high_index(), odd);
      }
      use(dwords, d * to_floats(scales[half]), less * to_floats(minimums[half]));
    }
  }

 private:
  INLINE static __m512i low_index() {
    return _mm512_setr_epi32(0, 16, 8, 24, 1, 17, 9, 25, 2, 18, 10, 26, 3, 19, 11, 27);
  }
  INLINE static __m512i high_index() {
    return _mm512_setr_epi32(4, 20, 12, 28, 5, 21, 13, 29, 6, 22, 14, 30, 7, 23, 15, 31);
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
