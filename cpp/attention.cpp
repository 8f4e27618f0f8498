// Attention over the rolling cache, tiled, with an online softmax: scores exist for 64 keys at a time.
//
// A tile is the query vectors (row, head of the group) of some rows, about 32. For each block of 64 keys:
//   find     the 64 cached key and value rows; one that no row of the tile sees is replaced by zeros and not read
//   scores   four keys at a time, for all queries: 2 queries x 4 keys over head_dim, lane = dim mod 4
//   softmax  the block's maximum and sum join the query's running ones; keys that a row does not see count as -inf
//   values   sixteen dims at a time, for all queries: 2 queries x 16 dims over the keys that the row sees, first to last
// Nothing in this depends on the tile's other rows, nor on whether a key stood in the ring or in the chunk.
//
// f32 keys of whole sixteens are read where they are. Others, and all values, pass through a small buffer as f32, padded with
// zeros; there, and in the queries and sums, an f16 cache has each eight dims as 0, 2, 4, 6, 1, 3, 5, 7, at no shuffle's cost.
#include "kernels.h"
#include "math.h"
#include "read_ahead.h"

namespace {

constexpr uint32_t BLOCK = 64;         // keys
constexpr uint32_t TILE_QUERIES = 32;  // query vectors of a tile, unless one row's group has more
constexpr uint32_t STRIP = 16;         // dims; head_dim is padded to a multiple with zeros

uint32_t tile_rows(uint32_t group) { return group < TILE_QUERIES ? TILE_QUERIES / group : 1; }
uint32_t padded_dim(uint32_t head_dim) { return (head_dim + STRIP - 1) / STRIP * STRIP; }

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
  uint32_t head_dim, dim;  // dim: padded
  uint32_t type;
  bool direct;             // keys are read where they are
  const uint8_t* keys[BLOCK];
  const uint8_t* values[BLOCK];
  uint8_t* zeros;      // [dim] f32
  float* key_copy;     // [4][dim]
  float* value_copy;   // [BLOCK][STRIP]
};

// The sixteen halves at p in the order of an f16 cache. Adds their magnitudes, doubled, to `largest`; unless `exact` its
// infinities and NaN come out finite.
template <bool exact>
INLINE void convert_halves(const uint8_t* p, float* to, const HalfToFloat& half, v128_t& largest) {
  for (uint32_t i = 0; i < 2; i++, p += 16, to += 8) {
    v128_t pairs = wasm_v128_load(p);
    if (exact) {
      wasm_v128_store(to, f32x4_from_f16(wasm_v128_and(pairs, wasm_i32x4_const_splat(0xffff))));
      wasm_v128_store(to + 4, f32x4_from_f16(wasm_u32x4_shr(pairs, 16)));
    } else {
      wasm_v128_store(to, half(wasm_i32x4_shl(pairs, 16)));
      wasm_v128_store(to + 4, half(pairs));
      largest = wasm_u16x8_max(largest, wasm_i16x8_add(pairs, pairs));
    }
  }
}

// Dims [d, d + 16) of `count` cached rows as f32, to[i * stride].
template <bool exact>
INLINE bool convert_rows(const Tile& tile, const uint8_t* const* rows, uint32_t count, uint32_t d, float* to, uint32_t stride) {
  const HalfToFloat half;
  uint32_t size = tile.type == 1 ? 2 : 4, here = tile.head_dim - d < STRIP ? tile.head_dim - d : STRIP;
  v128_t largest = wasm_i32x4_const_splat(0);
  for (uint32_t i = 0; i < count; i++, to += stride) {
    const uint8_t* from = rows[i] + d * size;
    uint8_t padded[STRIP * sizeof(float)] __attribute__((aligned(16)));
    if (here < STRIP) {
      __builtin_memset(padded, 0, sizeof(padded));
      for (uint32_t b = 0; b < here * size; b++) padded[b] = from[b];
      from = padded;
    }
    if (tile.type == 1) {
      convert_halves<exact>(from, to, half, largest);
    } else {
      for (uint32_t v = 0; v < STRIP; v += 4) wasm_v128_store(to + v, wasm_v128_load(from + 4 * v));
    }
  }
  return !wasm_v128_any_true(wasm_u16x8_ge(largest, wasm_i16x8_const_splat(0xf800)));
}

// The same, exactly in any case; infinities and NaN are rare.
void convert_strip(const Tile& tile, const uint8_t* const* rows, uint32_t count, uint32_t d, float* to, uint32_t stride) {
  if (!convert_rows<false>(tile, rows, count, d, to, stride)) convert_rows<true>(tile, rows, count, d, to, stride);
}

// Dims of a row in the cache's order, between f32 rows: to[i] = from[order(i)], or back.
uint32_t cache_order(uint32_t type, uint32_t i) { return type == 1 ? (i & ~7u) + (i % 4) * 2 + (i & 4) / 4 : i; }

// Finds the keys [low, high) of the block that begins at absolute index `base`, zeros around them.
void find_block(const AttentionArgs& a, Tile& tile, uint32_t base, uint32_t low, uint32_t high) {
  uint32_t size = a.type == 1 ? 2 : 4;
  for (uint32_t j = 0; j < BLOCK; j++) tile.keys[j] = tile.values[j] = tile.zeros;
  for (uint32_t j = low; j < high; j++) {
    uint32_t index = base + j;
    bool ring = index < a.first;
    uint32_t offset = (ring ? index % a.slots * a.head_dim : (index - a.first) * a.chunk_stride) * size;
    tile.keys[j] = (ring ? a.k_ring : a.k_chunk) + offset;
    tile.values[j] = (ring ? a.v_ring : a.v_chunk) + offset;
  }
}

// Reads a word of each cache line of the block's keys and values, which then come from memory together, as two streams; the
// loops below have too many instructions for each line, see read_ahead.h. @returns something to be used, see there
uint32_t fetch_block(const Tile& tile, uint32_t low, uint32_t high) {
  uint32_t bytes = tile.head_dim * (tile.type == 1 ? 2 : 4), seen = 0;
  for (uint32_t j = low; j < high; j++) {
    for (uint32_t b = 0; b + 4 <= bytes; b += CACHE_LINE) {
      seen ^= word_of(tile.keys[j] + b);
      seen ^= word_of(tile.values[j] + b);
    }
  }
  return seen;
}

// q . k of `Queries` adjacent queries and 4 keys, times the scale, to scores[j..j+4).
template <uint32_t Queries>
INLINE void score_four(const Query* queries, const float* const keys[4], uint32_t dim, uint32_t j, v128_t scale) {
  const float *k0 = keys[0], *k1 = keys[1], *k2 = keys[2], *k3 = keys[3], *q[Queries];
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

// Scores of the tile's queries and the keys [low, high), rounded outwards to whole fours.
void score_block(const Tile& tile, uint32_t low, uint32_t high, float scale) {
  v128_t factor = wasm_f32x4_splat(scale);
  for (uint32_t j = low & ~3u; j < high; j += 4) {
    const float* keys[4];
    for (uint32_t k = 0; k < 4; k++) keys[k] = tile.direct ? (const float*)tile.keys[j + k] : tile.key_copy + k * tile.dim;
    if (!tile.direct)
      for (uint32_t d = 0; d < tile.dim; d += STRIP) convert_strip(tile, tile.keys + j, 4, d, tile.key_copy + d, tile.dim);
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
  for (uint32_t d = 0; d < tile.dim; d += STRIP) {
    convert_strip(tile, tile.values + low, high - low, d, tile.value_copy + low * STRIP, STRIP);
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

// The first key that the query at index p sees.
uint32_t first_visible(const AttentionArgs& a, uint32_t p) { return a.window && p >= a.window ? p - a.window + 1 : 0; }

// Makes chunk rows [row0, row1), at most tile_rows(group) of them, the tile's queries.
void load_queries(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1) {
  tile.count = (row1 - row0) * a.group;
  for (uint32_t i = 0; i < tile.count; i++) {
    Query& query = tile.queries[i];
    const float* q = a.q + (row0 + i / a.group) * a.q_stride + i % a.group * a.head_dim;
    for (uint32_t d = 0; d < tile.dim; d++) {
      uint32_t from = cache_order(a.type, d);
      query.q[d] = from < a.head_dim ? q[from] : 0;
      query.out[d] = 0;
    }
    query.max = -__builtin_inff();
    query.sum = 0;
  }
}

// Writes what the queries have summed up, divided by their softmax's sum.
void store_outputs(const AttentionArgs& a, const Tile& tile, uint32_t row0) {
  for (uint32_t i = 0; i < tile.count; i++) {
    const Query& query = tile.queries[i];
    float* out = a.out + (row0 + i / a.group) * a.out_stride + i % a.group * a.head_dim;
    float inverse = 1.0f / query.sum;
    for (uint32_t d = 0; d < tile.dim; d++) {
      uint32_t to = cache_order(a.type, d);
      if (to < a.head_dim) out[to] = query.out[d] * inverse;
    }
  }
}

// Which keys of the block at `base` the query of a chunk row sees.
void see_block(const AttentionArgs& a, Query& query, uint32_t row, uint32_t base) {
  uint32_t p = a.first + row, visible = first_visible(a, p);
  query.low = visible > base ? visible - base : 0;
  query.high = p < base ? 0 : p - base + 1 < BLOCK ? p - base + 1 : BLOCK;
}

// Attention of chunk rows [row0, row1).
void attend_tile(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1) {
  const Exp exp;
  load_queries(a, tile, row0, row1);
  uint32_t begin = first_visible(a, a.first + row0), end = a.first + row1, seen = 0;
  for (uint32_t base = begin / BLOCK * BLOCK; base < end; base += BLOCK) {
    uint32_t low = begin > base ? begin - base : 0, high = end - base < BLOCK ? end - base : BLOCK;
    find_block(a, tile, base, low, high);
    seen ^= fetch_block(tile, low, high);
    score_block(tile, low, high, a.scale);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      see_block(a, query, row0 + i / a.group, base);
      if (query.low < query.high) softmax_block(query, exp);
    }
    add_values(tile, low, high);
  }
  use_word(seen);
  store_outputs(a, tile, row0);
}

// The columns of a score matrix's row: whole blocks.
uint32_t matrix_columns(uint32_t keys) { return (keys + BLOCK - 1) / BLOCK * BLOCK; }

// Calls body(base, low, high, column) for each block of keys that rows [row0, row1) see; `column` is the block's first in
// the matrix, whose columns begin with the first block that the chunk's first row sees.
template <class Body>
void each_block(const AttentionArgs& a, uint32_t row0, uint32_t row1, Body body) {
  uint32_t origin = first_visible(a, a.first + a.row0) / BLOCK * BLOCK;
  uint32_t begin = first_visible(a, a.first + row0), end = a.first + row1;
  for (uint32_t base = begin / BLOCK * BLOCK; base < end; base += BLOCK)
    body(base, begin > base ? begin - base : 0, end - base < BLOCK ? end - base : BLOCK, base - origin);
}

// All scores of chunk rows [row0, row1) into the matrix, -inf where a key is not seen.
void eager_scores(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1, uint32_t columns) {
  load_queries(a, tile, row0, row1);
  each_block(a, row0, row1, [&](uint32_t base, uint32_t low, uint32_t high, uint32_t column) {
    find_block(a, tile, base, low, high);
    score_block(tile, low, high, a.scale);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      see_block(a, query, row0 + i / a.group, base);
      float* row = a.matrix + ((row0 - a.row0) * a.group + i) * columns + column;
      for (uint32_t j = 0; j < BLOCK; j++) row[j] = j >= query.low && j < query.high ? query.scores[j] : -__builtin_inff();
    }
  });
}

// The softmax of a row of the matrix, over columns [from, to), whole blocks.
void eager_softmax(float* row, uint32_t from, uint32_t to) {
  const Exp exp;
  v128_t max = wasm_f32x4_splat(-__builtin_inff());
  for (uint32_t j = from; j < to; j += 4) max = wasm_f32x4_pmax(max, wasm_v128_load(row + j));
  max = wasm_f32x4_splat(f32x4_hmax(max));
  v128_t sum = f32x4_zero();
  for (uint32_t j = from; j < to; j += 4) {
    v128_t p = exp.decay(wasm_f32x4_sub(wasm_v128_load(row + j), max));
    wasm_v128_store(row + j, p);
    sum = wasm_f32x4_add(sum, p);
  }
  v128_t inverse = wasm_f32x4_splat(1.0f / f32x4_hsum(sum));
  for (uint32_t j = from; j < to; j += 4) wasm_v128_store(row + j, wasm_f32x4_mul(wasm_v128_load(row + j), inverse));
}

// The values weighted by the matrix's rows.
void eager_values(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1, uint32_t columns) {
  load_queries(a, tile, row0, row1);
  each_block(a, row0, row1, [&](uint32_t base, uint32_t low, uint32_t high, uint32_t column) {
    find_block(a, tile, base, low, high);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      see_block(a, query, row0 + i / a.group, base);
      const float* row = a.matrix + ((row0 - a.row0) * a.group + i) * columns + column;
      for (uint32_t j = 0; j < BLOCK; j++) query.scores[j] = row[j];
      query.rescale = query.sum = 1;
    }
    add_values(tile, low, high);
  });
  store_outputs(a, tile, row0);
}

// Takes the next `bytes` of scratch, a multiple of 16.
template <class T>
T* take(uint8_t*& scratch, uint32_t bytes) {
  T* at = (T*)scratch;
  scratch += (bytes + 15) & ~15u;
  return at;
}

}  // namespace

KERNEL void store_kv(const float* src, uint8_t* dst, uint32_t n, uint32_t type) {
  if (type == 0) {
    __builtin_memcpy(dst, src, n * sizeof(float));
    return;
  }
  for (uint32_t c = 0; c < n; c += 4) {
    bool whole = c + 4 <= n;
    v128_t halves = f32x4_to_f16(whole ? wasm_v128_load(src + c) : f32x4_load_part(src + c, n - c));
    halves = wasm_u16x8_narrow_i32x4(halves, halves);
    if (whole)
      wasm_v128_store64_lane(dst + 2 * c, halves, 0);
    else
      __builtin_memcpy(dst + 2 * c, &halves, 2 * (n - c));
  }
}

// The queries, each with q, out [dim] and scores [BLOCK]; zeros [dim]; the buffers for keys [4][dim] and values [BLOCK][STRIP].
KERNEL uint32_t attention_scratch(uint32_t group, uint32_t head_dim) {
  uint32_t queries = tile_rows(group) * group, dim = padded_dim(head_dim);
  uint32_t records = (queries * (uint32_t)sizeof(Query) + 15) & ~15u;
  return records + (queries * (2 * dim + BLOCK) + 5 * dim + BLOCK * STRIP) * (uint32_t)sizeof(float);
}

// Lays out the scratch, then calls body(tile, row0, row1) for the rows, tile by tile.
template <class Body>
INLINE void each_tile(const AttentionArgs& a, Body body) {
  uint32_t rows = tile_rows(a.group), dim = padded_dim(a.head_dim), row_bytes = dim * sizeof(float);
  uint8_t* scratch = a.scratch;
  Tile tile;
  tile.head_dim = a.head_dim;
  tile.dim = dim;
  tile.type = a.type;
  tile.direct = a.type == 0 && dim == a.head_dim;
  tile.queries = take<Query>(scratch, rows * a.group * sizeof(Query));
  for (uint32_t i = 0; i < rows * a.group; i++) {
    tile.queries[i].q = take<float>(scratch, row_bytes);
    tile.queries[i].out = take<float>(scratch, row_bytes);
    tile.queries[i].scores = take<float>(scratch, BLOCK * sizeof(float));
  }
  tile.zeros = take<uint8_t>(scratch, row_bytes);
  __builtin_memset(tile.zeros, 0, row_bytes);
  tile.key_copy = take<float>(scratch, 4 * row_bytes);
  tile.value_copy = take<float>(scratch, BLOCK * STRIP * sizeof(float));
  for (uint32_t row = a.row0; row < a.row1; row += rows) body(tile, row, row + rows < a.row1 ? row + rows : a.row1);
}

KERNEL void attention(const AttentionArgs* args) {
  each_tile(*args, [args](Tile& tile, uint32_t row0, uint32_t row1) { attend_tile(*args, tile, row0, row1); });
}

KERNEL uint32_t attention_matrix(uint32_t group, uint32_t rows, uint32_t keys) {
  // The first block may begin BLOCK - 1 keys before the first that is seen.
  return group * rows * matrix_columns(keys + BLOCK - 1) * (uint32_t)sizeof(float);
}

KERNEL void attention_eager(const AttentionArgs* args) {
  const AttentionArgs& a = *args;
  uint32_t origin = first_visible(a, a.first + a.row0) / BLOCK * BLOCK;
  uint32_t columns = matrix_columns(a.first + a.row1 - origin);
  each_tile(a, [&](Tile& tile, uint32_t row0, uint32_t row1) { eager_scores(a, tile, row0, row1, columns); });
  for (uint32_t i = 0; i < (a.row1 - a.row0) * a.group; i++) {
    uint32_t p = a.first + a.row0 + i / a.group;
    uint32_t from = first_visible(a, p) / BLOCK * BLOCK - origin, to = (p / BLOCK + 1) * BLOCK - origin;
    eager_softmax(a.matrix + i * columns, from, to);
  }
  each_tile(a, [&](Tile& tile, uint32_t row0, uint32_t row1) { eager_values(a, tile, row0, row1, columns); });
}
