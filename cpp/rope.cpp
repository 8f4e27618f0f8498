// Rotary position embedding, with Hugging Face's roundings: frequencies and angles in f32, halves split at dim / 2.
#include "rope.h"

#include "kernels.h"
#include "math.h"

// torch computes 1 / (float(theta) ** (f32(2i) / dim)), every result an f32.
KERNEL void rope_inv_freq(double theta, uint32_t dim, float* inv_freq) {
  double log_theta = log_f64((float)theta);
  for (uint32_t i = 0; i < dim / 2; i++) {
    float exponent = (float)(2 * i) / (float)dim;
    float power = (float)exp_f64(exponent * log_theta);
    inv_freq[i] = 1.0f / power;
  }
}

KERNEL void rope_table(uint32_t position, const float* inv_freq, uint32_t half, float scale, float* table) {
  for (uint32_t i = 0; i < half; i++) {
    float angle = (float)position * inv_freq[i];
    double cos_sin[2];
    cos_sin_f64(angle, cos_sin);
    table[i] = (float)cos_sin[0] * scale;
    table[half + i] = (float)cos_sin[1] * scale;
  }
}

void rotate(const float* src, float* dst, const float* table, uint32_t heads, uint32_t dim, bool interleaved) {
  uint32_t half = dim / 2;
  const float *cosine = table, *sine = table + half;
  for (uint32_t h = 0; h < heads; h++, src += dim, dst += dim) {
    uint32_t i = 0;
    auto rotate_four = [&](v128_t a, v128_t b) {
      v128_t c = wasm_v128_load(cosine + i), s = wasm_v128_load(sine + i);
      wasm_v128_store(dst + i, wasm_f32x4_sub(wasm_f32x4_mul(a, c), wasm_f32x4_mul(b, s)));
      wasm_v128_store(dst + half + i, wasm_f32x4_add(wasm_f32x4_mul(b, c), wasm_f32x4_mul(a, s)));
    };
    for (; i + 4 <= half; i += 4) {
      if (interleaved) {
        v128_t low = wasm_v128_load(src + 2 * i), high = wasm_v128_load(src + 2 * i + 4);
        rotate_four(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), wasm_i32x4_shuffle(low, high, 1, 3, 5, 7));
      } else {
        rotate_four(wasm_v128_load(src + i), wasm_v128_load(src + half + i));
      }
    }
    for (; i < half; i++) {
      float a = interleaved ? src[2 * i] : src[i], b = interleaved ? src[2 * i + 1] : src[half + i];
      dst[i] = a * cosine[i] - b * sine[i];
      dst[half + i] = b * cosine[i] + a * sine[i];
    }
    if (dim % 2) dst[dim - 1] = src[dim - 1];
  }
}
