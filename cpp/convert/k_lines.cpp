// Q2_K, Q4_K, Q5_K: blocks of 16 or 32 values, x about D * s * q - M * t with whole s and t in 0..levels, D and M of the
// super-block. First the best line of each block by itself, then D and M and the whole numbers nearest to these lines,
// then the codes for what came of them, and D and M by least squares over the super-block.
#include "lines.h"

// A super-block in the making.
template <int n>
struct LineBlocks {
  static constexpr int groups = 64 / n, blocks = 256 / n;
  float D, M;
  Lanes s[groups], t[groups];
  Four<n> q[groups];
};

// Whole s and t for given D and M: of some near a block's own line those with the smallest error. Where D and M are coarse
// beside a line, because another block's is far longer, the nearest ones would cut off values.
template <bool weighted, int n>
INLINE void choose_levels(const Super<n>& super, const LineFit* fits, float most, float levels, LineBlocks<n>& out) {
  const Codes level(0, levels), code(0, most);
  const float per_D = out.D > 0 ? 1 / out.D : 0, per_M = out.M > 0 ? 1 / out.M : 0;
  for (int g = 0; g < out.groups; g++) {
    const LineFit& fit = fits[g];
    const Lanes per_qq = inverse(fit.qq);
    Lanes least = lanes(__builtin_inff());
    for (int k = -1; k <= 1; k++) {
      const Lanes t = level(fit.m * lanes(per_M) + lanes(k)), m = t * lanes(out.M);
      // The d that suits this m, the codes being those of the line.
      const Lanes d = fit.d - (fit.m - m) * fit.q * per_qq;
      for (int more = 0; more <= 1; more++) {
        const Lanes s = level(d * lanes(per_D) + lanes(more)), scale = s * lanes(out.D);
        const Lanes factor = inverse(scale), shift = m * factor;
        Lanes error = lanes(0);
        for (int i = 0; i < n; i++) {
          const Lanes x = super.x[g].v[i], off = x + m - scale * code(x * factor + shift);
          error += weighted ? super.w[g].v[i] * off * off : off * off;
        }
        const Mask better = error < least;
        least = choose(better, error, least);
        out.s[g] = choose(better, s, out.s[g]);
        out.t[g] = choose(better, t, out.t[g]);
      }
    }
  }
}

template <int n>
INLINE void choose_codes(const Super<n>& super, LineBlocks<n>& out, float most) {
  const Codes code(0, most);
  for (int g = 0; g < out.groups; g++) {
    const Lanes factor = inverse(out.s[g] * lanes(out.D)), shift = out.t[g] * lanes(out.M) * factor;
    for (int i = 0; i < n; i++) out.q[g].v[i] = code(super.x[g].v[i] * factor + shift);
  }
}

// D and M of least squares, s, t and q given.
template <bool weighted, int n>
INLINE void refit(const Super<n>& super, LineBlocks<n>& out) {
  Lanes aa = lanes(0), ab = lanes(0), bb = lanes(0), ax = lanes(0), bx = lanes(0);
  for (int g = 0; g < out.groups; g++) {
    Lanes qq = lanes(0), q1 = lanes(0), w1 = lanes(0), qx = lanes(0), wx = lanes(0);
    for (int i = 0; i < n; i++) {
      const Lanes w = weighted ? super.w[g].v[i] : lanes(1), q = out.q[g].v[i], x = super.x[g].v[i];
      const Lanes wq = weighted ? w * q : q;
      qq += wq * q;
      q1 += wq;
      w1 += w;
      qx += wq * x;
      wx += weighted ? w * x : x;
    }
    const Lanes s = out.s[g], t = out.t[g];
    aa += s * s * qq;
    ab += s * t * q1;
    bb += t * t * w1;
    ax += s * qx;
    bx += t * wx;
  }
  // x about D * a - M * b
  const float AA = total(aa), AB = total(ab), BB = total(bb), AX = total(ax), BX = total(bx);
  const float determinant = AA * BB - AB * AB;
  if (determinant > 1e-6f * AA * BB) {
    const float D = (AX * BB - BX * AB) / determinant, M = (AX * AB - BX * AA) / determinant;
    if (D > 0 && M > 0) {
      out.D = D;
      out.M = M;
    }
  } else if (BB == 0 && AA > 0 && AX > 0) {
    out.D = AX / AA;
  }
}

template <bool weighted, int n>
INLINE void encode_lines(const Super<n>& super, float most, float levels, LineTrials trials, LineBlocks<n>& out) {
  LineFit fits[LineBlocks<n>::groups];
  Lanes d = lanes(0), m = lanes(0);
  for (int g = 0; g < out.groups; g++) {
    fits[g] = fit_lines<weighted, true>(super.x[g], super.w[g], most, trials, 2);
    d = greater(d, fits[g].d);
    m = greater(m, fits[g].m);
  }
  const float most_d = largest(d), most_m = largest(m);
  out.D = half_of(most_d / levels, super.unit);
  out.M = half_of(most_m / levels, super.unit);
  choose_levels<weighted>(super, fits, most, levels, out);
  choose_codes(super, out, most);
  for (int round = 0; round < 2; round++) {
    refit<weighted>(super, out);
    out.D = half_of(out.D, super.unit);
    out.M = half_of(out.M, super.unit);
    choose_codes(super, out, most);
  }
}

template <int n>
INLINE void store_levels(const Lanes* lanes, uint8_t* out) {
  for (int g = 0; g < LineBlocks<n>::groups; g++)
    for (int i = 0; i < 4; i++) out[4 * g + i] = static_cast<uint8_t>(lanes[g][i]);
}

// Encodes rows: pack(block, levels s and t, codes) after the two scales are written.
template <class Block, int n, int most, int levels, class Pack>
INLINE uint32_t quantize(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols,
                         LineTrials trials, Pack pack) {
  return encode_rows<Block, 256>(levels * HALF_MOST, x, importance, out, rows, cols, [&](const float* x, const float* weights, Block& block) {
    Super<n> super;
    LineBlocks<n> made;
    super.load(x, weights);
    memset(&block, 0, sizeof(Block));
    if (super.unit == 0) return;
    if (super.weighted) {
      encode_lines<true>(super, most, levels, trials, made);
    } else {
      encode_lines<false>(super, most, levels, trials, made);
    }
    store_halves(block.d, made.D / super.unit, made.M / super.unit);
    uint8_t s[256 / n], t[256 / n], q[256];
    store_levels<n>(made.s, s);
    store_levels<n>(made.t, t);
    for (int g = 0; g < made.groups; g++) store_bytes<n>(made.q[g], q + 4 * n * g);
    pack(block, s, t, q);
  });
}

// Eight scales and eight minimums of 6 bits.
INLINE void pack_levels(uint8_t* scales, const uint8_t* s, const uint8_t* t) {
  for (int i = 0; i < 4; i++) {
    scales[i] = s[i] | s[4 + i] >> 4 << 6;
    scales[4 + i] = t[i] | t[4 + i] >> 4 << 6;
    scales[8 + i] = (s[4 + i] & 15) | t[4 + i] << 4;
  }
}

EXPORT(quantize_q2_k)
uint32_t quantize_q2_k(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize<BlockQ2_K, 16, 3, 15>(
      x, importance, out, rows, cols, {-0.9f, 0.3f, 6, 0.33f},
      [](BlockQ2_K& block, const uint8_t* s, const uint8_t* t, const uint8_t* q) {
        for (int i = 0; i < 16; i++) block.scales[i] = s[i] | t[i] << 4;
        for (int half = 0; half < 2; half++)
          for (int l = 0; l < 32; l++) {
            const uint8_t* of = q + 128 * half + l;
            block.q[32 * half + l] = of[0] | of[32] << 2 | of[64] << 4 | of[96] << 6;
          }
      });
}

EXPORT(quantize_q4_k)
uint32_t quantize_q4_k(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize<BlockQ4_K, 32, 15, 63>(
      x, importance, out, rows, cols, {-1.0f, 0.25f, 8, 0.33f},
      [](BlockQ4_K& block, const uint8_t* s, const uint8_t* t, const uint8_t* q) {
        pack_levels(block.scales, s, t);
        for (int pair = 0; pair < 4; pair++)
          for (int l = 0; l < 32; l++) block.q[32 * pair + l] = q[64 * pair + l] | q[64 * pair + 32 + l] << 4;
      });
}

EXPORT(quantize_q5_k)
uint32_t quantize_q5_k(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return quantize<BlockQ5_K, 32, 31, 63>(
      x, importance, out, rows, cols, {-0.9f, 0.3f, 6, 0.33f},
      [](BlockQ5_K& block, const uint8_t* s, const uint8_t* t, const uint8_t* q) {
        pack_levels(block.scales, s, t);
        for (int pair = 0; pair < 4; pair++)
          for (int l = 0; l < 32; l++) {
            const uint8_t first = q[64 * pair + l], second = q[64 * pair + 32 + l];
            block.q[32 * pair + l] = (first & 15) | second << 4;
            block.high[l] |= (first >> 4) << (2 * pair) | (second >> 4) << (2 * pair + 1);
          }
      });
}
