// Q3_K, Q6_K: blocks of 16 values, x about D * s * q with whole s in -levels..levels - 1, D of the super-block. First the best
// scale of each block by itself, then D and the nearest s, then the codes for what came of them, and D by least squares.
#include "multiples.h"

static constexpr int N = 16, GROUPS = 64 / N;

struct Multiples {
  float D;
  Lanes s[GROUPS];
  Four<N> q[GROUPS];
};

static INLINE void choose_codes(const Super<N>& super, Multiples& out, float least, float most) {
  const Codes code(least, most);
  for (int g = 0; g < GROUPS; g++) {
    const Lanes factor = inverse(out.s[g] * lanes(out.D));
    for (int i = 0; i < N; i++) out.q[g].v[i] = code(super.x[g].v[i] * factor);
  }
}

// D of least squares, s and q given.
template <bool weighted>
static INLINE float refit(const Super<N>& super, const Multiples& of) {
  Lanes aa = lanes(0), ax = lanes(0);
  for (int g = 0; g < GROUPS; g++) {
    Lanes qq = lanes(0), qx = lanes(0);
    for (int i = 0; i < N; i++) {
      const Lanes q = of.q[g].v[i], wq = weighted ? super.w[g].v[i] * q : q;
      qq += wq * q;
      qx += wq * super.x[g].v[i];
    }
    aa += of.s[g] * of.s[g] * qq;
    ax += of.s[g] * qx;
  }
  const float AA = total(aa);
  return AA > 0 ? total(ax) / AA : of.D;
}

// Whole s for a given D: the nearest to a block's own scale, or one further from zero if its error is smaller. Where D is
// coarse, because another block's scale is far larger, the nearest one may cut off values.
template <bool weighted>
static INLINE void choose_levels(const Super<N>& super, const Lanes* d, float least, float most, float levels,
                                 Multiples& out) {
  const Codes level(-levels, levels - 1), code(least, most);
  const float per_D = out.D != 0 ? 1 / out.D : 0;
  for (int g = 0; g < GROUPS; g++) {
    const Lanes exact = d[g] * lanes(per_D), away = choose(exact < lanes(0), lanes(-1), lanes(1));
    Lanes smallest = lanes(__builtin_inff());
    for (int more = 0; more <= 1; more++) {
      const Lanes s = level(exact + away * lanes(more)), scale = s * lanes(out.D), factor = inverse(scale);
      Lanes error = lanes(0);
      for (int i = 0; i < N; i++) {
        const Lanes x = super.x[g].v[i], off = x - scale * code(x * factor);
        error += weighted ? super.w[g].v[i] * off * off : off * off;
      }
      const Mask better = error < smallest;
      smallest = choose(better, error, smallest);
      out.s[g] = choose(better, s, out.s[g]);
    }
  }
}

template <bool weighted>
static INLINE void encode_multiples(const Super<N>& super, float least, float most, float levels, Trials trials,
                                    Multiples& out) {
  Lanes d[GROUPS], low = lanes(0), high = lanes(0);
  for (int g = 0; g < GROUPS; g++) {
    d[g] = fit_multiples<weighted>(super.x[g], super.w[g], Codes(least, most), trials, 2);
    low = lesser(low, d[g]);
    high = greater(high, d[g]);
  }
  const float lowest = -largest(-low), highest = largest(high);
  out.D = half_of((highest >= -lowest ? highest : lowest) / -levels, super.unit);
  choose_levels<weighted>(super, d, least, most, levels, out);
  choose_codes(super, out, least, most);
  for (int round = 0; round < 2; round++) {
    out.D = half_of(refit<weighted>(super, out), super.unit);
    choose_codes(super, out, least, most);
  }
}

// Encodes rows: pack(block, s + levels, codes from 0 on) after D is written.
template <class Block, int offset, int levels, class Pack>
static INLINE uint32_t quantize(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols,
                                Trials trials, Pack pack) {
  return encode_rows<Block, 256>(levels * offset * HALF_MOST, x, importance, out, rows, cols, [&](const float* x, const float* weights, Block& block) {
    Super<N> super;
    Multiples made = {};
    super.load(x, weights);
    if (super.unit != 0 && super.weighted) encode_multiples<true>(super, -offset, offset - 1, levels, trials, made);
    if (super.unit != 0 && !super.weighted) encode_multiples<false>(super, -offset, offset - 1, levels, trials, made);
    memset(&block, 0, sizeof(Block));
    store_half(block.d, super.unit != 0 ? made.D / super.unit : 0);
    uint8_t s[16], q[256];
    for (int g = 0; g < GROUPS; g++) {
      for (int i = 0; i < 4; i++) s[4 * g + i] = static_cast<uint8_t>(made.s[g][i] + levels);
      for (int i = 0; i < N; i++) made.q[g].v[i] += lanes(offset);
      store_bytes<N>(made.q[g], q + 4 * N * g);
    }
    pack(block, s, q);
  });
}

EXPORT(quantize_q3_k)
uint32_t quantize_q3_k(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize<BlockQ3_K, 4, 32>(
      x, importance, out, rows, cols, {-4, -3, 1.06f, 9, 15, 0}, [](BlockQ3_K& block, const uint8_t* s, const uint8_t* q) {
        for (int i = 0; i < 8; i++) block.scales[i] = (s[i] & 15) | s[8 + i] << 4;
        for (int i = 0; i < 16; i++) block.scales[8 + i % 4] |= s[i] >> 4 << (2 * (i / 4));
        for (int half = 0; half < 2; half++)
          for (int l = 0; l < 32; l++) {
            const uint8_t* of = q + 128 * half + l;
            for (int b = 0; b < 4; b++) {
              block.q[32 * half + l] |= (of[32 * b] & 3) << (2 * b);
              block.high[l] |= of[32 * b] >> 2 << (4 * half + b);
            }
          }
      });
}

EXPORT(quantize_q6_k)
uint32_t quantize_q6_k(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize<BlockQ6_K, 32, 128>(
      x, importance, out, rows, cols, {-32, -31, 1.007f, 10, 15, 0}, [](BlockQ6_K& block, const uint8_t* s, const uint8_t* q) {
        for (int i = 0; i < 16; i++) block.scales[i] = static_cast<int8_t>(s[i] - 128);
        for (int half = 0; half < 2; half++)
          for (int l = 0; l < 32; l++) {
            const uint8_t* of = q + 128 * half + l;
            block.low[64 * half + l] = (of[0] & 15) | of[64] << 4;
            block.low[64 * half + 32 + l] = (of[32] & 15) | of[96] << 4;
            block.high[32 * half + l] = of[0] >> 4 | of[32] >> 4 << 2 | of[64] >> 4 << 4 | of[96] >> 4 << 6;
          }
      });
}
