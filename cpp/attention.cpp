// Attention over the pages of the cache, tiled, with an online softmax: scores exist for 64 keys at a time.
//
// A tile is the query vectors (row, head of the group) of some rows, about 32. For each page, a block of 64 keys:
//   scores   four keys at a time, for all queries: 2 queries x 4 keys over head_dim, lane = dim mod 4
//   softmax  the block's maximum and sum join the query's running ones; keys that a row does not see count as -inf
//   values   sixteen dims at a time, for all queries: 2 queries x 16 dims over the keys that a row sees, first to last
// Nothing in this depends on the tile's other rows.
//
// f32 keys are read where they are. Others, and all values, pass through a small buffer as f32; there, in the queries and
// in the sums, dims stand in the order in which the cache's type is read (kv_rows.h).
#include "kernels.h"
#include "kv_rows.h"
#include "math.h"
#include "read_ahead.h"

namespace {

constexpr uint32_t BLOCK = KV_PAGE;    // keys
constexpr uint32_t TILE_QUERIES = 32;  // query vectors of a tile, unless one row's group has more

// Probabilities below 2^-80 of the largest so far are 0. The softmax's sum, at least 1, does not show them; a sum of
// values could, but only in a dim where those of all heavier keys are 2^-56 of theirs. Their products with small values
// would be subnormal, which costs processors dozens of cycles each: with most of 4096 keys down there a query took 1.8
// times as long (Zen 4).
constexpr float NEGLIGIBLE = -55.4518f;  // ln 2^-80

uint32_t tile_rows(uint32_t group) { return group < TILE_QUERIES ? TILE_QUERIES / group : 1; }

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
  uint32_t dim;          // padded
  uint32_t type, row_bytes;
  const uint8_t* keys;   // [BLOCK] rows of the block's page
  const uint8_t* values;
  uint64_t hidden;       // bit i: key i of the block is hidden
  float* key_copy;       // [4][dim], unless keys are f32
  float* value_copy;     // [BLOCK][STRIP]
};

// Finds the page of the block that begins at absolute index `base`.
void find_block(const AttentionArgs& a, Tile& tile, uint32_t base) {
  uint32_t index = base / BLOCK - a.first_block, page = a.pages[index] * a.page_bytes;
  tile.keys = a.keys + page;
  tile.values = a.values + page;
  tile.hidden = a.hidden ? a.hidden[index] : 0;
}

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

// The bits of keys [low, high), low < high.
INLINE uint64_t key_range(uint32_t low, uint32_t high) { return ~0ull >> (64 - (high - low)) << low; }

// Calls body for each hidden key of [low, high).
template <class Body>
INLINE void each_hidden(uint64_t hidden, uint32_t low, uint32_t high, Body body) {
  if (hidden == 0 || low >= high) return;
  for (uint64_t left = hidden & key_range(low, high); left; left &= left - 1) body((uint32_t)__builtin_ctzll(left));
}

// Takes hidden keys from what a query sees of a block: their scores become -inf, and of a block without others it sees none.
INLINE void hide_keys(Query& query, uint64_t hidden) {
  each_hidden(hidden, query.low, query.high, [&](uint32_t j) { query.scores[j] = -__builtin_inff(); });
  if (query.low < query.high && (key_range(query.low, query.high) & ~hidden) == 0) query.high = query.low;
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

// The first key that the query at index p sees.
uint32_t first_visible(const AttentionArgs& a, uint32_t p) { return a.window && p >= a.window ? p - a.window + 1 : 0; }

// Makes chunk rows [row0, row1), at most tile_rows(group) of them, the tile's queries.
void load_queries(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1) {
  tile.count = (row1 - row0) * a.group;
  for (uint32_t i = 0; i < tile.count; i++) {
    Query& query = tile.queries[i];
    const float* q = a.rotated + (row0 + i / a.group) * a.q_stride + i % a.group * a.head_dim;
    for (uint32_t d = 0; d < tile.dim; d++) {
      uint32_t from = dim_at(a.type, d);
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
    float* out = a.out + (row0 + i / a.group) * a.q_stride + i % a.group * a.head_dim;
    float inverse = query.sum == 0 ? 0 : 1.0f / query.sum;
    for (uint32_t d = 0; d < tile.dim; d++) {
      uint32_t to = dim_at(a.type, d);
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
  const Exp exp{.least = constant_f32(NEGLIGIBLE)};
  load_queries(a, tile, row0, row1);
  uint32_t begin = first_visible(a, a.first + row0), end = a.first + row1, seen = 0;
  for (uint32_t base = begin / BLOCK * BLOCK; base < end; base += BLOCK) {
    uint32_t low = begin > base ? begin - base : 0, high = end - base < BLOCK ? end - base : BLOCK;
    find_block(a, tile, base);
    seen ^= fetch_block(tile, low, high);
    score_block(tile, low, high, a.scale);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      see_block(a, query, row0 + i / a.group, base);
      if (tile.hidden) hide_keys(query, tile.hidden);
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
// the matrix, whose columns begin with the first block that row0 sees.
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
    find_block(a, tile, base);
    score_block(tile, low, high, a.scale);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      see_block(a, query, row0 + i / a.group, base);
      if (tile.hidden) hide_keys(query, tile.hidden);
      float* row = a.matrix + ((row0 - a.row0) * a.group + i) * columns + column;
      for (uint32_t j = 0; j < BLOCK; j++) row[j] = j >= query.low && j < query.high ? query.scores[j] : -__builtin_inff();
    }
  });
}

// The softmax of a row of the matrix, over columns [from, to), whole blocks; the others have no scores.
// `hides`: all of them may be hidden, which gives 0.
void eager_softmax(float* row, uint32_t from, uint32_t to, uint32_t columns, bool hides) {
  const Exp exp{.least = constant_f32(NEGLIGIBLE)};
  v128_t max = wasm_f32x4_splat(-__builtin_inff());
  for (uint32_t j = from; j < to; j += 4) max = wasm_f32x4_pmax(max, wasm_v128_load(row + j));
  max = wasm_f32x4_splat(f32x4_hmax(max));
  bool none = hides;
  for (uint32_t j = from; none && j < to; j++) none = row[j] == -__builtin_inff();
  if (none) max = f32x4_zero();
  v128_t sum = f32x4_zero();
  for (uint32_t j = from; j < to; j += 4) {
    v128_t p = exp.decay(wasm_f32x4_sub(wasm_v128_load(row + j), max));
    wasm_v128_store(row + j, p);
    sum = wasm_f32x4_add(sum, p);
  }
  v128_t inverse = wasm_f32x4_splat(none ? 0 : 1.0f / f32x4_hsum(sum));
  for (uint32_t j = from; j < to; j += 4) wasm_v128_store(row + j, wasm_f32x4_mul(wasm_v128_load(row + j), inverse));
  for (uint32_t j = 0; j < from; j++) row[j] = 0;
  for (uint32_t j = to; j < columns; j++) row[j] = 0;
}

// The values weighted by the matrix's rows.
void eager_values(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1, uint32_t columns) {
  load_queries(a, tile, row0, row1);
  each_block(a, row0, row1, [&](uint32_t base, uint32_t low, uint32_t high, uint32_t column) {
    find_block(a, tile, base);
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

// The queries, each with q, out [dim] and scores [BLOCK]; the buffers for keys [4][dim] and values [BLOCK][STRIP].
KERNEL uint32_t attention_scratch(uint32_t group, uint32_t head_dim) {
  uint32_t queries = tile_rows(group) * group, dim = padded_dim(head_dim);
  uint32_t records = (queries * (uint32_t)sizeof(Query) + 15) & ~15u;
  return records + (queries * (2 * dim + BLOCK) + 4 * dim + BLOCK * STRIP) * (uint32_t)sizeof(float);
}

// Lays out the scratch, then calls body(tile, row0, row1) for the rows, tile by tile.
template <class Body>
INLINE void each_tile(const AttentionArgs& a, Body body) {
  uint32_t rows = tile_rows(a.group), dim = padded_dim(a.head_dim), dim_bytes = dim * sizeof(float);
  uint8_t* scratch = a.scratch;
  Tile tile;
  tile.dim = dim;
  tile.type = a.type;
  tile.row_bytes = kv_row_bytes(a.head_dim, a.type);
  tile.queries = take<Query>(scratch, rows * a.group * sizeof(Query));
  for (uint32_t i = 0; i < rows * a.group; i++) {
    tile.queries[i].q = take<float>(scratch, dim_bytes);
    tile.queries[i].out = take<float>(scratch, dim_bytes);
    tile.queries[i].scores = take<float>(scratch, BLOCK * sizeof(float));
  }
  tile.key_copy = take<float>(scratch, 4 * dim_bytes);
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
    eager_softmax(a.matrix + i * columns, from, to, columns, a.hidden != nullptr);
  }
  each_tile(a, [&](Tile& tile, uint32_t row0, uint32_t row1) { eager_values(a, tile, row0, row1, columns); });
}
