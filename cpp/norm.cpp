// Root-mean-square norm.
#include "f32x4.h"
#include "kernels.h"

KERNEL void rms_norm(const float* x, const float* weight, float* dst, uint32_t rows, uint32_t cols, float eps) {
  for (uint32_t r = 0; r < rows; r++, x += cols, dst += cols) {
    v128_t scale = wasm_f32x4_splat(1.0f / __builtin_sqrtf(f32x4_dot(x, x, cols) / (float)cols + eps));
    f32x4_columns(cols, [&](uint32_t c, auto load, auto store) {
      store(dst + c, wasm_f32x4_mul(wasm_f32x4_mul(load(x + c), scale), load(weight + c)));
    });
  }
}
