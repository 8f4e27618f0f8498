// The formats that choose groups of values from a grid: magnitudes in IQ2 and IQ3, with signs apart; in IQ1 -1, 0 and 1, all
// shifted by 1/8 up or down. Blocks of 32 or 16 values have a scale D * (2 l + 1) with a whole l. First the best scale of each
// block by itself, then D and the l near these scales, then D by least squares.
#pragma once
#include "codebook.h"

// What a super-block becomes.
struct GridBlock {
  float D;
  uint8_t signs[32];     // of eight values, a bit each
  uint8_t l[16];         // of each block
  uint16_t entries[64];  // of each group
  bool down[64];         // whether its shift is -1/8
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

// What is chosen for some groups that have one shift, all that a grid's values are moved by.
template <int groups>
struct Choices {
  uint16_t entries[groups];
  bool down;  // the shift is -SHIFT, else SHIFT or none
  float qq, qy;
};

static constexpr float SHIFT = 0.125f;

template <int groups, bool shifted, class Book>
INLINE Choices<groups> choose_entries(const Book& book, const float* y, const float* w, float s) {
  const auto with = [&](float shift) {
    Choices<groups> out = {{}, shift < 0, 0, 0};
    for (int g = 0; g < groups; g++) {
      const Choice c = book.choose_entry(y + Book::group * g, w + Book::group * g, s, 1 / s, shift);
      out.entries[g] = static_cast<uint16_t>(c.entry);
      out.qq += c.qq;
      out.qy += c.qy;
    }
    return out;
  };
  if constexpr (!shifted) return with(0);
  const Choices<groups> up = with(SHIFT), down = with(-SHIFT);
  const auto error = [s](const Choices<groups>& c) { return s * c.qq - 2 * c.qy; };
  return error(down) < error(up) ? down : up;
}

// How a format is laid out.
struct GridLayout {
  int n;        // values of a block
  int levels;   // of its scale
  int together; // values that have one shift, or of one group
  bool shifted;
};

// The best entries of a block at a scale: hands each part's choice to `take`, and adds up.
template <GridLayout of, class Book, class Take>
INLINE Choice choose_block(const Book& book, const float* y, const float* w, float s, Take take) {
  Choice sum = {0, 0, 0};
  for (int i = 0; i < of.n; i += of.together) {
    const auto c = choose_entries<of.together / Book::group, of.shifted>(book, y + i, w + i, s);
    take(i, c);
    sum.qq += c.qq;
    sum.qy += c.qy;
  }
  return sum;
}

template <int blocks>
struct Scales {
  float s[blocks], weight[blocks];
};

INLINE int level_of(float s, float D, int levels) {
  const int l = static_cast<int>(s / D * 0.5f);
  return l < 0 ? 0 : l >= levels ? levels - 1 : l;
}

// The best scale of each block by itself, and what an error of it costs.
template <GridLayout of, class Book>
INLINE Scales<256 / of.n> fit_scales(const Book& book, const Plain& plain, GridTrials trials) {
  Scales<256 / of.n> out;
  for (int b = 0; b < 256 / of.n; b++) {
    const float *y = plain.y + of.n * b, *w = plain.w + of.n * b;
    const float far = largest_magnitude(y, of.n);
    float gained = 0;
    out.s[b] = out.weight[b] = 0;
    if (far < 0x1p-40f) continue;  // beside a value of 1 in the super-block
    const auto attempt = [&](float s) {
      const Choice c = choose_block<of>(book, y, w, s, [](int, const auto&) {});
      if (c.qy <= 0 || c.qy * c.qy <= gained * c.qq) return;
      gained = c.qy * c.qy / c.qq;
      out.s[b] = c.qy / c.qq;
      out.weight[b] = c.qq;
    };
    float at = trials.first;
    for (int t = 0; t <= trials.steps; t++, at *= trials.ratio) attempt(far / at);
    if (out.s[b] > 0) attempt(out.s[b]);
  }
  return out;
}

// D for which D * (2 l + 1) is nearest to the scales: of some near the one that makes the largest the last that can be stored.
template <int blocks>
INLINE float fit_super_scale(const Scales<blocks>& scales, int levels) {
  float most = 0, cheapest = __builtin_inff(), best = 0;
  for (float s : scales.s) most = most < s ? s : most;
  if (most == 0) return 0;
  for (int t = -4; t <= 16; t++) {
    const float D = most / ((2 * levels - 1) * (1 - 0.016f * t));
    float cost = 0;
    for (int b = 0; b < blocks; b++) {
      const float off = D * static_cast<float>(2 * level_of(scales.s[b], D, levels) + 1) - scales.s[b];
      cost += off * off * scales.weight[b];
    }
    if (cost >= cheapest) continue;
    cheapest = cost;
    best = D;
  }
  return best;
}

template <GridLayout of, class Book>
INLINE void encode_grid(const Book& book, const Plain& plain, GridTrials trials, float factor, GridBlock& out) {
  constexpr int blocks = 256 / of.n, groups = of.n / Book::group;
  const Scales<blocks> scales = fit_scales<of>(book, plain, trials);
  const float unit = plain.unit * factor;
  out.D = half_of(fit_super_scale(scales, of.levels), unit);
  memset(out.l, 0, sizeof(out.l));
  memset(out.entries, 0, sizeof(out.entries));
  memset(out.down, 0, sizeof(out.down));
  if (out.D == 0) return;
  float aa = 0, ay = 0;
  for (int b = 0; b < blocks; b++) {
    const float *y = plain.y + of.n * b, *w = plain.w + of.n * b;
    // The two levels that the block's scale lies between.
    const int below = level_of(scales.s[b] - out.D, out.D, of.levels);
    float least = __builtin_inff();
    Choice best = {0, 0, 0};
    for (int l = below; l <= below + 1 && l < of.levels; l++) {
      const float s = out.D * static_cast<float>(2 * l + 1);
      uint16_t entries[groups];
      bool down[groups];
      const Choice c = choose_block<of>(book, y, w, s, [&](int i, const auto& part) {
        memcpy(entries + i / Book::group, part.entries, sizeof(part.entries));
        for (int g = 0; g < of.together / Book::group; g++) down[i / Book::group + g] = part.down;
      });
      const float error = s * (s * c.qq - 2 * c.qy);
      if (error >= least) continue;
      least = error;
      best = c;
      out.l[b] = static_cast<uint8_t>(l);
      memcpy(out.entries + groups * b, entries, sizeof(entries));
      memcpy(out.down + groups * b, down, sizeof(down));
    }
    const float a = static_cast<float>(2 * out.l[b] + 1);
    aa += a * a * best.qq;
    ay += a * best.qy;
  }
  if (aa > 0 && ay > 0) out.D = half_of(ay / aa, unit);
}

// Encodes rows: pack(block, what it became, D as it is in a file times `factor`).
template <class Block, GridLayout of, bool even, class Book, class Pack>
INLINE uint32_t quantize_grid(const Book& book, float factor, GridTrials trials, const float* x, const float* importance,
                              uint8_t* out, uint32_t rows, uint32_t cols, Pack pack) {
  return encode_rows<Block, 256>(of.levels * HALF_MOST, x, importance, out, rows, cols, [&](const float* x, const float* weights, Block& block) {
    Plain plain;
    GridBlock made;
    plain.load(x, weights);
    memset(&block, 0, sizeof(Block));
    if (plain.unit == 0) return;
    if constexpr (!of.shifted) take_signs(plain, made.signs, even);
    encode_grid<of>(book, plain, trials, factor, made);
    pack(block, made, to_half(made.D / factor / plain.unit));
  });
}
