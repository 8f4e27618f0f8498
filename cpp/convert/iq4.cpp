// IQ4_NL, IQ4_XS: blocks of 32 values, x about d * VALUES_IQ4[q]. The search is that of multiples; what is multiplied is the
// value in the table that is nearest.
#include "../grids.h"
#include "fours.h"
#include "multiples.h"

// The nearest value of the table: each threshold halfway between two that is passed adds their difference.
struct TableValues {
  Lanes threshold[15], difference[15], first = loop_lanes(VALUES_IQ4[0]);
  INLINE TableValues() {
    for (int i = 0; i < 15; i++) {
      threshold[i] = loop_lanes((VALUES_IQ4[i] + VALUES_IQ4[i + 1]) * 0.5f);
      difference[i] = loop_lanes(VALUES_IQ4[i + 1] - VALUES_IQ4[i]);
    }
  }
  INLINE Lanes operator()(Lanes v) const {
    Lanes value = first;
    for (int i = 0; i < 15; i++) value += (Lanes)((v > threshold[i]) & (Mask)difference[i]);
    return value;
  }
};

// The places in the table of the nearest values.
INLINE Lanes places(Lanes v) {
  Mask passed = {};
  for (int i = 0; i < 15; i++) passed -= v > lanes((VALUES_IQ4[i] + VALUES_IQ4[i + 1]) * 0.5f);
  return (Lanes)wasm_f32x4_convert_i32x4((v128_t)passed);
}

static constexpr Trials TRIALS = {-127, -108, 1.1f, 3, 12, -0.9f};

template <bool weighted>
INLINE Lanes fit(const Four<32>& x, const Four<32>& w) {
  return fit_multiples<weighted>(x, w, TableValues(), TRIALS, 2);
}

// Nibbles of 32 values, the first 16 low.
INLINE void pack(const uint8_t* codes, uint8_t* q) {
  for (int i = 0; i < 16; i++) q[i] = codes[i] | codes[16 + i] << 4;
}

EXPORT(quantize_iq4_nl)
uint32_t quantize_iq4_nl(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_fours<BlockIQ4_NL>(
      113 * HALF_MOST, x, importance, out, rows, cols, [](const float* x, const float* weights, BlockIQ4_NL* blocks) {
        Fours four;
        four.load(x, weights);
        const Lanes d = weights ? fit<true>(four.x, four.w) : fit<false>(four.x, four.w);
        uint16_t halves[4];
        halves_of(four, d, halves);
        const Lanes factor = inverse(four.half_of(d));
        for (Lanes& v : four.x.v) v = places(v * factor);
        uint8_t codes[128];
        store_bytes(four.x, codes);
        for (int b = 0; b < 4; b++) {
          memcpy(blocks[b].d, &halves[b], 2);
          pack(codes + 32 * b, blocks[b].q);
        }
      });
}

// Whole scales s in -32..31 of a super-block's eight blocks, and what they are multiplied by.
struct Scales {
  float D;
  Lanes s[2];
};

template <bool weighted>
INLINE Scales fit_scales(const Super<32>& super) {
  Scales out;
  Lanes d[2];
  for (int g = 0; g < 2; g++) d[g] = fit<weighted>(super.x[g], super.w[g]);
  const float high = largest(greater(d[0], d[1])), low = -largest(greater(-d[0], -d[1]));
  out.D = half_of((high >= -low ? high : low) / -32, super.unit);
  const Codes level(-32, 31);
  for (int round = 0;; round++) {
    for (int g = 0; g < 2; g++) out.s[g] = level(d[g] * inverse(lanes(out.D)));
    if (round) return out;
    // D of least squares for these.
    const TableValues nearest;
    Lanes aa = lanes(0), ax = lanes(0);
    for (int g = 0; g < 2; g++) {
      const Lanes scale = out.s[g] * lanes(out.D), factor = inverse(scale);
      for (int i = 0; i < 32; i++) {
        const Lanes v = super.x[g].v[i], a = nearest(v * factor) * out.s[g];
        const Lanes wa = weighted ? super.w[g].v[i] * a : a;
        aa += wa * a;
        ax += wa * v;
      }
    }
    const float AA = total(aa);
    if (AA > 0) out.D = half_of(total(ax) / AA, super.unit);
  }
}

EXPORT(quantize_iq4_xs)
uint32_t quantize_iq4_xs(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  return encode_rows<BlockIQ4_XS, 256>(
      32 * 113 * HALF_MOST, x, importance, out, rows, cols, [](const float* x, const float* weights, BlockIQ4_XS& block) {
        Super<32> super;
        super.load(x, weights);
        memset(&block, 0, sizeof(block));
        if (super.unit == 0) return;
        const Scales made = super.weighted ? fit_scales<true>(super) : fit_scales<false>(super);
        store_half(block.d, made.D / super.unit);
        uint8_t codes[256];
        uint32_t high = 0;
        for (int g = 0; g < 2; g++) {
          const Lanes factor = inverse(made.s[g] * lanes(made.D));
          for (Lanes& v : super.x[g].v) v = places(v * factor);
          store_bytes(super.x[g], codes + 128 * g);
          for (int i = 0; i < 4; i++) {
            const int b = 4 * g + i;
            const uint32_t s = static_cast<uint32_t>(made.s[g][i] + 32);
            block.low[b / 2] |= (s & 15) << (b % 2 * 4);
            high |= s >> 4 << (2 * b);
          }
        }
        memcpy(block.high, &high, 2);
        for (int b = 0; b < 8; b++) pack(codes + 32 * b, block.q + 16 * b);
      });
}
