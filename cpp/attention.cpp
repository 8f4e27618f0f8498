// Attention over the pages of the cache, tiled, with an online softmax: scores exist for 64 keys at a time.
//
// A tile is the query vectors (row, head of the group) of some rows, about 32. For each page, a block of 64 keys:
//   scores   some keys at a time, for all queries: sums over head_dim of dims 0, 1, 2 and 3 mod 4, then of the four
//   softmax  the block's maximum and sum join the query's running ones; keys that a row does not see count as -inf
//   values   sixteen dims at a time, for all queries, over the keys that a row sees, first to last
// Nothing in this depends on the tile's other rows. These loops are attention_loops.h's, or native/wide_attention.h's.
//
// f32 keys are read where they are. Others, and all values, pass through a small buffer as f32; there, in the queries and
// in the sums, dims stand in the order in which the cache's type is read (kv_rows.h).
#include "attention_tile.h"
#include "kernels.h"
#include "kv_rows.h"
#include "math.h"
#include "read_ahead.h"
#ifdef __wasm__
#include "attention_loops.h"
#else
#include "native/wide_attention.h"
#endif

namespace {

constexpr uint32_t TILE_QUERIES = 32;  // query vectors of a tile, unless one row's group has more

// Probabilities below 2^-80 of the largest so far are 0. The softmax's sum, at least 1, does not show them; a sum of
// values could, but only in a dim where those of all heavier keys are 2^-56 of theirs. Their products with small values
// would be subnormal, which costs processors dozens of cycles each: with most of 4096 keys down there a query took 1.8
// times as long (Zen 4).
constexpr float NEGLIGIBLE = -55.4518f;  // ln 2^-80

uint32_t tile_rows(uint32_t group) { return group < TILE_QUERIES ? TILE_QUERIES / group : 1; }

// Finds the page of the block that begins at absolute index `base`, and of the next one if that begins below `end`.
void find_block(const AttentionArgs& a, Tile& tile, uint32_t base, uint32_t end) {
  uint32_t index = base / BLOCK - a.first_block, page = a.pages[index] * a.page_bytes;
  tile.keys = a.keys + page;
  tile.values = a.values + page;
  tile.hidden = a.hidden ? a.hidden[index] : 0;
  const bool goes_on = end - base > BLOCK;
  tile.next_keys = goes_on ? a.keys + a.pages[index + 1] * a.page_bytes : nullptr;
  tile.next_values = goes_on ? a.values + a.pages[index + 1] * a.page_bytes : nullptr;
}

// Takes hidden keys from what a query sees of a block: their scores become -inf, and of a block without others it sees none.
INLINE void hide_keys(Query& query, uint64_t hidden) {
  each_hidden(hidden, query.low, query.high, [&](uint32_t j) { query.scores[j] = -__builtin_inff(); });
  if (query.low < query.high && (key_range(query.low, query.high) & ~hidden) == 0) query.high = query.low;
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
  const BlockExp exp(Exp{.least = constant_f32(NEGLIGIBLE)});
  load_queries(a, tile, row0, row1);
  uint32_t begin = first_visible(a, a.first + row0), end = a.first + row1, seen = 0;
  for (uint32_t base = begin / BLOCK * BLOCK; base < end; base += BLOCK) {
    uint32_t low = begin > base ? begin - base : 0, high = end - base < BLOCK ? end - base : BLOCK;
    find_block(a, tile, base, end);
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
    find_block(a, tile, base, base);
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
    find_block(a, tile, base, base);
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

// Takes the next `bytes` of scratch, at a multiple of `alignment`.
template <class T>
T* take(uint8_t*& scratch, uint32_t bytes, uint32_t alignment = 16) {
  scratch += -reinterpret_cast<uintptr_t>(scratch) & (alignment - 1);
  T* at = (T*)scratch;
  scratch += bytes;
  return at;
}

}  // namespace

// The queries, each with q, out [dim] and scores [BLOCK]; the buffers for keys [KEY_COPIES][dim] and values [BLOCK][STRIP].
KERNEL uint32_t attention_scratch(uint32_t group, uint32_t head_dim) {
  uint32_t queries = tile_rows(group) * group, dim = padded_dim(head_dim);
  uint32_t records = (queries * (uint32_t)sizeof(Query) + 15) & ~15u;
  return records + (queries * (2 * dim + BLOCK) + KEY_COPIES * dim + BLOCK * STRIP) * (uint32_t)sizeof(float) +
         COPY_ALIGNMENT - 16;
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
  tile.key_copy = take<float>(scratch, KEY_COPIES * dim_bytes, COPY_ALIGNMENT);
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
