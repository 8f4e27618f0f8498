// A tile of attention.cpp: its query vectors and a block of keys, for the loops that most of the time goes into.
#pragma once
#include "kernels.h"
#include "kv_rows.h"

namespace {

constexpr uint32_t BLOCK = KV_PAGE;  // keys

// One query vector of the tile.
struct Query {
  float* q;            // [dim]
  float* out;          // [dim], the values' weighted sum so far
  float* scores;       // [BLOCK], then the block's probabilities
  float max, sum;      // of the softmax so far
  float rescale;       // what the block's new maximum makes of the sums so far
  uint32_t low, high;  // the keys of the block that it sees, relative to the block
};

struct Tile {
  Query* queries;
  uint32_t count;
  uint32_t dim;              // padded
  uint32_t type, row_bytes;
  const uint8_t* keys;       // [BLOCK] rows of the block's page
  const uint8_t* values;
  const uint8_t* next_keys;  // of the block behind this one, or null
  const uint8_t* next_values;
  uint64_t hidden;           // bit i: key i of the block is hidden
  float* key_copy;           // [KEY_COPIES][dim]
  float* value_copy;         // [BLOCK][STRIP]
};

// The bits of keys [low, high), low < high.
INLINE uint64_t key_range(uint32_t low, uint32_t high) { return ~0ull >> (64 - (high - low)) << low; }

// Calls body for each hidden key of [low, high).
template <class Body>
INLINE void each_hidden(uint64_t hidden, uint32_t low, uint32_t high, Body body) {
  if (hidden == 0 || low >= high) return;
  for (uint64_t left = hidden & key_range(low, high); left; left &= left - 1) body((uint32_t)__builtin_ctzll(left));
}

}  // namespace
