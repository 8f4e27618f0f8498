// WebAssembly's 128-bit vectors on the host's, for the kernels that are compiled for it: what cpp/ uses of the header of this
// name, with the same results to the last bit, for x86 from SSE4.1 on and for ARM with NEON. Plain operations are the
// compiler's own on vectors (GCC 12 or Clang); those that it has no words for are intrinsics.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#else
#error "the native kernels are for x86-64 and AArch64"
#endif

typedef int32_t v128_t __attribute__((vector_size(16), aligned(16)));

namespace lanes {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(16)));
};
using i8 = VectorOf<int8_t>::type;
using u8 = VectorOf<uint8_t>::type;
using i16 = VectorOf<int16_t>::type;
using u16 = VectorOf<uint16_t>::type;
using i32 = VectorOf<int32_t>::type;
using u32 = VectorOf<uint32_t>::type;
using i64 = VectorOf<int64_t>::type;
using f32 = VectorOf<float>::type;

#define LANES inline __attribute__((always_inline))

// Loads and stores need not be aligned.
struct __attribute__((packed, may_alias)) Unaligned {
  v128_t value;
};
template <class T>
struct __attribute__((packed, may_alias)) UnalignedScalar {
  T value;
};
template <class T>
LANES T load_scalar(const void* p) {
  return static_cast<const UnalignedScalar<T>*>(p)->value;
}
template <class T>
LANES void store_scalar(void* p, T value) {
  static_cast<UnalignedScalar<T>*>(p)->value = value;
}

template <class V, class T>
LANES v128_t splat(T value) {
  V v = {};
  v = v + value;
  return (v128_t)v;
}

}  // namespace lanes

// ---- Memory --------------------------------------------------------------------------------------------------------
LANES v128_t wasm_v128_load(const void* p) { return static_cast<const lanes::Unaligned*>(p)->value; }
LANES void wasm_v128_store(void* p, v128_t v) { static_cast<lanes::Unaligned*>(p)->value = v; }
LANES v128_t wasm_i8x16_splat(int8_t value) { return lanes::splat<lanes::i8>(value); }
LANES v128_t wasm_u8x16_splat(uint8_t value) { return lanes::splat<lanes::u8>(value); }
LANES v128_t wasm_i16x8_splat(int16_t value) { return lanes::splat<lanes::i16>(value); }
LANES v128_t wasm_i32x4_splat(int32_t value) { return lanes::splat<lanes::i32>(value); }
LANES v128_t wasm_i64x2_splat(int64_t value) { return lanes::splat<lanes::i64>(value); }
LANES v128_t wasm_f32x4_splat(float value) { return (v128_t)lanes::f32{value, value, value, value}; }
#define wasm_i8x16_const_splat wasm_i8x16_splat
#define wasm_u8x16_const_splat wasm_u8x16_splat
#define wasm_i16x8_const_splat wasm_i16x8_splat
#define wasm_i32x4_const_splat wasm_i32x4_splat
#define wasm_f32x4_const_splat wasm_f32x4_splat
LANES v128_t wasm_i32x4_make(int32_t a, int32_t b, int32_t c, int32_t d) { return v128_t{a, b, c, d}; }
LANES v128_t wasm_u32x4_make(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return (v128_t)lanes::u32{a, b, c, d}; }
LANES v128_t wasm_i64x2_make(int64_t a, int64_t b) { return (v128_t)lanes::i64{a, b}; }
LANES v128_t wasm_f32x4_make(float a, float b, float c, float d) { return (v128_t)lanes::f32{a, b, c, d}; }
LANES v128_t wasm_v128_load8_splat(const void* p) { return wasm_i8x16_splat(lanes::load_scalar<int8_t>(p)); }
LANES v128_t wasm_v128_load16_splat(const void* p) { return wasm_i16x8_splat(lanes::load_scalar<int16_t>(p)); }
LANES v128_t wasm_v128_load32_splat(const void* p) { return wasm_i32x4_splat(lanes::load_scalar<int32_t>(p)); }
LANES v128_t wasm_v128_load32_zero(const void* p) { return v128_t{lanes::load_scalar<int32_t>(p), 0, 0, 0}; }
LANES v128_t wasm_v128_load64_zero(const void* p) { return (v128_t)lanes::i64{lanes::load_scalar<int64_t>(p), 0}; }
#define wasm_i32x4_extract_lane(v, lane) (((lanes::i32)(v))[lane])
#define wasm_f32x4_extract_lane(v, lane) (((lanes::f32)(v))[lane])
#define wasm_v128_store16_lane(p, v, lane) lanes::store_scalar<int16_t>(p, ((lanes::i16)(v))[lane])
#define wasm_v128_store32_lane(p, v, lane) lanes::store_scalar<int32_t>(p, ((lanes::i32)(v))[lane])
#define wasm_v128_store64_lane(p, v, lane) lanes::store_scalar<int64_t>(p, ((lanes::i64)(v))[lane])

// ---- Bits ----------------------------------------------------------------------------------------------------------
LANES v128_t wasm_v128_and(v128_t a, v128_t b) { return a & b; }
LANES v128_t wasm_v128_or(v128_t a, v128_t b) { return a | b; }
LANES v128_t wasm_v128_xor(v128_t a, v128_t b) { return a ^ b; }
LANES v128_t wasm_v128_andnot(v128_t a, v128_t b) { return a & ~b; }
LANES v128_t wasm_v128_bitselect(v128_t a, v128_t b, v128_t mask) { return (a & mask) | (b & ~mask); }
LANES bool wasm_v128_any_true(v128_t v) {
  lanes::i64 both = (lanes::i64)v;
  return (both[0] | both[1]) != 0;
}

// ---- Shuffles ------------------------------------------------------------------------------------------------------
#define wasm_i8x16_shuffle(a, b, ...) ((v128_t)__builtin_shufflevector((lanes::i8)(a), (lanes::i8)(b), __VA_ARGS__))
#define wasm_i16x8_shuffle(a, b, ...) ((v128_t)__builtin_shufflevector((lanes::i16)(a), (lanes::i16)(b), __VA_ARGS__))
#define wasm_i32x4_shuffle(a, b, ...) ((v128_t)__builtin_shufflevector((lanes::i32)(a), (lanes::i32)(b), __VA_ARGS__))
#define wasm_i64x2_shuffle(a, b, ...) ((v128_t)__builtin_shufflevector((lanes::i64)(a), (lanes::i64)(b), __VA_ARGS__))

// ---- Integers: the compiler's own, wrapping (-fwrapv) ----------------------------------------------------------------
#define LANES_BINARY(name, type, operation) \
  LANES v128_t name(v128_t a, v128_t b) { return (v128_t)((lanes::type)a operation(lanes::type) b); }
LANES_BINARY(wasm_i8x16_add, u8, +)
LANES_BINARY(wasm_i8x16_sub, u8, -)
LANES_BINARY(wasm_i16x8_add, u16, +)
LANES_BINARY(wasm_i16x8_sub, u16, -)
LANES_BINARY(wasm_i16x8_mul, u16, *)
LANES_BINARY(wasm_i32x4_add, u32, +)
LANES_BINARY(wasm_i32x4_sub, u32, -)
LANES_BINARY(wasm_i32x4_mul, u32, *)
LANES_BINARY(wasm_i8x16_eq, i8, ==)
LANES_BINARY(wasm_i8x16_gt, i8, >)
LANES_BINARY(wasm_i32x4_gt, i32, >)
LANES_BINARY(wasm_i32x4_lt, i32, <)
LANES_BINARY(wasm_i32x4_le, i32, <=)
LANES_BINARY(wasm_u16x8_ge, u16, >=)

#define LANES_SHIFT(name, type, operation, mask) \
  LANES v128_t name(v128_t a, uint32_t n) { return (v128_t)((lanes::type)a operation(n & mask)); }
LANES_SHIFT(wasm_i16x8_shl, u16, <<, 15)
LANES_SHIFT(wasm_i16x8_shr, i16, >>, 15)
LANES_SHIFT(wasm_u16x8_shr, u16, >>, 15)
LANES_SHIFT(wasm_i32x4_shl, u32, <<, 31)
LANES_SHIFT(wasm_i32x4_shr, i32, >>, 31)
LANES_SHIFT(wasm_u32x4_shr, u32, >>, 31)
LANES_SHIFT(wasm_i8x16_shl, u8, <<, 7)
LANES_SHIFT(wasm_u8x16_shr, u8, >>, 7)

LANES v128_t wasm_i16x8_neg(v128_t v) { return wasm_i16x8_sub(v128_t{}, v); }
LANES v128_t wasm_i32x4_neg(v128_t v) { return wasm_i32x4_sub(v128_t{}, v); }

#define LANES_CHOOSE(name, type, operation)                             \
  LANES v128_t name(v128_t a, v128_t b) {                               \
    v128_t mask = (v128_t)((lanes::type)a operation(lanes::type) b);    \
    return wasm_v128_bitselect(a, b, mask);                             \
  }
LANES_CHOOSE(wasm_u8x16_min, u8, <)
LANES_CHOOSE(wasm_u16x8_max, u16, >)
LANES_CHOOSE(wasm_i32x4_max, i32, >)
LANES v128_t wasm_i8x16_abs(v128_t v) {
  v128_t negative = (v128_t)((lanes::i8)v < (lanes::i8){});
  return wasm_i8x16_sub(v ^ negative, negative);
}
LANES v128_t wasm_i32x4_abs(v128_t v) {
  v128_t negative = v >> 31;
  return wasm_i32x4_sub(v ^ negative, negative);
}

// The halves of a vector, widened.
namespace lanes {
template <class To, class From>
LANES v128_t widen(int64_t half) {
  typedef From narrow __attribute__((vector_size(8)));
  typedef To wide __attribute__((vector_size(16)));
  narrow v;
  memcpy(&v, &half, 8);
  return (v128_t)__builtin_convertvector(v, wide);
}
LANES int64_t low(v128_t v) { return ((i64)v)[0]; }
LANES int64_t high(v128_t v) { return ((i64)v)[1]; }
}  // namespace lanes
LANES v128_t wasm_i16x8_extend_low_i8x16(v128_t v) { return lanes::widen<int16_t, int8_t>(lanes::low(v)); }
LANES v128_t wasm_i16x8_extend_high_i8x16(v128_t v) { return lanes::widen<int16_t, int8_t>(lanes::high(v)); }
LANES v128_t wasm_u16x8_extend_low_u8x16(v128_t v) { return lanes::widen<uint16_t, uint8_t>(lanes::low(v)); }
LANES v128_t wasm_i32x4_extend_low_i16x8(v128_t v) { return lanes::widen<int32_t, int16_t>(lanes::low(v)); }
LANES v128_t wasm_i32x4_extend_high_i16x8(v128_t v) { return lanes::widen<int32_t, int16_t>(lanes::high(v)); }
LANES v128_t wasm_u32x4_extend_low_u16x8(v128_t v) { return lanes::widen<uint32_t, uint16_t>(lanes::low(v)); }
LANES v128_t wasm_u32x4_extend_high_u16x8(v128_t v) { return lanes::widen<uint32_t, uint16_t>(lanes::high(v)); }
LANES v128_t wasm_i16x8_load8x8(const void* p) { return lanes::widen<int16_t, int8_t>(lanes::load_scalar<int64_t>(p)); }
LANES v128_t wasm_u16x8_load8x8(const void* p) { return lanes::widen<uint16_t, uint8_t>(lanes::load_scalar<int64_t>(p)); }
LANES v128_t wasm_u32x4_load16x4(const void* p) { return lanes::widen<uint32_t, uint16_t>(lanes::load_scalar<int64_t>(p)); }

// ---- Floats: each operation rounded by itself (-ffp-contract=off) ----------------------------------------------------
LANES_BINARY(wasm_f32x4_add, f32, +)
LANES_BINARY(wasm_f32x4_sub, f32, -)
LANES_BINARY(wasm_f32x4_mul, f32, *)
LANES_BINARY(wasm_f32x4_div, f32, /)
LANES_BINARY(wasm_f32x4_eq, f32, ==)
LANES_BINARY(wasm_f32x4_lt, f32, <)
LANES_BINARY(wasm_f32x4_le, f32, <=)
LANES_BINARY(wasm_f32x4_gt, f32, >)
LANES_BINARY(wasm_f32x4_ge, f32, >=)
LANES v128_t wasm_f32x4_abs(v128_t v) { return v & wasm_i32x4_splat(0x7fffffff); }
LANES v128_t wasm_f32x4_neg(v128_t v) { return v ^ wasm_i32x4_splat(INT32_MIN); }
LANES v128_t wasm_f32x4_convert_i32x4(v128_t v) { return (v128_t)__builtin_convertvector(v, lanes::f32); }

// ---- What compilers have no words for ------------------------------------------------------------------------------
#if defined(__x86_64__)

#define LANES_M(v) ((__m128i)(v))
#define LANES_F(v) ((__m128)(v))

LANES v128_t wasm_i32x4_dot_i16x8(v128_t a, v128_t b) { return (v128_t)_mm_madd_epi16(LANES_M(a), LANES_M(b)); }
LANES v128_t wasm_i8x16_narrow_i16x8(v128_t a, v128_t b) { return (v128_t)_mm_packs_epi16(LANES_M(a), LANES_M(b)); }
LANES v128_t wasm_u8x16_narrow_i16x8(v128_t a, v128_t b) { return (v128_t)_mm_packus_epi16(LANES_M(a), LANES_M(b)); }
LANES v128_t wasm_i16x8_narrow_i32x4(v128_t a, v128_t b) { return (v128_t)_mm_packs_epi32(LANES_M(a), LANES_M(b)); }
LANES v128_t wasm_u16x8_narrow_i32x4(v128_t a, v128_t b) { return (v128_t)_mm_packus_epi32(LANES_M(a), LANES_M(b)); }
LANES uint32_t wasm_i8x16_bitmask(v128_t v) { return static_cast<uint32_t>(_mm_movemask_epi8(LANES_M(v))); }
LANES uint32_t wasm_i32x4_bitmask(v128_t v) { return static_cast<uint32_t>(_mm_movemask_ps(LANES_F(v))); }
LANES v128_t wasm_i16x8_extadd_pairwise_i8x16(v128_t v) {
  return (v128_t)_mm_maddubs_epi16(_mm_set1_epi8(1), LANES_M(v));
}
LANES v128_t wasm_i32x4_extadd_pairwise_i16x8(v128_t v) { return (v128_t)_mm_madd_epi16(LANES_M(v), _mm_set1_epi16(1)); }
// Byte index[j] of v, 0 where that is above 15; and where it never is.
LANES v128_t wasm_i8x16_swizzle(v128_t v, v128_t index) {
  return (v128_t)_mm_shuffle_epi8(LANES_M(v), _mm_adds_epu8(LANES_M(index), _mm_set1_epi8(0x70)));
}
LANES v128_t wasm_i8x16_relaxed_swizzle(v128_t v, v128_t index) {
  return (v128_t)_mm_shuffle_epi8(LANES_M(v), LANES_M(index));
}
// b < a ? b : a, and a < b ? b : a.
LANES v128_t wasm_f32x4_pmin(v128_t a, v128_t b) { return (v128_t)_mm_min_ps(LANES_F(b), LANES_F(a)); }
LANES v128_t wasm_f32x4_pmax(v128_t a, v128_t b) { return (v128_t)_mm_max_ps(LANES_F(b), LANES_F(a)); }
// NaN where one is; +0 before -0.
LANES v128_t wasm_f32x4_max(v128_t a, v128_t b) {
  __m128 larger = _mm_max_ps(LANES_F(a), LANES_F(b));
  __m128 equal = _mm_and_ps(_mm_cmpeq_ps(LANES_F(a), LANES_F(b)), _mm_and_ps(LANES_F(a), LANES_F(b)));
  larger = _mm_blendv_ps(larger, equal, _mm_cmpeq_ps(LANES_F(a), LANES_F(b)));
  __m128 unordered = _mm_cmpunord_ps(LANES_F(a), LANES_F(b));
  return (v128_t)_mm_blendv_ps(larger, _mm_add_ps(LANES_F(a), LANES_F(b)), unordered);
}
LANES v128_t wasm_f32x4_nearest(v128_t v) {
  return (v128_t)_mm_round_ps(LANES_F(v), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LANES v128_t wasm_f32x4_trunc(v128_t v) {
  return (v128_t)_mm_round_ps(LANES_F(v), _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
}
// 0 for NaN; too large is the largest.
LANES v128_t wasm_i32x4_trunc_sat_f32x4(v128_t v) {
  __m128 number = _mm_and_ps(LANES_F(v), _mm_cmpord_ps(LANES_F(v), LANES_F(v)));
  __m128i large = _mm_castps_si128(_mm_cmpge_ps(number, _mm_set1_ps(0x1p31f)));
  return (v128_t)_mm_xor_si128(_mm_cvttps_epi32(number), large);
}
// a signed bytes, b in 0..127.
LANES v128_t wasm_i16x8_relaxed_dot_i8x16_i7x16(v128_t a, v128_t b) {
  return (v128_t)_mm_maddubs_epi16(LANES_M(b), LANES_M(a));
}
LANES v128_t wasm_i32x4_relaxed_dot_i8x16_i7x16_add(v128_t a, v128_t b, v128_t sum) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return (v128_t)_mm_dpbusd_epi32(LANES_M(sum), LANES_M(b), LANES_M(a));
#elif defined(__AVXVNNI__)
  return (v128_t)_mm_dpbusd_avx_epi32(LANES_M(sum), LANES_M(b), LANES_M(a));
#else
  return wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b)));
#endif
}

#else  // AArch64

LANES v128_t wasm_i32x4_dot_i16x8(v128_t a, v128_t b) {
  int32x4_t low = vmull_s16(vget_low_s16((int16x8_t)a), vget_low_s16((int16x8_t)b));
  return (v128_t)vpaddq_s32(low, vmull_high_s16((int16x8_t)a, (int16x8_t)b));
}
LANES v128_t wasm_i8x16_narrow_i16x8(v128_t a, v128_t b) {
  return (v128_t)vqmovn_high_s16(vqmovn_s16((int16x8_t)a), (int16x8_t)b);
}
LANES v128_t wasm_u8x16_narrow_i16x8(v128_t a, v128_t b) {
  return (v128_t)vqmovun_high_s16(vqmovun_s16((int16x8_t)a), (int16x8_t)b);
}
LANES v128_t wasm_i16x8_narrow_i32x4(v128_t a, v128_t b) {
  return (v128_t)vqmovn_high_s32(vqmovn_s32((int32x4_t)a), (int32x4_t)b);
}
LANES v128_t wasm_u16x8_narrow_i32x4(v128_t a, v128_t b) {
  return (v128_t)vqmovun_high_s32(vqmovun_s32((int32x4_t)a), (int32x4_t)b);
}
LANES uint32_t wasm_i8x16_bitmask(v128_t v) {
  const uint8x16_t bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  uint8x16_t set = vandq_u8((uint8x16_t)vshrq_n_s8((int8x16_t)v, 7), bit);
  return vaddv_u8(vget_low_u8(set)) | static_cast<uint32_t>(vaddv_u8(vget_high_u8(set))) << 8;
}
LANES uint32_t wasm_i32x4_bitmask(v128_t v) {
  const uint32x4_t bit = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32((uint32x4_t)vshrq_n_s32((int32x4_t)v, 31), bit));
}
LANES v128_t wasm_i16x8_extadd_pairwise_i8x16(v128_t v) { return (v128_t)vpaddlq_s8((int8x16_t)v); }
LANES v128_t wasm_i32x4_extadd_pairwise_i16x8(v128_t v) { return (v128_t)vpaddlq_s16((int16x8_t)v); }
LANES v128_t wasm_i8x16_swizzle(v128_t v, v128_t index) {
  return (v128_t)vqtbl1q_u8((uint8x16_t)v, (uint8x16_t)index);
}
LANES v128_t wasm_i8x16_relaxed_swizzle(v128_t v, v128_t index) { return wasm_i8x16_swizzle(v, index); }
LANES v128_t wasm_f32x4_pmin(v128_t a, v128_t b) { return wasm_v128_bitselect(b, a, wasm_f32x4_lt(b, a)); }
LANES v128_t wasm_f32x4_pmax(v128_t a, v128_t b) { return wasm_v128_bitselect(b, a, wasm_f32x4_lt(a, b)); }
LANES v128_t wasm_f32x4_max(v128_t a, v128_t b) { return (v128_t)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
LANES v128_t wasm_f32x4_nearest(v128_t v) { return (v128_t)vrndnq_f32((float32x4_t)v); }
LANES v128_t wasm_f32x4_trunc(v128_t v) { return (v128_t)vrndq_f32((float32x4_t)v); }
LANES v128_t wasm_i32x4_trunc_sat_f32x4(v128_t v) { return (v128_t)vcvtq_s32_f32((float32x4_t)v); }
LANES v128_t wasm_i16x8_relaxed_dot_i8x16_i7x16(v128_t a, v128_t b) {
  int16x8_t low = vmull_s8(vget_low_s8((int8x16_t)a), vget_low_s8((int8x16_t)b));
  return (v128_t)vpaddq_s16(low, vmull_high_s8((int8x16_t)a, (int8x16_t)b));
}
LANES v128_t wasm_i32x4_relaxed_dot_i8x16_i7x16_add(v128_t a, v128_t b, v128_t sum) {
#if defined(__ARM_FEATURE_DOTPROD)
  return (v128_t)vdotq_s32((int32x4_t)sum, (int8x16_t)a, (int8x16_t)b);
#else
  return wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(a, b)));
#endif
}

#endif
