// The gates and additions of ../elementwise.cpp on the host's wide vectors.
#pragma once
#include "wide_math.h"

KERNEL void add_rows(const AddRowsArgs* args) {
  for (uint32_t t = 0; t < args->tokens; t++) {
    float* to = args->dst + (args->index ? args->index[t] : t) * args->dst_stride;
    const float* from = args->src + t * args->src_stride;
    const wide::floats factor = wide::splat(args->scale ? args->scale[t] : 1.0f);
    wide::columns(args->cols, [&](uint32_t c, auto load, auto store) { store(to + c, load(to + c) + factor * load(from + c)); });
  }
}

KERNEL void silu_mul(float* gate, const float* up, uint32_t tokens, uint32_t cols, uint32_t stride) {
  const WideExp exp(Exp{});
  const wide::floats one = wide::splat(1);
  for (uint32_t t = 0; t < tokens; t++, gate += stride, up += stride) {
    wide::columns(cols, [&](uint32_t c, auto load, auto store) {
      const wide::floats x = load(gate + c), silu = x / (one + exp(-x));
      store(gate + c, significant_floats(significant_floats(silu) * load(up + c)));
    });
  }
}
