// The router: which experts a token goes to, and with what weights.
#include "kernels.h"
#include "math.h"

namespace {

bool contains(const uint32_t* list, uint32_t length, uint32_t value) {
  for (uint32_t i = 0; i < length; i++)
    if (list[i] == value) return true;
  return false;
}

}  // namespace

KERNEL void router(const float* x, const float* gate, uint32_t cols, uint32_t experts, uint32_t k, float* logits,
                   uint32_t* picked, float* weights) {
  for (uint32_t e = 0; e < experts; e++) logits[e] = f32x4_dot(x, gate + e * cols, cols);

  // The largest logits, which are the largest probabilities: e^x has ties and, in the last bit, steps that logits have not.
  for (uint32_t i = 0; i < k; i++) {
    uint32_t best = experts;
    for (uint32_t e = 0; e < experts; e++)
      if (!contains(picked, i, e) && (best == experts || logits[e] > logits[best])) best = e;
    picked[i] = best;
  }

  float max = logits[picked[0]], total = 0, picked_total = 0;
  for (uint32_t e = 0; e < experts; e++) total += exp_f32(logits[e] - max);
  for (uint32_t i = 0; i < k; i++) {
    weights[i] = exp_f32(logits[picked[i]] - max) / total;
    picked_total += weights[i];
  }
  for (uint32_t i = 0; i < k; i++) weights[i] /= picked_total;
}
