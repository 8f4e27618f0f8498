// One token's product with quantized weights: one row after another, one linear stream, a group of 128 columns a step.
// Accumulator lane b gathers blocks b, b + 4, b + 8, ... in order.
#pragma once
#include "formats.h"
#include "pack_q8.h"

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

// Stores a value and thereby fixes when it is computed. V8 keeps the order of loads and stores alone: without such a
// store Node 20 begins with all loads of a group and spills most of them (Q4_0 11.2 against 15.5 GB/s, Q6_K 7.9 against
// 13.1); Node 24 gains 4 % in most formats and loses 5 % in Q2_K and Q6_K.
INLINE void store_now(v128_t& slot, v128_t value) { *const_cast<volatile v128_t*>(&slot) = value; }

// Times a power of two that is known when compiling.
template <int factor>
INLINE v128_t times_i16(v128_t v) {
  static_assert((factor & (factor - 1)) == 0);
  return factor == 0 ? wasm_i16x8_const_splat(0) : wasm_i16x8_shl(v, __builtin_ctz(factor));
}

// The integer dots of a group, block b in lane b, from int8 activations: weights' codes are in 0..63.
template <class F, int half>
INLINE v128_t dots(const F& f, const uint8_t* w, const VecI8& x, v128_t ones) {
  v128_t c[8];
  f.template codes<half>(w, c);
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t p[8];
    for (int i = 0; i < 8; i++) store_now(p[i], dot_i8_u7(x.x[i], c[i]));
    v128_t k = f.template group_scales<half>(w);
    if constexpr (F::centre <= 4) {  // sums of 16 products fit i16
      v128_t sums = sum_i16(p);
      if constexpr (F::centre != 0) sums = wasm_i16x8_add(sums, times_i16<F::centre>(x.sums.neg_groups));
      return wasm_i32x4_dot_i16x8(sums, k);
    }
    v128_t first = sum_pairs_i16(p[0], p[2], p[4], p[6]), second = sum_pairs_i16(p[1], p[3], p[5], p[7]);
    if constexpr (F::centre != 0) {
      first = wasm_i16x8_add(first, times_i16<F::centre>(x.sums.neg0));
      second = wasm_i16x8_add(second, times_i16<F::centre>(x.sums.neg1));
    }
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(first, first_groups(k)), wasm_i32x4_dot_i16x8(second, second_groups(k)));
  } else {
    v128_t block[4];
    for (int b = 0; b < 4; b++) {
      store_now(block[b], wasm_i16x8_add(dot_i8_u7(x.x[2 * b], c[2 * b]), dot_i8_u7(x.x[2 * b + 1], c[2 * b + 1])));
    }
    v128_t all = sum_pairs_i16(block[0], block[1], block[2], block[3]);
    v128_t centred = F::centre ? wasm_i16x8_add(all, times_i16<F::centre>(x.sums.neg)) : all;
    v128_t sums = wasm_i32x4_dot_i16x8(centred, ones);
    if constexpr (F::centre == F::offset) return sums;
    return wasm_i32x4_sub(sums, wasm_i32x4_dot_i16x8(times_i16<F::centre>(x.sums.neg), ones));
  }
}

// The same from activations in i16, for plain SIMD.
template <class F, int half>
INLINE v128_t dots(const F& f, const uint8_t* w, const VecSplit& x, v128_t ones) {
  const v128_t low_byte = constant_i16(0xff);
  v128_t c[8], p[8];
  f.template codes<half>(w, c);
  for (int i = 0; i < 8; i++) {
    store_now(p[i], wasm_i32x4_add(wasm_i32x4_dot_i16x8(x.x[2 * i], wasm_v128_and(c[i], low_byte)),
                                   wasm_i32x4_dot_i16x8(x.x[2 * i + 1], wasm_u16x8_shr(c[i], 8))));
  }
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t k = f.template group_scales<half>(w);
    v128_t first = sum_i32(p[0], p[2], p[4], p[6]), second = sum_i32(p[1], p[3], p[5], p[7]);
    if constexpr (F::offset != 0) {
      first = wasm_i32x4_add(first, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.sums.neg0), ones));
      second = wasm_i32x4_add(second, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.sums.neg1), ones));
    }
    return wasm_i32x4_add(wasm_i32x4_mul(first, wasm_i32x4_shr(wasm_i32x4_shl(k, 16), 16)),
                          wasm_i32x4_mul(second, wasm_i32x4_shr(k, 16)));
  } else {
    v128_t sums = sum_i32(wasm_i32x4_add(p[0], p[1]), wasm_i32x4_add(p[2], p[3]), wasm_i32x4_add(p[4], p[5]),
                          wasm_i32x4_add(p[6], p[7]));
    if constexpr (F::offset == 0) return sums;
    return wasm_i32x4_add(sums, wasm_i32x4_dot_i16x8(times_i16<F::offset>(x.sums.neg), ones));
  }
}

// The same for weights of 8 bits, in either build.
template <class F, int half>
INLINE v128_t dots(const F&, const uint8_t* w, const VecI16& x, v128_t) {
  v128_t block[4];
  for (int b = 0; b < 4; b++) {
    const int8_t* q = reinterpret_cast<const BlockQ8_0*>(w)[b].q;
    v128_t sum = wasm_i32x4_dot_i16x8(x.x[4 * b], wasm_i16x8_load8x8(q));
    for (int i = 1; i < 4; i++) {
      sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x.x[4 * b + i], wasm_i16x8_load8x8(q + 8 * i)));
    }
    store_now(block[b], sum);
  }
  return sum_i32(block[0], block[1], block[2], block[3]);
}

template <class F, int half, class Vec>
INLINE v128_t group_product(const F& f, const uint8_t* w, const Vec& x, v128_t ones) {
  return contribution<F>(dots<F, half>(f, w, x, ones), x.sums, group_scales_of<F, half>(f, w));
}

// out[r] for one packed token; see kernels.h.
template <class F, class Vec>
INLINE void matvec(const uint8_t* w, const uint8_t* packed, float* out, uint32_t cols, uint32_t rows) {
  const F f;
  const v128_t ones = constant_i16(1);
  const uint32_t row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  for (uint32_t r = 0; r < rows; r++, w += row_bytes) {
    v128_t sum = wasm_f32x4_const_splat(0);
    const Vec* x = reinterpret_cast<const Vec*>(packed);
    for_each_unit<F>(w, cols, [&](const uint8_t* unit) {
      sum = wasm_f32x4_add(sum, group_product<F, 0>(f, unit, *x++, ones));
      if constexpr (F::unit == 2 * GROUP) sum = wasm_f32x4_add(sum, group_product<F, 1>(f, unit, *x++, ones));
    });
    out[r] = sum_f32(sum);
  }
}
