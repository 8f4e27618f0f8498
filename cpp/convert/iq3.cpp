// IQ3_XXS, IQ3_S: four values from a grid.
#include "grids_search.h"

static Codebook<4, 8, 256, 8> xxs;
static Codebook<4, 8, 512, 8> s;

EXPORT(quantize_iq3_xxs)
uint32_t quantize_iq3_xxs(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  xxs.prepare(GRID_IQ3_XXS, RANKS_IQ3_XXS, 3, 4, 8);
  return quantize_grid<BlockIQ3_XXS, {32, 16, 4, false}, true>(xxs, 0.25f, {48, 1.15f, 4}, x, importance, out, rows, cols,
                                               [](BlockIQ3_XXS& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int g = 0; g < 64; g++) block.q[g] = static_cast<uint8_t>(made.entries[g]);
    for (int b = 0; b < 8; b++) {
      uint32_t w = static_cast<uint32_t>(made.l[b]) << 28;
      for (int i = 0; i < 4; i++) w |= (made.signs[4 * b + i] & 127u) << (7 * i);
      memcpy(block.w[b], &w, 4);
    }
  });
}

EXPORT(quantize_iq3_s)
uint32_t quantize_iq3_s(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  s.prepare(GRID_IQ3_S, RANKS_IQ3_S, 3, 1, 2);
  return quantize_grid<BlockIQ3_S, {32, 16, 4, false}, false>(s, 1, {11.5f, 1.15f, 4}, x, importance, out, rows, cols,
                                              [](BlockIQ3_S& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int g = 0; g < 64; g++) {
      block.q[g] = static_cast<uint8_t>(made.entries[g]);
      block.high[g / 8] |= made.entries[g] >> 8 << (g % 8);
    }
    memcpy(block.signs, made.signs, 32);
    for (int b = 0; b < 8; b++) block.scales[b / 2] |= made.l[b] << (b % 2 * 4);
  });
}
