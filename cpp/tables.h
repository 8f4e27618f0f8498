// The module's constant data: the grids (grids.h) as products read them, and what signs are made of.
//
// It stands at the address that the linker gives the first data, a number known here: clang then knows that an address in a
// table plus an offset does not overflow, and gives loads the one as their own offset, which saves an addition each.
// tables.cpp has it, and tests/kernels/data.test.ts looks whether it is where it is expected.
#pragma once
#include "grids.h"

// A grid with other values: value v becomes factor * v / divisor + added.
template <class Word, int n>
constexpr Grid<Word, n> scaled_grid(const Grid<Word, n>& grid, int factor, int divisor, int added) {
  Grid<Word, n> scaled = {};
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < static_cast<int>(sizeof(Word)); j++) {
      const int value = factor * static_cast<int8_t>(grid[i] >> (8 * j)) / divisor + added;
      scaled.entries[i] |= static_cast<Word>(static_cast<uint8_t>(value)) << (8 * j);
    }
  }
  return scaled;
}

// Byte j is 255 where bit j of a sign of 7 bits is set, byte 7 where an odd number of them are.
constexpr Grid<uint64_t, 128> sign_table() {
  Grid<uint64_t, 128> table = {};
  for (int sign = 0; sign < 128; sign++) {
    const int byte = sign | (__builtin_popcount(sign) & 1) << 7;
    for (int j = 0; j < 8; j++) table.entries[sign] |= static_cast<uint64_t>(byte >> j & 1 ? 255 : 0) << (8 * j);
  }
  return table;
}

// Eight times byte k at entry k.
constexpr Grid<uint64_t, 16> spread_table() {
  Grid<uint64_t, 16> table = {};
  for (int k = 0; k < 16; k++) table.entries[k] = 0x0101010101010101 * static_cast<uint64_t>(k);
  return table;
}

struct Tables {
  Grid<uint64_t, 2048> iq1 = scaled_grid(GRID_IQ1, 8, 1, 17);
  Grid<uint64_t, 1024> iq2_s = GRID_IQ2_S;
  Grid<uint64_t, 512> iq2_xs = GRID_IQ2_XS;
  Grid<uint64_t, 256> iq2_xxs = GRID_IQ2_XXS;
  Grid<uint64_t, 128> signs = sign_table();
  Grid<uint64_t, 16> spread = spread_table();
  Grid<uint32_t, 512> iq3_s = scaled_grid(GRID_IQ3_S, 1, 1, 16);
  Grid<uint32_t, 256> iq3_xxs = scaled_grid(GRID_IQ3_XXS, 1, 2, 0);
};

#ifdef __wasm__
inline constexpr uint32_t TABLES_ADDRESS = 1024;
#define TABLE(member) (TABLES_ADDRESS + __builtin_offsetof(Tables, member))

extern "C" const Tables tables;
#else
static constexpr Tables tables = {};
#define TABLE(member) reinterpret_cast<uintptr_t>(&tables.member)
#endif
