// The router: which experts a token goes to, and with what weights. The rule looks at the logits alone.
#include "kernels.h"
#include "math.h"

KERNEL void router_logits(const float* x, const float* gate, uint32_t cols, uint32_t experts, float* logits) {
  for (uint32_t e = 0; e < experts; e++) logits[e] = f32x4_dot(x, gate + e * cols, cols);
}

KERNEL void select_experts(const float* logits, uint32_t experts, uint32_t k, uint32_t* picked, float* weights) {
  // The largest logits, which are the largest probabilities: e^x has ties and, in the last bit, steps that logits have not.
  // Each moves up past the smaller ones, the last of k falls out. (NaN passes nothing and nothing passes it.)
  uint32_t found = 0;
  for (uint32_t e = 0; e < experts; e++) {
    uint32_t at = found;
    while (at > 0 && logits[e] > logits[picked[at - 1]]) at--;
    if (at == k) continue;
    if (found < k) found++;
    for (uint32_t i = found - 1; i > at; i--) picked[i] = picked[i - 1];
    picked[at] = e;
  }

  float max = logits[picked[0]], total = 0, picked_total = 0;
  for (uint32_t e = 0; e < experts; e++) total += exp_f32(logits[e] - max);
  for (uint32_t i = 0; i < k; i++) {
    weights[i] = exp_f32(logits[picked[i]] - max) / total;
    picked_total += weights[i];
  }
  for (uint32_t i = 0; i < k; i++) weights[i] /= picked_total;
}
