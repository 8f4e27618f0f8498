// The host's widest vectors as L lanes of 128 bits, each of which is one vector of the WebAssembly build: operations are a
// lane's own, so that a lane's bits are those that WebAssembly computes.
#pragma once
#include "wasm_simd128.h"

// Of a lambda.
#define INLINED __attribute__((always_inline))

namespace wide {

#if defined(__AVX512F__) && defined(__AVX512BW__)
#define WIDE_AVX512 1
inline constexpr int L = 4;
#elif defined(__AVX2__)
inline constexpr int L = 2;
#else
inline constexpr int L = 1;
#endif

typedef int32_t ints __attribute__((vector_size(16 * L)));
typedef float floats __attribute__((vector_size(16 * L)));

// One lane in all of them.
LANES ints broadcast(v128_t lane) {
#ifdef WIDE_AVX512
  return (ints)_mm512_broadcast_i32x4((__m128i)lane);
#elif defined(__AVX2__)
  return (ints)_mm256_broadcastsi128_si256((__m128i)lane);
#else
  return lane;
#endif
}
LANES floats broadcast_floats(v128_t lane) { return (floats)broadcast(lane); }
LANES floats splat(float value) {
  floats v;
#pragma unroll
  for (int i = 0; i < 4 * L; i++) v[i] = value;
  return v;
}
LANES floats load_floats(const float* p) {
  floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
LANES void store_floats(float* p, floats v) { __builtin_memcpy(p, &v, sizeof v); }
// Four floats in each lane, `apart` floats from one lane's to the next's.
LANES floats load_lanes(const float* p, [[maybe_unused]] uint32_t apart) {
#ifdef WIDE_AVX512
  const auto at = [&](uint32_t lane) { return _mm_loadu_ps(p + lane * apart); };
  const __m512 two = _mm512_insertf32x4(_mm512_castps128_ps512(at(0)), at(1), 1);
  return (floats)_mm512_insertf32x4(_mm512_insertf32x4(two, at(2), 2), at(3), 3);
#elif defined(__AVX2__)
  return (floats)_mm256_loadu2_m128(p + apart, p);
#else
  return load_floats(p);
#endif
}
LANES floats to_floats(ints v) { return __builtin_convertvector(v, floats); }

// The products of two vectors of i16, added by two.
LANES ints dot_i16(ints a, ints b) {
#ifdef WIDE_AVX512
  return (ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#else
  return wasm_i32x4_dot_i16x8(a, b);
#endif
}

// Weights' codes against activations, signed bytes. Codes are unsigned, below 64; or signed, which the dot of unsigned bytes
// takes with their sign bit turned, as 128 more than they are.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
inline constexpr bool TURNS_SIGNS = true;
#else
inline constexpr bool TURNS_SIGNS = false;
#endif

// What must be taken off signed codes as they are stored.
inline constexpr int SIGNED_OFFSET = TURNS_SIGNS ? 128 : 0;
LANES v128_t stored_signed(v128_t codes) { return TURNS_SIGNS ? codes ^ wasm_i8x16_splat(-128) : codes; }

// sum + the dots of four bytes each.
template <bool is_signed>
LANES ints dot(ints sum, ints codes, ints x) {
#if defined(__AVX512VNNI__)
  return (ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)codes, (__m512i)x);
#elif defined(__AVXVNNI__)
  return (ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)codes, (__m256i)x);
#elif defined(__AVX2__)
  __m256i w = (__m256i)codes, v = (__m256i)x;
  __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(v, w)) : _mm256_maddubs_epi16(w, v);
  return sum + (ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__x86_64__)
  __m128i w = (__m128i)codes, v = (__m128i)x;
  __m128i pairs = is_signed ? _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(v, w)) : _mm_maddubs_epi16(w, v);
  return sum + (ints)_mm_madd_epi16(pairs, _mm_set1_epi16(1));
#elif defined(__ARM_FEATURE_DOTPROD)
  return (ints)vdotq_s32((int32x4_t)sum, (int8x16_t)codes, (int8x16_t)x);
#else
  int16x8_t low = vmull_s8(vget_low_s8((int8x16_t)codes), vget_low_s8((int8x16_t)x));
  int16x8_t high = vmull_high_s8((int8x16_t)codes, (int8x16_t)x);
  return (ints)vpadalq_s16((int32x4_t)sum, vpaddq_s16(low, high));
#endif
}

#ifdef WIDE_AVX512
// Four vectors, each of whose lanes `join` makes one: lane r of the result is v[r]'s.
template <class Join>
LANES ints fold_lanes(const ints v[4], Join join) {
  const auto halves = [&](ints a, ints b) {
    return join((ints)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0x44), (ints)_mm512_shuffle_i32x4((__m512i)a, (__m512i)b, 0xee));
  };
  const __m512i ab = (__m512i)halves(v[0], v[1]), cd = (__m512i)halves(v[2], v[3]);
  return join((ints)_mm512_shuffle_i32x4(ab, cd, 0x88), (ints)_mm512_shuffle_i32x4(ab, cd, 0xdd));
}
#endif

LANES v128_t lane_of(const floats& v, int lane) { return wasm_v128_load(reinterpret_cast<const char*>(&v) + 16 * lane); }
template <class V>
LANES void set_lane(V& v, int lane, v128_t value) {
  wasm_v128_store(reinterpret_cast<char*>(&v) + 16 * lane, value);
}

// Calls body(column, load, store) for every vector of a row: whole ones, then the padded rest, as ../f32x4.h's f32x4_columns.
template <class Body>
LANES void columns(uint32_t cols, Body body) {
  constexpr uint32_t VECTOR = 4 * L;
  uint32_t c = 0;
  for (; c + VECTOR <= cols; c += VECTOR) body(c, load_floats, store_floats);
  if (const uint32_t bytes = (cols - c) * sizeof(float)) {
    const auto load = [bytes](const float* p) {
      floats v = {};
      __builtin_memcpy(&v, p, bytes);
      return v;
    };
    body(c, load, [bytes](float* p, floats v) { __builtin_memcpy(p, &v, bytes); });
  }
}

}  // namespace wide
