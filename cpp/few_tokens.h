// Two or three tokens' product with quantized weights: as matvec.h's of one, in its order, but a row's codes are read and
// unpacked once for the tokens. Written apart: one token has two rows share its activations instead, and one source for both
// cost Q4_0 a third of its speed (V8, 11.8 against 7.8 GB/s).
#pragma once
#include "matvec.h"

// The group of token t, of tokens that are `groups` groups long.
template <class Vec>
struct Tokens {
  const Vec* x;
  uint32_t groups;
  INLINE const Vec& operator[](int t) const { return x[t * groups]; }
};

// The integer dots of a row's group and T tokens, block b in lane b, from int8 activations: codes are in 0..63.
template <class F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecI8> x, v128_t ones, v128_t out[T]) {
  v128_t c[8];
  f.template codes<half>(w, c);
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t p[T][8];
    for (int i = 0; i < 8; i++) {
      for (int t = 0; t < T; t++) store_now(p[t][i], dot_i8_u7(x[t].x[i], c[i]));
    }
    for (int t = 0; t < T; t++) out[t] = grouped_dots<F, half>(f, w, p[t], x[t].sums);
  } else {
    v128_t block[T][4];
    for (int b = 0; b < 4; b++) {
      for (int t = 0; t < T; t++) {
        v128_t first = dot_i8_u7(x[t].x[2 * b], c[2 * b]), second = dot_i8_u7(x[t].x[2 * b + 1], c[2 * b + 1]);
        store_now(block[t][b], wasm_i16x8_add(first, second));
      }
    }
    for (int t = 0; t < T; t++) {
      v128_t neg = x[t].sums.neg, all = sum_pairs_i16(block[t][0], block[t][1], block[t][2], block[t][3]);
      out[t] = wasm_i32x4_dot_i16x8(F::centre ? wasm_i16x8_add(all, times_i16<F::centre>(neg)) : all, ones);
      if constexpr (F::centre != F::offset) {
        out[t] = wasm_i32x4_sub(out[t], wasm_i32x4_dot_i16x8(times_i16<F::centre>(neg), ones));
      }
    }
  }
}

// The same of signs and magnitudes.
template <Signed F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecI8> x, v128_t ones, v128_t out[T]) {
  v128_t block[T][4], s0, s1;
  v128_t k = scales_if_grouped<F, half>(f, w), signs = f.template signs<half>(w);
#pragma unroll
  for (int b = 0; b < 4; b++) {
    v128_t m0 = f.template magnitude<half>(w, signs, 2 * b, s0);
    v128_t m1 = f.template magnitude<half>(w, signs, 2 * b + 1, s1);
    for (int t = 0; t < T; t++) {
      v128_t first = signed_dot(x[t].x[2 * b], m0, s0), second = signed_dot(x[t].x[2 * b + 1], m1, s1);
      store_now(block[t][b], block_dots<F>(first, second, k, b, ones));
    }
  }
  for (int t = 0; t < T; t++) out[t] = sum_i32(block[t][0], block[t][1], block[t][2], block[t][3]);
}
template <Signed F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecSplit> x, v128_t ones, v128_t out[T]) {
  const v128_t high_byte = constant_i16(static_cast<int16_t>(0xff00));
  v128_t p[T][8], signs = f.template signs<half>(w);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    v128_t c = f.template code<half>(w, signs, i);
    for (int t = 0; t < T; t++) store_now(p[t][i], signed_dot(x[t].x[2 * i], x[t].x[2 * i + 1], c, high_byte));
  }
  for (int t = 0; t < T; t++) out[t] = wasm_i32x4_shr(split_dots<F, half>(f, w, p[t], x[t].sums, ones), 8);
}

// The same from activations in i16, for plain SIMD.
template <class F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecSplit> x, v128_t ones, v128_t out[T]) {
  const v128_t low_byte = constant_i16(0xff);
  v128_t c[8], p[T][8];
  f.template codes<half>(w, c);
  for (int i = 0; i < 8; i++) {
    for (int t = 0; t < T; t++) {
      v128_t even = wasm_i32x4_dot_i16x8(x[t].x[2 * i], wasm_v128_and(c[i], low_byte));
      store_now(p[t][i], wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(x[t].x[2 * i + 1], wasm_u16x8_shr(c[i], 8))));
    }
  }
  for (int t = 0; t < T; t++) out[t] = split_dots<F, half>(f, w, p[t], x[t].sums, ones);
}

// The same for weights of 8 bits, in either build.
template <class F, int half, int T>
INLINE void token_dots(const F&, const uint8_t* w, Tokens<VecI16> x, v128_t, v128_t out[T]) {
  v128_t block[T][4];
  for (int b = 0; b < 4; b++) {
    const int8_t* q = F::bytes_of(w, b);
    for (int t = 0; t < T; t++) {
      v128_t sum = wasm_i32x4_dot_i16x8(x[t].x[4 * b], wasm_i16x8_load8x8(q));
      for (int i = 1; i < 4; i++) {
        sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x[t].x[4 * b + i], wasm_i16x8_load8x8(q + 8 * i)));
      }
      store_now(block[t][b], sum);
    }
  }
  for (int t = 0; t < T; t++) out[t] = sum_i32(block[t][0], block[t][1], block[t][2], block[t][3]);
}

// The same of repacked weights.
template <class F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecI8Dwords> x, v128_t ones, v128_t out[T]) {
  v128_t sum[T];
  for (int k = 0; k < 4; k++) {
    v128_t both = f.template dwords<half>(w, k);
    v128_t low_codes = wasm_v128_and(both, f.nibble), high_codes = wasm_v128_and(wasm_u16x8_shr(both, 4), f.nibble);
    for (int t = 0; t < T; t++) {
      v128_t dwords = wasm_i16x8_add(dot_i8_u7(x[t].x[k], low_codes), dot_i8_u7(x[t].x[k + 4], high_codes));
      store_now(sum[t], k == 0 ? dwords : wasm_i16x8_add(sum[t], dwords));
    }
  }
  for (int t = 0; t < T; t++) {
    v128_t centred = F::centre ? wasm_i16x8_add(sum[t], times_i16<F::centre>(x[t].sums.neg)) : sum[t];
    out[t] = wasm_i32x4_dot_i16x8(centred, ones);
  }
}
template <class F, int half, int T>
INLINE void token_dots(const F& f, const uint8_t* w, Tokens<VecSplitDwords> x, v128_t ones, v128_t out[T]) {
  const v128_t low_byte = constant_i16(0xff);
  v128_t sum[T];
  for (int k = 0; k < 8; k++) {
    v128_t both = f.template dwords<half>(w, k % 4);
    v128_t c = wasm_v128_and(k < 4 ? both : wasm_u16x8_shr(both, 4), f.nibble);
    v128_t even_codes = wasm_v128_and(c, low_byte), odd_codes = wasm_u16x8_shr(c, 8);
    for (int t = 0; t < T; t++) {
      v128_t even = wasm_i32x4_dot_i16x8(x[t].x[2 * k], even_codes);
      v128_t dword = wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(x[t].x[2 * k + 1], odd_codes));
      store_now(sum[t], k == 0 ? dword : wasm_i32x4_add(sum[t], dword));
    }
  }
  for (int t = 0; t < T; t++) {
    out[t] = sum[t];
    if constexpr (F::offset != 0) {
      out[t] = wasm_i32x4_add(out[t], wasm_i32x4_dot_i16x8(times_i16<F::offset>(x[t].sums.neg), ones));
    }
  }
}

template <class F, int half, int T, class Vec>
INLINE void add_token_groups(const F& f, const uint8_t* w, Tokens<Vec> x, v128_t ones, v128_t sum[T]) {
  v128_t integers[T];
  token_dots<F, half, T>(f, w, x, ones, integers);
  const GroupScales scales = group_scales_of<F, half>(f, w);
  for (int t = 0; t < T; t++) sum[t] = wasm_f32x4_add(sum[t], contribution<F>(integers[t], x[t].sums, scales));
}

// Rows in four parts, which memory serves together, a burst's worth of units of each in turn: see matvec.h. Nothing is read
// ahead: with two tokens that takes longer than it saves (Q4_0 0.89 against 1.05 ms, Zen 4).
template <class F, class Vec, int T>
SEPARATE void multiply_tokens(const uint8_t* w, const uint8_t* packed, float* out, uint32_t out_stride, uint32_t cols,
                              uint32_t rows) {
  constexpr int S = 4;
  constexpr uint32_t most = ReadAhead<S>::BURST / F::bytes;
  const F f;
  const v128_t ones = constant_i16(1);
  const uint32_t row_bytes = cols / 32 * F::bytes / (F::unit / 32), distance = rows * row_bytes, groups = groups_of(cols);
  for (uint32_t row = 0; row < rows; row++) {
    v128_t sums[S * T] = {};
    const Vec* x = reinterpret_cast<const Vec*>(packed);
    auto add = [&](const uint8_t* from, uint32_t units, uint32_t apart) {
      const Vec* next = x;
#pragma clang loop unroll(disable)
      for (v128_t* sum = sums; sum < sums + S * T; sum += T, from += apart) {
        v128_t local[T];
        for (int t = 0; t < T; t++) local[t] = sum[t];
        next = x;
#pragma clang loop unroll(disable)
        for (const uint8_t *unit = from, *end = from + units * F::bytes; unit < end; unit += F::bytes) {
          add_token_groups<F, 0, T>(f, unit, Tokens<Vec>{next++, groups}, ones, local);
          if constexpr (F::unit == 2 * GROUP) add_token_groups<F, 1, T>(f, unit, Tokens<Vec>{next++, groups}, ones, local);
        }
        for (int t = 0; t < T; t++) store_now(sum[t], local[t]);
      }
      x = next;
    };
    for (uint32_t left = cols / F::unit; left > 0;) {
      const uint32_t units = left < most ? left : most;
      add(w, units, distance);
      w += units * F::bytes;
      left -= units;
    }
    if (uint32_t rest = F::unit == 256 ? 0 : cols % F::unit) {
      const uint32_t bytes = rest * F::bytes / F::unit;
      alignas(16) uint8_t copies[S][F::bytes] = {};
      for (int s = 0; s < S; s++) memcpy(copies[s], w + s * distance, bytes);
      add(copies[0], 1, F::bytes);
      w += bytes;
    }
    for (int s = 0; s < S; s++) {
      for (int t = 0; t < T; t++) out[t * out_stride + row + s * rows] = sum_f32(sums[s * T + t]);
    }
  }
}

// See kernels.h.
template <class F, class Vec>
INLINE void matvec(const ProductArgs& args) {
  const uint32_t cols = args.cols, part = args.rows / 4, row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  for (uint32_t t = 0; t < args.tokens;) {
    const uint32_t left = args.tokens - t, count = left == 1 || left == 3 ? left : 2;
    const uint8_t* x = args.x + t * groups_of(cols) * sizeof(Vec);
    float* out = args.out + t * args.out_stride;
    if (count == 1) {
      if (reads_ahead<F> && args.read_ahead) multiply_token<F, Vec, reads_ahead<F>>(args.w, x, out, cols, args.rows);
      else multiply_token<F, Vec, false>(args.w, x, out, cols, args.rows);
    } else {
      if (count == 3) multiply_tokens<F, Vec, 3>(args.w, x, out, args.out_stride, cols, part);
      else multiply_tokens<F, Vec, 2>(args.w, x, out, args.out_stride, cols, part);
      // The last rows, fewer than four.
      for (uint32_t i = 0; 4 * part < args.rows && i < count; i++) {
        multiply_token<F, Vec, false>(args.w + 4 * part * row_bytes, x + i * groups_of(cols) * sizeof(Vec),
                                      out + i * args.out_stride + 4 * part, cols, args.rows - 4 * part);
      }
    }
    t += count;
  }
}
