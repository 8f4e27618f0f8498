// The loops of ../attention.cpp on the host's wide vectors. For scores a key stands in each lane, so that its four sums are those
// of ../attention_loops.h; of the values' sums, whose dims have nothing to do with each other, as many as fit.
#pragma once
#include "../attention_tile.h"
#include "../read_ahead.h"
#include "wide_math.h"

namespace {

using wide::floats;
using BlockExp = WideExp;

constexpr uint32_t KEYS = 8;                  // whose scores are computed at once
constexpr uint32_t PAIR = 2 * wide::L;        // of vectors of keys, L in each
constexpr uint32_t KEY_COPIES = PAIR + KEYS;  // a pair in lanes; where keys are not f32, in rows
constexpr uint32_t COPY_ALIGNMENT = 64;       // a load that crosses lines is two
constexpr uint32_t VECTOR = 4 * wide::L, STRIP_VECTORS = STRIP / VECTOR;

uint32_t fetch_block(const Tile&, uint32_t, uint32_t) { return 0; }

// Asks for some rows' keys or values of the next block, if there is one, which come while this one is worked on.
INLINE void fetch_next(const Tile& tile, const uint8_t* at, uint32_t row, uint32_t rows) {
  if (!at) return;
  for (uint32_t b = row * tile.row_bytes; b < (row + rows) * tile.row_bytes; b += CACHE_LINE) {
    __builtin_prefetch(at + b, 0, 2);
  }
}

// Each lane's four floats added in the one order, f32x4_hsum's, times the scale: of each of some queries the scores of L keys.
template <uint32_t Queries>
INLINE void store_scores(const Query* queries, uint32_t j, const floats sum[Queries], v128_t scale) {
#ifdef WIDE_AVX512
  // Queries' sums side by side first, for up to four.
  const __m512 a = (__m512)sum[0], b = (__m512)sum[Queries > 1], c = (__m512)sum[Queries / 2], d = (__m512)sum[Queries - 1];
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_ps(c, d, 0x44), _mm512_shuffle_ps(c, d, 0xee));
  const __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x88), _mm512_shuffle_ps(ab, cd, 0xdd));
  const __m512i keys = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const floats scores = (floats)_mm512_permutexvar_ps(keys, all) * wide::broadcast_floats(scale);
#pragma unroll
  for (uint32_t i = 0; i < Queries; i++) wasm_v128_store(queries[i].scores + j, wide::lane_of(scores, i));
#else
  for (uint32_t i = 0; i < Queries; i++) {
    const v128_t first = wide::lane_of(sum[i], 0), last = wide::lane_of(sum[i], wide::L - 1);
    const v128_t scores = wasm_f32x4_mul(f32x4_hsum4(first, last, first, last), scale);
    if (wide::L == 2) wasm_v128_store64_lane(queries[i].scores + j, scores, 0);
    else wasm_v128_store32_lane(queries[i].scores + j, scores, 0);
  }
#endif
}

// q . k of some adjacent queries and a pair's keys, times the scale, to scores[j..j + PAIR). keys(d, i) gives dims d..d+3 of the
// keys of vector i.
template <uint32_t Queries, class Keys>
INLINE void score_pair(const Query* queries, uint32_t dim, uint32_t j, v128_t scale, Keys keys) {
  const float* q[Queries];
  for (uint32_t i = 0; i < Queries; i++) q[i] = queries[i].q;
  floats sum[2][Queries] = {};
  for (uint32_t d = 0; d < dim; d += 4) {
    const floats first = keys(d, 0), second = keys(d, 1);
#pragma unroll
    for (uint32_t i = 0; i < Queries; i++) {
      const floats x = wide::broadcast_floats(wasm_v128_load(q[i] + d));
      sum[0][i] = sum[0][i] + x * first;
      sum[1][i] = sum[1][i] + x * second;
    }
  }
  for (uint32_t v = 0; v < 2; v++) store_scores<Queries>(queries, j + v * wide::L, sum[v], scale);
}

// Scores of the tile's queries and a pair's keys, whose rows are `apart` floats apart. What more than four queries meet is
// put in lanes once, in `lanes`.
INLINE void score_keys(const Tile& tile, const float* rows, uint32_t apart, uint32_t j, v128_t scale, float* lanes) {
  const auto in_rows = [&](uint32_t d, uint32_t v) INLINED { return wide::load_lanes(rows + v * wide::L * apart + d, apart); };
  const auto in_lanes = [&](uint32_t d, uint32_t v) INLINED { return wide::load_floats(lanes + (d / 2 + v) * VECTOR); };
  const Query* q = tile.queries;
  if (tile.count == 4) return score_pair<4>(q, tile.dim, j, scale, in_rows);
  for (uint32_t d = 0; d < tile.dim; d += 4) {
    for (uint32_t v = 0; v < 2; v++) wide::store_floats(lanes + (d / 2 + v) * VECTOR, in_rows(d, v));
  }
  uint32_t i = 0;
  for (; i + 4 <= tile.count; i += 4) score_pair<4>(q + i, tile.dim, j, scale, in_lanes);
  for (; i < tile.count; i++) score_pair<1>(q + i, tile.dim, j, scale, in_lanes);
}

void score_block(const Tile& tile, uint32_t low, uint32_t high, float scale) {
  const v128_t factor = wasm_f32x4_splat(scale);
  float *lanes = tile.key_copy, *copies = tile.key_copy + PAIR * tile.dim;
  for (uint32_t j = low & ~(KEYS - 1); j < high; j += KEYS) {
    const Rows rows{tile.keys + j * tile.row_bytes, tile.row_bytes, KEYS};
    const bool in_place = tile.type == KV_F32;
    for (uint32_t d = 0; !in_place && d < tile.dim; d += STRIP) read_strip(tile.type, rows, d, copies + d, tile.dim);
    const float* keys = in_place ? reinterpret_cast<const float*>(rows.at) : copies;
    const uint32_t apart = in_place ? tile.row_bytes / sizeof(float) : tile.dim;
    fetch_next(tile, tile.next_keys, j, KEYS);
    for (uint32_t k = 0; k < KEYS; k += PAIR) score_keys(tile, keys + k * apart, apart, j + k, factor, lanes);
  }
}

INLINE void softmax_block(Query& query, const BlockExp& exp) {
  const uint32_t from = query.low & ~(VECTOR - 1), to = (query.high + VECTOR - 1) & ~(VECTOR - 1);
  for (uint32_t j = from; j < query.low; j++) query.scores[j] = -__builtin_inff();
  for (uint32_t j = query.high; j < to; j++) query.scores[j] = -__builtin_inff();
  v128_t max = wasm_f32x4_splat(query.max);
  for (uint32_t j = from; j < to; j += 4) max = wasm_f32x4_pmax(max, wasm_v128_load(query.scores + j));
  const float new_max = f32x4_hmax(max);
  const floats largest = wide::splat(new_max);
  v128_t sum = f32x4_zero();
  for (uint32_t j = from; j < to; j += VECTOR) {
    const floats p = exp.decay(wide::load_floats(query.scores + j) - largest);
    wide::store_floats(query.scores + j, p);
#pragma unroll
    for (int lane = 0; lane < wide::L; lane++) sum = wasm_f32x4_add(sum, wide::lane_of(p, lane));
  }
  query.rescale = exp.decay(wide::splat(query.max - new_max))[0];
  query.sum = query.sum * query.rescale + f32x4_hsum(sum);
  query.max = new_max;
}

// out[d..d+16) = out * rescale + sum over the keys that the first query sees of probability * value. Values of a
// key are `apart` floats from the next one's.
template <uint32_t Queries>
INLINE void add_values_strip(const Query* queries, const float* values, uint32_t apart, uint32_t d) {
  floats sum[Queries][STRIP_VECTORS] = {};
  const uint32_t low = queries[0].low, high = queries[0].high;
  const float* p[Queries];
  for (uint32_t i = 0; i < Queries; i++) p[i] = queries[i].scores;
  for (uint32_t j = low; j < high; j++) {
    floats value[STRIP_VECTORS];
    for (uint32_t k = 0; k < STRIP_VECTORS; k++) value[k] = wide::load_floats(values + j * apart + VECTOR * k);
#pragma unroll
    for (uint32_t i = 0; i < Queries; i++) {
      const floats probability = wide::splat(p[i][j]);
#pragma unroll
      for (uint32_t k = 0; k < STRIP_VECTORS; k++) sum[i][k] = sum[i][k] + probability * value[k];
    }
  }
  for (uint32_t i = 0; i < Queries; i++) {
    const floats rescale = wide::splat(queries[i].rescale);
    for (uint32_t k = 0; k < STRIP_VECTORS; k++) {
      float* out = queries[i].out + d + VECTOR * k;
      wide::store_floats(out, sum[i][k] + wide::load_floats(out) * rescale);
    }
  }
}

// As many queries at a time as see the same keys, and have registers for their sums.
template <uint32_t Queries>
INLINE void add_values_of(const Query* q, uint32_t count, const float* values, uint32_t apart, uint32_t d) {
  for (; count >= Queries; count -= Queries, q += Queries) add_values_strip<Queries>(q, values, apart, d);
  if constexpr (Queries > 1) add_values_of<Queries / 2>(q, count, values, apart, d);
}

// Few queries meet f32 values where they are; more would meet rows that share few sets of the cache.
void add_values(const Tile& tile, uint32_t low, uint32_t high) {
  const uint32_t from = low & ~3u;
  const Rows rows{tile.values + from * tile.row_bytes, tile.row_bytes, ((high + 3) & ~3u) - from};
  const bool in_place = tile.type == KV_F32 && tile.hidden == 0 && tile.count <= 2 * wide::L;
  const uint32_t apart = in_place ? tile.row_bytes / sizeof(float) : STRIP;
  for (uint32_t d = 0; d < tile.dim; d += STRIP) {
    fetch_next(tile, tile.next_values, d * BLOCK / tile.dim, STRIP * BLOCK / tile.dim);
    const float* values = in_place ? reinterpret_cast<const float*>(tile.values) + d : tile.value_copy;
    if (!in_place) {
      read_strip(tile.type, rows, d, tile.value_copy + from * STRIP, STRIP);
      each_hidden(tile.hidden, low, high, [&](uint32_t j) {
        for (uint32_t k = 0; k < STRIP; k++) tile.value_copy[j * STRIP + k] = 0;
      });
    }
    for (uint32_t i = 0; i < tile.count;) {
      const Query* q = tile.queries + i;
      uint32_t alike = 1;
      while (i + alike < tile.count && q[alike].low == q[0].low && q[alike].high == q[0].high) alike++;
      if (q[0].low < q[0].high) add_values_of<2 * wide::L>(q, alike, values, apart, d);
      i += alike;
    }
  }
}

}  // namespace
