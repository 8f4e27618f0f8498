// Few tokens' product with the formats that most weights have, for 512 bits with VNNI: four far rows at a time, each a linear
// stream and in the end a lane; a group of 128 columns of each a step, of which vector lane k first holds dword k of the four
// blocks. Every addition of floats is ../matvec.h's, in its order. Other formats and levels take that file's loops.
#pragma once
#include "../few_tokens.h"
#include "wide.h"

#if TRAMONTANE_FAR_ROWS

namespace wide {

// Four vectors, the lanes of which are to be added: lane r of the result is the sum of v[r]'s.
INLINE ints add_lanes(const ints v[4]) {
  const auto pair = [](ints a, ints b) {
    return (ints)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0x44) + (ints)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0xee);
  };
  const ints ab = pair(v[0], v[1]), cd = pair(v[2], v[3]);
  return (ints)_mm512_shuffle_i32x4((__m512i)ab, (__m512i)cd, 0x88) + (ints)_mm512_shuffle_i32x4((__m512i)ab, (__m512i)cd, 0xdd);
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

struct RowsQ4_0 {
  using F = blocks::Q4_0;
  static constexpr bool is_signed = false;

  // Words 0..31 of a group, and words 4..35.
  static constexpr Words codes = Words([](int i) {
    const int word = 9 * block_at(i) + 1 + 2 * lane_at(i) + half_at(i);
    return word < 32 ? word : word + 28;
  });
  static constexpr Words scales = Words([](int i) { return 9 * block_at(i); });

  INLINE static void load(const uint8_t* const at[4], Dwords& d, floats& scale, floats&) {
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
    scale = half_to_float((ints)halves);
  }
};

struct RowsQ8_0 {
  using F = blocks::Q8_0;
  static constexpr bool is_signed = true;

  // Of words 0..63, and of words 4..67.
  static constexpr Words low = Words([](int i) { return 17 * block_at(i) + 1 + 2 * lane_at(i) + half_at(i); });
  static constexpr Words high = Words([](int i) { return 17 * block_at(i) + 9 + 2 * lane_at(i) + half_at(i) - 4; });
  static constexpr Words scales = Words([](int i) { return 17 * block_at(i); });

  INLINE static void load(const uint8_t* const at[4], Dwords& d, floats& scale, floats&) {
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
    scale = half_to_float((ints)halves);
  }
};

// Adds a group of four rows, whose dwords, scales and minimums are there, to the sums of T tokens.
template <class Rows, int T>
INLINE void add_rows_group(const Dwords& d, floats scale, floats minimum, const VecI8Dwords* x, uint32_t groups,
                           floats acc[T]) {
  using F = typename Rows::F;
  const v128_t offset = wasm_i16x8_splat(Rows::is_signed ? SIGNED_OFFSET : F::offset);
#pragma unroll
  for (int t = 0; t < T; t++) {
    const VecI8Dwords& v = x[t * groups];
    const ints x_low = load(v.x), x_high = load(v.x + 4);
    ints p[4];
#pragma unroll
    for (int r = 0; r < 4; r++) p[r] = dot<false>(dot<false>(ints{}, d.low[r], x_low), d.high[r], x_high);
    ints sum = add_lanes(p);
    if constexpr (Rows::is_signed || F::offset != 0) sum += broadcast(wasm_i32x4_dot_i16x8(v.sums.neg, offset));
    floats value = to_floats(sum) * (scale * broadcast_floats(v.sums.scale));
    if constexpr (F::family == blocks::Family::Minimum) value = value + minimum * broadcast_floats(v.sums.sum);
    acc[t] = acc[t] + value;
  }
}

// Of blocks of 32, a unit is a group.
template <class Rows>
struct Groups {
  using F = typename Rows::F;
  template <int T>
  INLINE static void add(const uint8_t* const at[4], const VecI8Dwords* x, uint32_t groups, floats acc[T]) {
    Dwords d;
    floats scale, minimum = {};
    Rows::load(at, d, scale, minimum);
    add_rows_group<Rows, T>(d, scale, minimum, x, groups, acc);
  }
};

// Super-blocks: the header of a row, its scales and the two halves' offsets, stands in a lane.
struct SuperQ4_K {
  using F = blocks::Q4_K;
  static constexpr bool is_signed = false;

  template <int T>
  INLINE static void add(const uint8_t* const at[4], const VecI8Dwords* x, uint32_t groups, floats acc[T]) {
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
        const ints both = load(at[r] + 16 + 64 * half);
        const __m512i even = (__m512i)(both & nibble), odd = (__m512i)((ints)_mm512_srli_epi16((__m512i)both, 4) & nibble);
        dwords.low[r] = (ints)_mm512_permutex2var_epi32(even, low_index(), odd);
        dwords.high[r] = (ints)_mm512_permutex2var_epi32(even, high_index(), odd);
      }
      add_rows_group<SuperQ4_K, T>(dwords, d * to_floats(scales[half]), less * to_floats(minimums[half]), x + half,
                                         groups, acc);
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

// `rows` rows of each of four streams.
template <class Unit, int T>
SEPARATE void multiply_far_rows(const uint8_t* const start[4], uint32_t rows, const VecI8Dwords* packed, float* const to[4],
                                uint32_t out_stride, uint32_t cols) {
  using F = typename Unit::F;
  constexpr uint32_t step = F::unit / GROUP;
  const uint32_t groups = groups_of(cols);
  const uint8_t* at[4] = {start[0], start[1], start[2], start[3]};
  for (uint32_t row = 0; row < rows; row++) {
    floats acc[T] = {};
    const VecI8Dwords* x = packed;
    for (uint32_t units = cols / F::unit; units > 0; units--, x += step) {
      Unit::template add<T>(at, x, groups, acc);
      for (int r = 0; r < 4; r++) at[r] += F::bytes;
    }
    // The blocks left over, as a unit filled up with zero bytes: nothing is read beyond the row.
    if (uint32_t rest = F::unit == 256 ? 0 : cols % F::unit) {
      const uint32_t bytes = rest * F::bytes / F::unit;
      alignas(64) uint8_t copies[4][(F::bytes + 63) / 64 * 64] = {};
      const uint8_t* copied[4];
      for (int r = 0; r < 4; r++) {
        memcpy(copies[r], at[r], bytes);
        copied[r] = copies[r];
        at[r] += bytes;
      }
      Unit::template add<T>(copied, x, groups, acc);
    }
    for (int t = 0; t < T; t++) {
      for (int r = 0; r < 4; r++) to[r][t * out_stride + row] = sum_f32(lane_of(acc[t], r));
    }
  }
}

template <class Unit, int T>
INLINE void multiply(const uint8_t* w, const VecI8Dwords* x, float* out, uint32_t out_stride, uint32_t cols, uint32_t rows) {
  using F = typename Unit::F;
  const uint32_t part = rows / 4, row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  const uint8_t* at[4];
  float* to[4];
  for (uint32_t r = 0; r < 4; r++) {
    at[r] = w + r * part * row_bytes;
    to[r] = out + r * part;
  }
  multiply_far_rows<Unit, T>(at, part, x, to, out_stride, cols);
  // The last rows, fewer than four: those that are missing are the last one again.
  if (const uint32_t rest = rows - 4 * part) {
    float copies[4][T];
    for (uint32_t r = 0; r < 4; r++) {
      at[r] = w + (4 * part + (r < rest ? r : rest - 1)) * row_bytes;
      to[r] = copies[r];
    }
    multiply_far_rows<Unit, T>(at, 1, x, to, 1, cols);
    for (uint32_t r = 0; r < rest; r++) {
      for (int t = 0; t < T; t++) out[t * out_stride + 4 * part + r] = copies[r][t];
    }
  }
}

// See kernels.h.
template <class Unit>
INLINE void matvec(const ProductArgs& args) {
  for (uint32_t t = 0; t < args.tokens;) {
    const uint32_t left = args.tokens - t, count = left == 1 || left == 3 ? left : 2;
    const VecI8Dwords* x = reinterpret_cast<const VecI8Dwords*>(args.x) + t * groups_of(args.cols);
    float* out = args.out + t * args.out_stride;
    if (count == 3) multiply<Unit, 3>(args.w, x, out, args.out_stride, args.cols, args.rows);
    else if (count == 2) multiply<Unit, 2>(args.w, x, out, args.out_stride, args.cols, args.rows);
    else multiply<Unit, 1>(args.w, x, out, args.out_stride, args.cols, args.rows);
    t += count;
  }
}

}  // namespace wide

template <>
INLINE void matvec<blocks::Q4_0, VecI8Dwords>(const ProductArgs& args) {
  wide::matvec<wide::Groups<wide::RowsQ4_0>>(args);
}
template <>
INLINE void matvec<blocks::Q8_0, VecI8Dwords>(const ProductArgs& args) {
  wide::matvec<wide::Groups<wide::RowsQ8_0>>(args);
}
template <>
INLINE void matvec<blocks::Q4_K, VecI8Dwords>(const ProductArgs& args) {
  wide::matvec<wide::SuperQ4_K>(args);
}

#endif
