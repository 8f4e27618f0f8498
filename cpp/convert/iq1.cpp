// IQ1_S, IQ1_M: eight values of -1, 0 and 1 from a grid, all of them 1/8 higher or lower.
#include "grids_search.h"

static Codebook<8, 3, 2048, 8> book;

static constexpr GridTrials TRIALS = {1.2f, 1.28f, 3};

EXPORT(quantize_iq1_s)
uint32_t quantize_iq1_s(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  book.prepare(GRID_IQ1, RANKS_IQ1, 2, -1, 1);
  return quantize_grid<BlockIQ1_S, {32, 8, 32, true}, false>(book, 1, TRIALS, x, importance, out, rows, cols,
                                                             [](BlockIQ1_S& block, const GridBlock& made, uint16_t d) {
    memcpy(block.d, &d, 2);
    for (int b = 0; b < 8; b++) {
      uint32_t high = made.l[b] << 12 | made.down[4 * b] << 15;
      for (int i = 0; i < 4; i++) {
        block.q[4 * b + i] = static_cast<uint8_t>(made.entries[4 * b + i]);
        high |= static_cast<uint32_t>(made.entries[4 * b + i]) >> 8 << (3 * i);
      }
      memcpy(block.high[b], &high, 2);
    }
  });
}

EXPORT(quantize_iq1_m)
uint32_t quantize_iq1_m(const float* x, const float* importance, uint8_t* out, uint32_t rows, uint32_t cols) {
  book.prepare(GRID_IQ1, RANKS_IQ1, 2, -1, 1);
  return quantize_grid<BlockIQ1_M, {16, 8, 8, true}, false>(book, 1, TRIALS, x, importance, out, rows, cols,
                                                            [](BlockIQ1_M& block, const GridBlock& made, uint16_t d) {
    for (int g = 0; g < 32; g++) {
      block.q[g] = static_cast<uint8_t>(made.entries[g]);
      block.high[g / 2] |= (made.entries[g] >> 8 | made.down[g] << 3) << (g % 2 * 4);
    }
    for (int i = 0; i < 4; i++) {
      uint32_t word = static_cast<uint32_t>(d >> (4 * i) & 15) << 12;
      for (int b = 0; b < 4; b++) word |= static_cast<uint32_t>(made.l[4 * i + b]) << (3 * b);
      memcpy(block.scales[i], &word, 2);
    }
  });
}
