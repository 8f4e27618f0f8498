// IQ2_XXS, IQ2_XS, IQ2_S: eight values from a grid.
#include "grids_search.h"

static Codebook<8, 3, 256, 16> xxs;
static Codebook<8, 3, 512, 16> xs;
static Codebook<8, 3, 1024, 16> s;

static constexpr GridTrials TRIALS = {38, 1.17f, 4};

EXPORT(quantize_iq2_xxs)
uint32_t quantize_iq2_xxs(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  xxs.prepare(GRID_IQ2_XXS, RANKS_IQ2_XXS, 2, 8, 17.5f);
  return quantize_grid<BlockIQ2_XXS, {32, 16, 8, false}, true>(xxs, 0.125f, TRIALS, x, importance, out, rows, cols,
                                               [](BlockIQ2_XXS& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int b = 0; b < 8; b++) {
      uint32_t w = static_cast<uint32_t>(made.l[b]) << 28;
      for (int i = 0; i < 4; i++) {
        block.q[b].grid[i] = static_cast<uint8_t>(made.entries[4 * b + i]);
        w |= (made.signs[4 * b + i] & 127u) << (7 * i);
      }
      memcpy(block.q[b].w, &w, 4);
    }
  });
}

EXPORT(quantize_iq2_xs)
uint32_t quantize_iq2_xs(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  xs.prepare(GRID_IQ2_XS, RANKS_IQ2_XS, 2, 8, 17.5f);
  return quantize_grid<BlockIQ2_XS, {16, 16, 8, false}, true>(xs, 0.125f, TRIALS, x, importance, out, rows, cols,
                                              [](BlockIQ2_XS& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int g = 0; g < 32; g++) {
      const uint16_t q = static_cast<uint16_t>(made.entries[g] | (made.signs[g] & 127) << 9);
      memcpy(block.q[g], &q, 2);
    }
    for (int b = 0; b < 16; b++) block.scales[b / 2] |= made.l[b] << (b % 2 * 4);
  });
}

EXPORT(quantize_iq2_s)
uint32_t quantize_iq2_s(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  s.prepare(GRID_IQ2_S, RANKS_IQ2_S, 2, 8, 17.5f);
  return quantize_grid<BlockIQ2_S, {16, 16, 8, false}, false>(s, 0.125f, TRIALS, x, importance, out, rows, cols,
                                              [](BlockIQ2_S& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int g = 0; g < 32; g++) {
      block.q[g] = static_cast<uint8_t>(made.entries[g]);
      block.high[g / 4] |= made.entries[g] >> 8 << (g % 4 * 2);
    }
    memcpy(block.signs, made.signs, 32);
    for (int b = 0; b < 16; b++) block.scales[b / 2] |= made.l[b] << (b % 2 * 4);
  });
}
