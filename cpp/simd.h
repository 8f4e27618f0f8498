// The vocabulary of the kernels over WebAssembly's 128-bit vectors: constants, dots, reductions, exact f16 → f32.
// TRAMONTANE_RELAXED=1 selects the relaxed dots; their plain twins give the same integers. On the host's own vectors
// (native/wasm_simd128.h) what is there for the sake of V8 does nothing.
#pragma once
#include <stdint.h>
#include <wasm_simd128.h>

#ifndef TRAMONTANE_RELAXED
#define TRAMONTANE_RELAXED 0
#endif

#define INLINE inline __attribute__((always_inline))
// A function of its own: two loops in one function have to share V8's registers (matvec_f16 0.54 -> 0.83 ms).
#define SEPARATE __attribute__((noinline))

// A constant that the compiler cannot see through, to be made before a loop: V8 builds a known constant anew each time
// it is used (9.2 against 11.1 GB/s in matvec_q4_0). clang-19 crashes on vectors in inline asm, hence the i32.
INLINE int32_t opaque(int32_t value) {
#ifdef __wasm__
  asm("" : "+r"(value));
#endif
  return value;
}
INLINE v128_t constant_u8(uint8_t value) { return wasm_i8x16_splat(opaque(value)); }
INLINE v128_t constant_i16(int16_t value) { return wasm_i16x8_splat(opaque(value)); }
INLINE v128_t constant_u32(uint32_t value) { return wasm_i32x4_splat(opaque(value)); }

INLINE v128_t constant_u64(uint64_t low, uint64_t high) {
  const int64_t zero = opaque(0);
  return wasm_i64x2_make(static_cast<int64_t>(low) + zero, static_cast<int64_t>(high) + zero);
}

// Byte j of the result is byte index[j], all below 16. The plain form costs x86 an addition that saturates larger ones.
INLINE v128_t pick_bytes(v128_t v, v128_t index) {
#if TRAMONTANE_RELAXED
  return wasm_i8x16_relaxed_swizzle(v, index);
#else
  return wasm_i8x16_swizzle(v, index);
#endif
}

// i16[j] = a[2j] * b[2j] + a[2j+1] * b[2j+1], a signed bytes, b in 0..127 (else relaxed engines differ).
INLINE v128_t dot_i8_u7(v128_t a, v128_t b) {
#if TRAMONTANE_RELAXED
  return wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b);
#else
  v128_t low = wasm_i16x8_extmul_low_i8x16(a, b), high = wasm_i16x8_extmul_high_i8x16(a, b);
  return wasm_i16x8_add(wasm_i16x8_shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14),
                        wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15));
#endif
}

// i32[j] = sum[j] + the dot of the four bytes 4j..4j+3, b in 0..127.
INLINE v128_t dot_add_i8_u7(v128_t a, v128_t b, v128_t sum) {
#if TRAMONTANE_RELAXED
  return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, b, sum);
#else
  return wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(dot_i8_u7(a, b)));
#endif
}

// Adds up four i16x8 a, b, c, d (wrapping) to [a a b b c c d d]: lane 2i holds the even lanes of its vector, 2i+1 the odd.
INLINE v128_t sum_pairs_i16(v128_t a, v128_t b, v128_t c, v128_t d) {
  v128_t ab = wasm_i16x8_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
  v128_t cd = wasm_i16x8_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
  return wasm_i16x8_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}

// Adds up eight i16x8 to one lane each.
INLINE v128_t sum_i16(const v128_t p[8]) {
  v128_t pairs[4];
  for (int i = 0; i < 4; i++) {
    v128_t a = p[2 * i], b = p[2 * i + 1];
    pairs[i] = wasm_i16x8_add(wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11),
                              wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
  }
  return sum_pairs_i16(pairs[0], pairs[1], pairs[2], pairs[3]);
}

// Adds up four i32x4 a, b, c, d to [a b c d].
INLINE v128_t sum_i32(v128_t a, v128_t b, v128_t c, v128_t d) {
  v128_t ab = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
  v128_t cd = wasm_i32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
  return wasm_i32x4_add(wasm_i64x2_shuffle(ab, cd, 0, 2), wasm_i64x2_shuffle(ab, cd, 1, 3));
}

// Vector k of the result is dword k of a, b, c, d.
INLINE void transpose_dwords(v128_t a, v128_t b, v128_t c, v128_t d, v128_t out[4]) {
  v128_t ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab1 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
  v128_t cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd1 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
  out[0] = wasm_i64x2_shuffle(ab0, cd0, 0, 2);
  out[1] = wasm_i64x2_shuffle(ab0, cd0, 1, 3);
  out[2] = wasm_i64x2_shuffle(ab1, cd1, 0, 2);
  out[3] = wasm_i64x2_shuffle(ab1, cd1, 1, 3);
}

// Vectors of bytes: c[2b] and c[2b + 1] of block b become dwords[k], k of 8: dword k of the four blocks.
INLINE void blocks_to_dwords(const v128_t c[8], v128_t dwords[8]) {
  transpose_dwords(c[0], c[2], c[4], c[6], dwords);
  transpose_dwords(c[1], c[3], c[5], c[7], dwords + 4);
}

INLINE void dwords_to_blocks(const v128_t dwords[8], v128_t c[8]) {
  v128_t first[4], second[4];
  transpose_dwords(dwords[0], dwords[1], dwords[2], dwords[3], first);
  transpose_dwords(dwords[4], dwords[5], dwords[6], dwords[7], second);
  for (int b = 0; b < 4; b++) {
    c[2 * b] = first[b];
    c[2 * b + 1] = second[b];
  }
}

// The end of every product: (a0 + a1) + (a2 + a3).
INLINE float sum_f32(v128_t a) {
  return (wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 1)) +
         (wasm_f32x4_extract_lane(a, 2) + wasm_f32x4_extract_lane(a, 3));
}

// Exact conversion of four finite f16, subnormals and both zeros included: the bits shifted into an f32 are the value
// times 2^-112.
struct HalfToFloat {
  v128_t mask = constant_u32(0x8fffe000);
  v128_t scale = constant_u32(0x77800000);  // 2^112

  // Each f16 stands in the upper half of an i32 lane; the lower halves are ignored.
  INLINE v128_t operator()(v128_t upper) const {
    return wasm_f32x4_mul(wasm_v128_and(wasm_i32x4_shr(upper, 3), mask), scale);
  }
  // Four f16 at p, `stride` >= 18 bytes apart. Whole loads that have them in lanes 3, 5 and 7 and blends, for clang gives
  // loads of single lanes an addition each.
  template <uint32_t stride>
  INLINE v128_t load(const uint8_t* p) const {
    v128_t first = wasm_v128_load16_splat(p), second = wasm_v128_load(p + stride - 6);
    v128_t third = wasm_v128_load(p + 2 * stride - 10), fourth = wasm_v128_load(p + 3 * stride - 14);
    v128_t low = wasm_i16x8_shuffle(first, second, 0, 1, 10, 11, 4, 5, 6, 7);
    v128_t high = wasm_i16x8_shuffle(third, fourth, 0, 1, 2, 3, 4, 5, 14, 15);
    return (*this)(wasm_i64x2_shuffle(low, high, 0, 3));
  }
  // One f16 in all lanes.
  INLINE v128_t splat(const uint8_t* p) const { return (*this)(wasm_v128_load16_splat(p)); }
};

// Stores a value and thereby fixes when it is computed. V8 keeps the order of loads and stores alone: without such a
// store Node 20 begins with all loads of a group and spills most of them (Q4_0 11.2 against 15.5 GB/s, Q6_K 7.9 against
// 13.1); Node 24 gains 4 % in most formats and loses 5 % in Q2_K and Q6_K.
INLINE void store_now(v128_t& slot, v128_t value) {
#ifdef __wasm__
  *const_cast<volatile v128_t*>(&slot) = value;
#else
  slot = value;
#endif
}
