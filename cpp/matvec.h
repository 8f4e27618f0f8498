// One token's product with quantized weights (few_tokens.h has those of two and three): four far rows at a time, each a linear stream, a group of 128 columns a step.
// Accumulator lane b gathers blocks b, b + 4, b + 8, ... in order.
#pragma once
#include "formats.h"
#include "pack_q8.h"
#include "read_ahead.h"

// [a b c d e f g h] in i16 to [a a c c e e g g] and [b b d d f f h h]: the scales of the first and second 16 values of
// each block, as the dots of i16 want them.
INLINE v128_t first_groups(v128_t k) { return wasm_i16x8_shuffle(k, k, 0, 0, 2, 2, 4, 4, 6, 6); }
INLINE v128_t second_groups(v128_t k) { return wasm_i16x8_shuffle(k, k, 1, 1, 3, 3, 5, 5, 7, 7); }

// What a group of weights brings besides its codes; members a format does not need stay zero.
struct GroupScales {
  v128_t scale = {};     // f32, s of Family
  v128_t minimum = {};   // f32, m of Family, for Q2_K t
  v128_t minimums = {};  // i16, l of Family
};

template <class F, int half>
INLINE GroupScales group_scales_of(const F& f, const uint8_t* w) {
  GroupScales s;
  if constexpr (F::family == blocks::Family::Scaled) s.scale = f.template scales<half>(w);
  if constexpr (F::family == blocks::Family::Minimum) s.scale = f.template scales<half>(w, s.minimum);
  if constexpr (F::family == blocks::Family::Grouped) s.scale = f.super_scale(w);
  if constexpr (F::grouped_minimums) {
    s.minimum = f.super_minimum(w);
    s.minimums = f.template group_minimums<half>(w);
  }
  return s;
}

// The group's contribution to the accumulator, from the integer dots; one formula for every product.
template <class F>
INLINE v128_t contribution(v128_t dots, const GroupSums& x, const GroupScales& w) {
  v128_t value = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(dots), wasm_f32x4_mul(w.scale, x.scale));
  if constexpr (F::family == blocks::Family::Minimum) value = wasm_f32x4_add(value, wasm_f32x4_mul(w.minimum, x.sum));
  if constexpr (F::grouped_minimums) {
    v128_t minus = wasm_f32x4_convert_i32x4(wasm_i32x4_dot_i16x8(x.neg_groups, w.minimums));
    value = wasm_f32x4_add(value, wasm_f32x4_mul(minus, wasm_f32x4_mul(w.minimum, x.scale)));
  }
  return value;
}

// Adds up the lanes of two vectors of i16 by fours, the sums of which fit, and multiplies them by k: [a a b b] in i32.
INLINE v128_t pair_dots(v128_t a, v128_t b, v128_t k) {
  v128_t fours = wasm_i16x8_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
  return wasm_i32x4_dot_i16x8(fours, k);
}

// The two scales of block b of [a b c d e f g h], four times each.
INLINE v128_t scales_of_block(v128_t k, int b) {
  switch (b) {
    case 0: return wasm_i16x8_shuffle(k, k, 0, 0, 0, 0, 1, 1, 1, 1);
    case 1: return wasm_i16x8_shuffle(k, k, 2, 2, 2, 2, 3, 3, 3, 3);
    case 2: return wasm_i16x8_shuffle(k, k, 4, 4, 4, 4, 5, 5, 5, 5);
    default: return wasm_i16x8_shuffle(k, k, 6, 6, 6, 6, 7, 7, 7, 7);
  }
}

// Times a power of two that is known when compiling.
template <int factor>
INLINE v128_t times_i16(v128_t v) {
  static_assert((factor & (factor - 1)) == 0);
  return factor == 0 ? wasm_i16x8_const_splat(0) : wasm_i16x8_shl(v, __builtin_ctz(factor));
}

// The integer dots of a group of a Grouped format, from the dots of 16 bytes each.
template <class F, int half>
INLINE v128_t grouped_dots(const F& f, const uint8_t* w, const v128_t p[8], const GroupSums& x) {
  v128_t k = f.template group_scales<half>(w);
  if constexpr (F::centre <= 4) {  // sums of 16 products fit i16
    v128_t sums = sum_i16(p);
    if constexpr (F::centre != 0) sums = wasm_i16x8_add(sums, times_i16<F::centre>(x.neg_groups));
    return wasm_i32x4_dot_i16x8(sums, k);
  }
  v128_t first = sum_pairs_i16(p[0], p[2], p[4], p[6]), second = sum_pairs_i16(p[1], p[3], p[5], p[7]);
  if constexpr (F::centre != 0) {
    first = wasm_i16x8_add(first, times_i16<F::centre>(x.neg0));
    second = wasm_i16x8_add(second, times_i16<F::centre>(x.neg1));
  }
  return wasm_i32x4_add(wasm_i32x4_dot_i16x8(first, first_groups(k)), wasm_i32x4_dot_i16x8(second, second_groups(k)));
}

// The integer dots of a group, from the products' sums of 16 columns each in i32.
template <class F, int half>
INLINE v128_t split_dots(const F& f, const uint8_t* w, const v128_t p[8], const GroupSums& x, v128_t ones) {
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t k = f.template group_scales<half>(w);
    v128_t first = sum_i32(p[0], p[2], p[4], p[6]), second = sum_i32(p[1], p[3], p[5], p[7]);
    if constexpr (F::offset != 0) {
      first = wasm_i32x4_add(first, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.neg0), ones));
      second = wasm_i32x4_add(second, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.neg1), ones));
    }
    return wasm_i32x4_add(wasm_i32x4_mul(first, wasm_i32x4_shr(wasm_i32x4_shl(k, 16), 16)),
                          wasm_i32x4_mul(second, wasm_i32x4_shr(k, 16)));
  } else {
    v128_t sums = sum_i32(wasm_i32x4_add(p[0], p[1]), wasm_i32x4_add(p[2], p[3]), wasm_i32x4_add(p[4], p[5]),
                          wasm_i32x4_add(p[6], p[7]));
    if constexpr (F::offset == 0) return sums;
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.neg), ones));
  }
}

// Formats whose codes are signs and magnitudes (formats_iq.h).
template <class F>
concept Signed = F::largest > 0;

// Formats whose codes take long to make: each vector is used at once, or most would be spilled.
template <class F>
inline constexpr bool piecewise = requires(F f, const uint8_t* p) { f.template code<0>(p, 0); };

// The integer dots of a group of R rows, block b in lane b, from int8 activations: weights' codes are in 0..63.
template <class F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecI8& x, v128_t ones, v128_t out[R]) {
  v128_t c[R][8];
  if constexpr (!piecewise<F>) {
    for (int r = 0; r < R; r++) f.template codes<half>(w[r], c[r]);
  }
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t p[R][8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
      for (int r = 0; r < R; r++) {
        if constexpr (piecewise<F>) c[r][i] = f.template code<half>(w[r], i);
        store_now(p[r][i], dot_i8_u7(x.x[i], c[r][i]));
      }
    }
    for (int r = 0; r < R; r++) out[r] = grouped_dots<F, half>(f, w[r], p[r], x.sums);
  } else {
    v128_t block[R][4];
#pragma unroll
    for (int b = 0; b < 4; b++) {
      for (int r = 0; r < R; r++) {
        if constexpr (piecewise<F>) {
          for (int i = 2 * b; i < 2 * b + 2; i++) c[r][i] = f.template code<half>(w[r], i);
        }
        v128_t first = dot_i8_u7(x.x[2 * b], c[r][2 * b]), second = dot_i8_u7(x.x[2 * b + 1], c[r][2 * b + 1]);
        store_now(block[r][b], wasm_i16x8_add(first, second));
      }
    }
    for (int r = 0; r < R; r++) {
      v128_t all = sum_pairs_i16(block[r][0], block[r][1], block[r][2], block[r][3]);
      v128_t centred = F::centre ? wasm_i16x8_add(all, times_i16<F::centre>(x.sums.neg)) : all;
      out[r] = wasm_i32x4_dot_i16x8(centred, ones);
      if constexpr (F::centre != F::offset) {
        out[r] = wasm_i32x4_sub(out[r], wasm_i32x4_dot_i16x8(times_i16<F::centre>(x.sums.neg), ones));
      }
    }
  }
}

// The dot of 16 values whose signs go to the activations: a magnitude is the operand in 0..127.
INLINE v128_t signed_dot(v128_t x, v128_t m, v128_t s) { return dot_i8_u7(wasm_i8x16_sub(wasm_v128_xor(x, s), s), m); }

// What the dots of the first and second 16 values of block b, in i16 by two, add up to in i32, scaled if Grouped; of
// magnitudes below 64 four products have room in i16. k are the group's scales.
template <class F>
INLINE v128_t block_dots(v128_t first, v128_t second, v128_t k, int b, v128_t ones) {
  if constexpr (F::family == blocks::Family::Grouped) {
    static_assert(F::largest < 64);
    return pair_dots(first, second, scales_of_block(k, b));
  } else if constexpr (F::largest < 64) {
    return wasm_i32x4_dot_i16x8(wasm_i16x8_add(first, second), ones);
  } else {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(first, ones), wasm_i32x4_dot_i16x8(second, ones));
  }
}
template <class F, int half>
INLINE v128_t scales_if_grouped(const F& f, const uint8_t* w) {
  if constexpr (F::family == blocks::Family::Grouped) return f.template group_scales<half>(w);
  return v128_t{};
}

template <Signed F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecI8& x, v128_t ones, v128_t out[R]) {
  v128_t block[R][4], k[R], signs[R], s0, s1;
  for (int r = 0; r < R; r++) {
    k[r] = scales_if_grouped<F, half>(f, w[r]);
    signs[r] = f.template signs<half>(w[r]);
  }
#pragma unroll
  for (int b = 0; b < 4; b++) {
    for (int r = 0; r < R; r++) {
      v128_t m0 = f.template magnitude<half>(w[r], signs[r], 2 * b, s0);
      v128_t first = signed_dot(x.x[2 * b], m0, s0);
      v128_t m1 = f.template magnitude<half>(w[r], signs[r], 2 * b + 1, s1);
      store_now(block[r][b], block_dots<F>(first, signed_dot(x.x[2 * b + 1], m1, s1), k[r], b, ones));
    }
  }
  for (int r = 0; r < R; r++) out[r] = sum_i32(block[r][0], block[r][1], block[r][2], block[r][3]);
}

// The same for plain SIMD, of signed bytes: each is moved to the upper byte of an i16, as 256 times its value.
INLINE v128_t signed_dot(v128_t even_x, v128_t odd_x, v128_t c, v128_t high_byte) {
  v128_t even = wasm_i32x4_dot_i16x8(even_x, wasm_i16x8_shl(c, 8));
  return wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(odd_x, wasm_v128_and(c, high_byte)));
}
template <Signed F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecSplit& x, v128_t ones, v128_t out[R]) {
  const v128_t high_byte = constant_i16(static_cast<int16_t>(0xff00));
  v128_t p[R][8], signs[R];
  for (int r = 0; r < R; r++) signs[r] = f.template signs<half>(w[r]);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    for (int r = 0; r < R; r++) {
      v128_t c = f.template code<half>(w[r], signs[r], i);
      store_now(p[r][i], signed_dot(x.x[2 * i], x.x[2 * i + 1], c, high_byte));
    }
  }
  for (int r = 0; r < R; r++) out[r] = wasm_i32x4_shr(split_dots<F, half>(f, w[r], p[r], x.sums, ones), 8);
}

// The same from activations in i16, for plain SIMD.
template <class F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecSplit& x, v128_t ones, v128_t out[R]) {
  const v128_t low_byte = constant_i16(0xff);
  v128_t c[R][8], p[R][8];
  for (int r = 0; r < R; r++) f.template codes<half>(w[r], c[r]);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    for (int r = 0; r < R; r++) {
      v128_t even = wasm_i32x4_dot_i16x8(x.x[2 * i], wasm_v128_and(c[r][i], low_byte));
      store_now(p[r][i], wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(x.x[2 * i + 1], wasm_u16x8_shr(c[r][i], 8))));
    }
  }
  for (int r = 0; r < R; r++) out[r] = split_dots<F, half>(f, w[r], p[r], x.sums, ones);
}

// The same for weights of 8 bits, in either build.
template <class F, int half, int R>
INLINE void dots(const F&, const uint8_t* const w[R], const VecI16& x, v128_t, v128_t out[R]) {
  v128_t block[R][4];
  for (int b = 0; b < 4; b++) {
    for (int r = 0; r < R; r++) {
      const int8_t* q = F::bytes_of(w[r], b);
      v128_t sum = wasm_i32x4_dot_i16x8(x.x[4 * b], wasm_i16x8_load8x8(q));
      for (int i = 1; i < 4; i++) {
        sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x.x[4 * b + i], wasm_i16x8_load8x8(q + 8 * i)));
      }
      store_now(block[r][b], sum);
    }
  }
  for (int r = 0; r < R; r++) out[r] = sum_i32(block[r][0], block[r][1], block[r][2], block[r][3]);
}

// The same of repacked weights, whose lanes are the blocks: nothing is added across lanes. Sixteen products of a nibble fit
// a lane of i16.
template <class F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecI8Dwords& x, v128_t ones, v128_t out[R]) {
  v128_t sum[R];
  for (int k = 0; k < 4; k++) {
    for (int r = 0; r < R; r++) {
      v128_t both = f.template dwords<half>(w[r], k);
      v128_t low = dot_i8_u7(x.x[k], wasm_v128_and(both, f.nibble));
      v128_t high = dot_i8_u7(x.x[k + 4], wasm_v128_and(wasm_u16x8_shr(both, 4), f.nibble));
      v128_t dwords = wasm_i16x8_add(low, high);
      store_now(sum[r], k == 0 ? dwords : wasm_i16x8_add(sum[r], dwords));
    }
  }
  for (int r = 0; r < R; r++) {
    v128_t centred = F::centre ? wasm_i16x8_add(sum[r], times_i16<F::centre>(x.sums.neg)) : sum[r];
    out[r] = wasm_i32x4_dot_i16x8(centred, ones);
  }
}
template <class F, int half, int R>
INLINE void dots(const F& f, const uint8_t* const w[R], const VecSplitDwords& x, v128_t ones, v128_t out[R]) {
  const v128_t low_byte = constant_i16(0xff);
  v128_t sum[R];
  for (int k = 0; k < 8; k++) {
    for (int r = 0; r < R; r++) {
      v128_t both = f.template dwords<half>(w[r], k % 4);
      v128_t c = wasm_v128_and(k < 4 ? both : wasm_u16x8_shr(both, 4), f.nibble);
      v128_t even = wasm_i32x4_dot_i16x8(x.x[2 * k], wasm_v128_and(c, low_byte));
      v128_t dword = wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(x.x[2 * k + 1], wasm_u16x8_shr(c, 8)));
      store_now(sum[r], k == 0 ? dword : wasm_i32x4_add(sum[r], dword));
    }
  }
  for (int r = 0; r < R; r++) {
    out[r] = sum[r];
    if constexpr (F::offset != 0) {
      out[r] = wasm_i32x4_add(out[r], wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.sums.neg), ones));
    }
  }
}

template <class F, int half, int R, class Vec>
INLINE void add_group(const F& f, const uint8_t* const w[R], const Vec& x, v128_t ones, v128_t sum[R]) {
  v128_t integers[R];
  dots<F, half, R>(f, w, x, ones, integers);
  for (int r = 0; r < R; r++) {
    sum[r] = wasm_f32x4_add(sum[r], contribution<F>(integers[r], x.sums, group_scales_of<F, half>(f, w[r])));
  }
}

// A row of each of S parts of a matrix at a time: the parts are streams that memory serves together. The streams come in
// turn, F::rows at once, a burst's worth of units of each, so that their weights are used soon after they were asked for.
template <class F, class Vec, int S, bool ahead>
INLINE void multiply_rows(const F& f, const uint8_t* w, const uint8_t* packed, float* out, uint32_t cols, uint32_t rows) {
  constexpr int R = F::rows < S ? F::rows : S;
  constexpr uint32_t most = ReadAhead<S>::BURST / F::bytes;
  static_assert(most > 0 && S % R == 0);
  const v128_t ones = constant_i16(1);
  const uint32_t row_bytes = cols / 32 * F::bytes / (F::unit / 32), distance = rows * row_bytes;
  ReadAhead<S, ahead> read_ahead(w, distance, distance);
  for (uint32_t row = 0; row < rows; row++) {
    v128_t sums[S] = {};
    const Vec* x = reinterpret_cast<const Vec*>(packed);
    // Adds `units` units of each stream, the streams `apart` bytes apart.
    auto add = [&](const uint8_t* from, uint32_t units, uint32_t apart) {
      const Vec* next = x;
#pragma clang loop unroll(disable)
      for (v128_t* sum = sums; sum < sums + S; sum += R, from += R * apart) {
        v128_t local[R];
        for (int r = 0; r < R; r++) local[r] = sum[r];
        next = x;
#pragma clang loop unroll(disable)
        for (const uint8_t *unit = from, *end = from + units * F::bytes; unit < end; unit += F::bytes) {
          const uint8_t* at[R];
          for (int r = 0; r < R; r++) at[r] = unit + r * apart;
          add_group<F, 0, R>(f, at, *next++, ones, local);
          if constexpr (F::unit == 2 * GROUP) add_group<F, 1, R>(f, at, *next++, ones, local);
        }
        for (int r = 0; r < R; r++) store_now(sum[r], local[r]);
      }
      x = next;
    };
    for (uint32_t left = cols / F::unit; left > 0;) {
      const uint32_t units = left < most ? left : most;
      read_ahead(w);
      add(w, units, distance);
      w += units * F::bytes;
      left -= units;
    }
    // The blocks left over, as a unit filled up with zero bytes: nothing is read beyond the row.
    if (uint32_t rest = F::unit == 256 ? 0 : cols % F::unit) {
      const uint32_t bytes = rest * F::bytes / F::unit;
      alignas(16) uint8_t copies[S][F::bytes] = {};
      for (int s = 0; s < S; s++) memcpy(copies[s], w + s * distance, bytes);
      add(copies[0], 1, F::bytes);
      w += bytes;
    }
    for (int s = 0; s < S; s++) out[row + s * rows] = sum_f32(sums[s]);
  }
  read_ahead.finish();
}

// Whether one token's product may read ahead: of formats that take longer to unpack than memory takes, 2 to 3.5 GB/s, there
// is one form.
template <class F>
inline constexpr bool reads_ahead = !requires { requires F::slow; };

template <class F, class Vec, bool ahead>
SEPARATE void multiply_token(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows) {
  constexpr int streams = 4;
  const F f;
  const uint32_t part = rows / streams, done = part * streams, row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  multiply_rows<F, Vec, streams, ahead>(f, w, x, out, cols, part);
  multiply_rows<F, Vec, 1, ahead>(f, w + done * row_bytes, x, out + done, cols, rows - done);
}
