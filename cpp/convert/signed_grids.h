// IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S: magnitudes from a grid, signs apart. Blocks of 32 or 16 values have a scale
// D * (2 l + 1), l in 0..15. First the best scale of each block by itself, then D and the whole l near these scales, then D by
// least squares.
#pragma once
#include "codebook.h"

// What a super-block becomes.
struct GridBlock {
  float D;
  uint8_t signs[32];     // of eight values, a bit each
  uint8_t l[16];         // of each block
  uint16_t entries[64];  // of each group
};

// Signs and magnitudes. Where only signs of even parity can be stored, the value of the eight that matters least has the
// wrong one, and its magnitude becomes negative.
INLINE void take_signs(Plain& plain, uint8_t* signs, bool even) {
  for (int g = 0; g < 32; g++) {
    float* y = plain.y + 8 * g;
    const float* w = plain.w + 8 * g;
    const v128_t low = wasm_v128_load(y), high = wasm_v128_load(y + 4);
    uint32_t bits = wasm_i32x4_bitmask(low) | wasm_i32x4_bitmask(high) << 4;
    wasm_v128_store(y, wasm_f32x4_abs(low));
    wasm_v128_store(y + 4, wasm_f32x4_abs(high));
    if (even && __builtin_popcount(bits) % 2) {
      int least = 0;
      for (int j = 1; j < 8; j++)
        if (w[j] * y[j] * y[j] < w[least] * y[least] * y[least]) least = j;
      bits ^= 1 << least;
      y[least] = -y[least];
    }
    signs[g] = static_cast<uint8_t>(bits);
  }
}

// Scales that are tried: the largest magnitude of a block is brought to first * ratio^t of the grid, t in 0..steps.
struct GridTrials {
  float first, ratio;
  int steps;
};

// n: values of a block.
template <int n, bool even, class Book>
INLINE void encode_grid(const Book& book, Plain& plain, GridTrials trials, GridBlock& out) {
  constexpr int blocks = 256 / n, groups = n / Book::group;
  take_signs(plain, out.signs, even);
  float scale[blocks], weight[blocks];
  float most = 0;
  for (int b = 0; b < blocks; b++) {
    const float *y = plain.y + n * b, *w = plain.w + n * b;
    const float far = largest_magnitude(y, n);
    float gained = 0;
    scale[b] = weight[b] = 0;
    if (far == 0) continue;
    const auto attempt = [&](float s) {
      float qq = 0, qy = 0;
      for (int g = 0; g < groups; g++) {
        const Choice c = book.choose_entry(y + Book::group * g, w + Book::group * g, s, 1 / s, 0);
        qq += c.qq;
        qy += c.qy;
      }
      if (qy <= 0 || qy * qy <= gained * qq) return;
      gained = qy * qy / qq;
      scale[b] = qy / qq;
      weight[b] = qq;
    };
    float at = trials.first;
    for (int t = 0; t <= trials.steps; t++, at *= trials.ratio) attempt(far / at);
    if (scale[b] > 0) attempt(scale[b]);
    most = most < scale[b] ? scale[b] : most;
  }
  // D: of some near the one for which the largest scale is the last that can be stored.
  const auto level = [](float s, float D) {
    const int l = static_cast<int>(s / D * 0.5f);
    return l < 0 ? 0 : l > 15 ? 15 : l;
  };
  float cheapest = __builtin_inff();
  out.D = 0;
  memset(out.l, 0, sizeof(out.l));
  memset(out.entries, 0, sizeof(out.entries));
  if (most == 0) return;
  for (int t = -2; t <= 8; t++) {
    const float D = most / (31 - t);
    float cost = 0;
    for (int b = 0; b < blocks; b++) {
      const float off = D * static_cast<float>(2 * level(scale[b], D) + 1) - scale[b];
      cost += off * off * weight[b];
    }
    if (cost < cheapest) {
      cheapest = cost;
      out.D = D;
    }
  }
  float aa = 0, ay = 0;
  for (int b = 0; b < blocks; b++) {
    const float *y = plain.y + n * b, *w = plain.w + n * b;
    const int middle = level(scale[b], out.D);
    float least = __builtin_inff(), best_qq = 0, best_qy = 0;
    for (int l = middle - 1; l <= middle + 1; l++) {
      if (l < 0 || l > 15) continue;
      const float s = out.D * static_cast<float>(2 * l + 1);
      float qq = 0, qy = 0;
      uint16_t entries[groups];
      for (int g = 0; g < groups; g++) {
        const Choice c = book.choose_entry(y + Book::group * g, w + Book::group * g, s, 1 / s, 0);
        entries[g] = static_cast<uint16_t>(c.entry);
        qq += c.qq;
        qy += c.qy;
      }
      const float error = s * (s * qq - 2 * qy);
      if (error >= least) continue;
      least = error;
      out.l[b] = static_cast<uint8_t>(l);
      memcpy(out.entries + groups * b, entries, sizeof(entries));
      best_qq = qq;
      best_qy = qy;
    }
    const float a = static_cast<float>(2 * out.l[b] + 1);
    aa += a * a * best_qq;
    ay += a * best_qy;
  }
  if (aa > 0 && ay > 0) out.D = ay / aa;
}

// Encodes rows: D is what is stored times `factor`; pack(block, what it became) writes all else.
template <class Block, int n, bool even, class Book, class Pack>
INLINE uint32_t quantize_grid(const Book& book, float factor, GridTrials trials, const float* x, const float* importance,
                              uint8_t* out, uint32_t rows, uint32_t cols, Pack pack) {
  return encode_rows<Block, 256>(x, importance, out, rows, cols, [&](const float* x, const float* weights, Block& block) {
    Plain plain;
    GridBlock made;
    plain.load(x, weights);
    memset(&block, 0, sizeof(Block));
    if (plain.unit == 0) return;
    encode_grid<n, even>(book, plain, trials, made);
    store_half(block.d, made.D / factor / plain.unit);
    pack(block, made);
  });
}
