// The quantizing of ../pack_q8.h for 512 bits.
#pragma once
#include "wide.h"

#ifdef WIDE_AVX512

namespace wide {

// The largest magnitude of each of four blocks. Magnitudes are compared as bits, which puts NaN above infinity.
LANES v128_t largest_of_blocks(const float* x) {
  const auto larger = [](ints a, ints b) { return (ints)_mm512_max_epi32((__m512i)a, (__m512i)b); };
  const auto magnitudes = [&](const float* p) { return (ints)load_floats(p) & 0x7fffffff; };
  ints block[4];
  for (int b = 0; b < 4; b++) block[b] = larger(magnitudes(x + 32 * b), magnitudes(x + 32 * b + 16));
  __m512i all = (__m512i)fold_lanes(block, larger);
  all = _mm512_max_epi32(all, _mm512_shuffle_epi32(all, _MM_PERM_BADC));
  all = _mm512_max_epi32(all, _mm512_shuffle_epi32(all, _MM_PERM_CDAB));
  const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  return (v128_t)_mm512_castsi512_si128(_mm512_permutexvar_epi32(firsts, all));
}

// nearest-even(x * factor) of 32 values, or zeros where the factor is 0: only then is a product not within a byte.
LANES void quantize_block(const float* x, float factor, v128_t values[2]) {
  const __mmask16 mask = factor == 0 ? 0 : 0xffff;
  for (int i = 0; i < 2; i++) {
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16 * i), _mm512_set1_ps(factor)));
    values[i] = (v128_t)_mm512_maskz_cvtsepi32_epi8(mask, q);
  }
}

}  // namespace wide

#endif
