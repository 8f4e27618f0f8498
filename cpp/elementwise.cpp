// The residual's additions and the experts' gates: one value in, one value out.
#include "kernels.h"
#include "math.h"

#ifdef __wasm__
KERNEL void add_rows(const AddRowsArgs* args) {
  for (uint32_t t = 0; t < args->tokens; t++) {
    float* to = args->dst + (args->index ? args->index[t] : t) * args->dst_stride;
    const float* from = args->src + t * args->src_stride;
    v128_t factor = wasm_f32x4_splat(args->scale ? args->scale[t] : 1.0f);
    f32x4_columns(args->cols, [&](uint32_t c, auto load, auto store) {
      store(to + c, f32x4_muladd(load(to + c), factor, load(from + c)));
    });
  }
}

KERNEL void silu_mul(float* gate, const float* up, uint32_t tokens, uint32_t cols, uint32_t stride) {
  const Exp exp;
  for (uint32_t t = 0; t < tokens; t++, gate += stride, up += stride)
    f32x4_columns(cols, [&](uint32_t c, auto load, auto store) {
      v128_t x = load(gate + c);
      v128_t silu = wasm_f32x4_div(x, wasm_f32x4_add(exp.one, exp(wasm_f32x4_neg(x))));  // x / (1 + e^-x)
      // Twice, so that the product is not subnormal, either.
      store(gate + c, f32x4_significant(wasm_f32x4_mul(f32x4_significant(silu), load(up + c))));
    });
}
#else
#include "native/wide_elementwise.h"
#endif

KERNEL void gelu_mul(float* gate, const float* up, uint32_t tokens, uint32_t cols, uint32_t stride) {
  for (uint32_t t = 0; t < tokens; t++, gate += stride, up += stride)
    for (uint32_t c = 0; c < cols; c++) {
      float gelu = (float)significant(gate[c] * normal_cdf(gate[c]));
      gate[c] = significant(gelu * up[c]);
    }
}
