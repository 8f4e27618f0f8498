// The loops of attention.cpp over 128 bits: scores of 2 queries x 4 keys, their softmax, and sums of 2 queries x 16 dims.
#pragma once
#include "attention_tile.h"
#include "math.h"
#include "read_ahead.h"

namespace {

using BlockExp = Exp;

constexpr uint32_t KEY_COPIES = 4;  // where keys are not f32
constexpr uint32_t COPY_ALIGNMENT = 16;

// Reads a word of each cache line of the block's rows [low, high), which then come from memory together, as two streams;
// the loops below have too many instructions for each line, see read_ahead.h. @returns something to be used, see there
uint32_t fetch_block(const Tile& tile, uint32_t low, uint32_t high) {
  uint32_t seen = 0;
  for (uint32_t b = low * tile.row_bytes; b + 4 <= high * tile.row_bytes; b += CACHE_LINE) {
    seen ^= word_of(tile.keys + b);
    seen ^= word_of(tile.values + b);
  }
  return seen;
}

// q . k of `Queries` adjacent queries and 4 keys [4][dim], times the scale, to scores[j..j+4).
template <uint32_t Queries>
INLINE void score_four(const Query* queries, const float* keys, uint32_t dim, uint32_t j, v128_t scale) {
  const float *k0 = keys, *k1 = k0 + dim, *k2 = k1 + dim, *k3 = k2 + dim, *q[Queries];
  for (uint32_t i = 0; i < Queries; i++) q[i] = queries[i].q;
  v128_t sum[Queries][4];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
#pragma clang loop unroll_count(4)
  for (uint32_t d = 0; d < dim; d += 4) {
    v128_t key[4] = {wasm_v128_load(k0 + d), wasm_v128_load(k1 + d), wasm_v128_load(k2 + d), wasm_v128_load(k3 + d)};
    for (uint32_t i = 0; i < Queries; i++) {
      v128_t x = wasm_v128_load(q[i] + d);
      for (uint32_t k = 0; k < 4; k++) sum[i][k] = f32x4_muladd(sum[i][k], x, key[k]);
    }
  }
  for (uint32_t i = 0; i < Queries; i++)
    wasm_v128_store(queries[i].scores + j, wasm_f32x4_mul(f32x4_hsum4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]), scale));
}

// Scores of the tile's queries and the keys [low, high), rounded outwards to whole fours: scores of keys that a query does
// not see, or that are not there yet, are replaced before they are used.
void score_block(const Tile& tile, uint32_t low, uint32_t high, float scale) {
  v128_t factor = wasm_f32x4_splat(scale);
  for (uint32_t j = low & ~3u; j < high; j += 4) {
    const Rows rows{tile.keys + j * tile.row_bytes, tile.row_bytes, 4};
    const float* keys = tile.type == KV_F32 ? (const float*)rows.at : tile.key_copy;
    if (tile.type != KV_F32) {
      for (uint32_t d = 0; d < tile.dim; d += STRIP) read_strip(tile.type, rows, d, tile.key_copy + d, tile.dim);
    }
    uint32_t i = 0;
    for (; i + 2 <= tile.count; i += 2) score_four<2>(tile.queries + i, keys, tile.dim, j, factor);
    if (i < tile.count) score_four<1>(tile.queries + i, keys, tile.dim, j, factor);
  }
}

// The online softmax of one query and block: scores become probabilities relative to the new maximum.
INLINE void softmax_block(Query& query, const Exp& exp) {
  uint32_t from = query.low & ~3u, to = (query.high + 3) & ~3u;
  for (uint32_t j = from; j < query.low; j++) query.scores[j] = -__builtin_inff();
  for (uint32_t j = query.high; j < to; j++) query.scores[j] = -__builtin_inff();
  v128_t max = wasm_f32x4_splat(query.max);
  for (uint32_t j = from; j < to; j += 4) max = wasm_f32x4_pmax(max, wasm_v128_load(query.scores + j));
  float new_max = f32x4_hmax(max);
  max = wasm_f32x4_splat(new_max);
  v128_t sum = f32x4_zero();
  for (uint32_t j = from; j < to; j += 4) {
    v128_t probabilities = exp.decay(wasm_f32x4_sub(wasm_v128_load(query.scores + j), max));
    wasm_v128_store(query.scores + j, probabilities);
    sum = wasm_f32x4_add(sum, probabilities);
  }
  query.rescale = wasm_f32x4_extract_lane(exp.decay(wasm_f32x4_splat(query.max - new_max)), 0);
  query.sum = query.sum * query.rescale + f32x4_hsum(sum);
  query.max = new_max;
}

// out[d..d+16) = out * rescale + sum over the keys that the first query sees of probability * value; values [BLOCK][STRIP].
template <uint32_t Queries>
INLINE void add_values_strip(const Query* queries, const float* values, uint32_t d) {
  v128_t sum[Queries][4];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
  uint32_t low = queries[0].low, count = queries[0].high - low;
  const float *value = values + low * STRIP, *p[Queries];
  for (uint32_t i = 0; i < Queries; i++) p[i] = queries[i].scores + low;
#pragma clang loop unroll(disable)
  for (uint32_t j = 0; j < count; j++, value += STRIP)
    for (uint32_t i = 0; i < Queries; i++) {
      v128_t probability = wasm_v128_load32_splat(p[i]++);
      for (uint32_t k = 0; k < 4; k++) sum[i][k] = f32x4_muladd(sum[i][k], probability, wasm_v128_load(value + 4 * k));
    }
  for (uint32_t i = 0; i < Queries; i++) {
    float* out = queries[i].out + d;
    v128_t rescale = wasm_f32x4_splat(queries[i].rescale);
    for (uint32_t k = 0; k < 4; k++)
      wasm_v128_store(out + 4 * k, f32x4_muladd(sum[i][k], wasm_v128_load(out + 4 * k), rescale));
  }
}

// Adds the values of the block's keys [low, high) to the queries' sums. Sixteen dims of them are copied together first:
// rows 512 bytes apart would share few sets of the cache.
void add_values(const Tile& tile, uint32_t low, uint32_t high) {
  uint32_t from = low & ~3u;
  const Rows rows{tile.values + from * tile.row_bytes, tile.row_bytes, ((high + 3) & ~3u) - from};
  for (uint32_t d = 0; d < tile.dim; d += STRIP) {
    read_strip(tile.type, rows, d, tile.value_copy + from * STRIP, STRIP);
    each_hidden(tile.hidden, low, high, [&](uint32_t j) {
      for (uint32_t k = 0; k < STRIP; k++) tile.value_copy[j * STRIP + k] = 0;
    });
    for (uint32_t i = 0; i < tile.count;) {
      const Query* q = tile.queries + i;
      bool two = i + 1 < tile.count && q[1].low == q[0].low && q[1].high == q[0].high;
      if (q[0].low < q[0].high) {
        if (two)
          add_values_strip<2>(q, tile.value_copy, d);
        else
          add_values_strip<1>(q, tile.value_copy, d);
      }
      i += two ? 2 : 1;
    }
  }
}

}  // namespace
