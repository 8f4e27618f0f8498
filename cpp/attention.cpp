// Attention over the rolling cache, tiled, with an online softmax: scores exist for 64 keys at a time.
//
// A tile is the query vectors (row, head of the group) of some rows, about 32. For each block of 64 keys:
//   block    64 pointers to f32 key rows and value rows; a key that no row of the tile sees points to zeros and is not read
//   scores   2 queries x 4 keys at a time over head_dim (lane = dim mod 4), what a row does not see becomes -inf
//   softmax  the block's maximum and sum join the query's running ones
//   values   2 queries x 16 dims at a time over the keys that the row sees, from the first to the last
// Nothing in this depends on the tile's other rows, nor on whether a key stood in the ring or in the chunk.
#include "kernels.h"
#include "math.h"

namespace {

constexpr uint32_t BLOCK = 64;          // keys
constexpr uint32_t TILE_QUERIES = 32;   // query vectors of a tile, unless one row's group has more
constexpr uint32_t DIM_STEP = 16;       // head_dim is padded to a multiple with zeros

uint32_t tile_rows(uint32_t group) { return group < TILE_QUERIES ? TILE_QUERIES / group : 1; }
uint32_t padded_dim(uint32_t head_dim) { return (head_dim + DIM_STEP - 1) / DIM_STEP * DIM_STEP; }

// One query vector of the tile.
struct Query {
  const float* q;      // [dim], padded
  float* out;          // [dim], the values' weighted sum so far
  float* scores;       // [BLOCK], then the block's probabilities
  float max, sum;      // of the softmax so far
  float rescale;       // what the block's new maximum makes of the sums so far
  uint32_t low, high;  // the keys of the block that it sees, relative to the block
};

struct Tile {
  Query* queries;
  uint32_t count;
  uint32_t dim;
  const float* keys[BLOCK];
  const float* values[BLOCK];
  float* key_copy;    // [BLOCK][dim], for rows that are not f32 or not padded already
  float* value_copy;  // [BLOCK][dim]
  const float* zeros; // [dim]
};

// Takes the next `bytes` of scratch, a multiple of 16.
template <class T>
T* take(uint8_t*& scratch, uint32_t bytes) {
  T* at = (T*)scratch;
  scratch += (bytes + 15) & ~15u;
  return at;
}

// A cached row as padded f32.
void convert_row(const uint8_t* row, float* to, uint32_t head_dim, uint32_t dim, uint32_t type) {
  uint32_t d = 0;
  if (type == 1) {
    for (; d + 4 <= head_dim; d += 4) wasm_v128_store(to + d, f32x4_from_f16(wasm_u32x4_load16x4(row + 2 * d)));
    for (; d < head_dim; d++) {
      uint16_t half = ((const uint16_t*)row)[d];
      to[d] = wasm_f32x4_extract_lane(f32x4_from_f16(wasm_i32x4_splat(half)), 0);
    }
  } else {
    for (; d < head_dim; d++) to[d] = ((const float*)row)[d];
  }
  for (; d < dim; d++) to[d] = 0;
}

// Points at the keys [low, high) of the block that begins at absolute index `base`, zeros around them.
void load_block(const AttentionArgs& a, Tile& tile, uint32_t base, uint32_t low, uint32_t high) {
  uint32_t size = a.type == 1 ? 2 : 4;
  bool direct = a.type == 0 && tile.dim == a.head_dim;
  for (uint32_t j = 0; j < BLOCK; j++) {
    tile.keys[j] = tile.values[j] = tile.zeros;
    if (j < low || j >= high) continue;
    uint32_t index = base + j;
    bool ring = index < a.first;
    uint32_t offset = (ring ? index % a.slots * a.head_dim : (index - a.first) * a.chunk_stride) * size;
    const uint8_t* key = (ring ? a.k_ring : a.k_chunk) + offset;
    const uint8_t* value = (ring ? a.v_ring : a.v_chunk) + offset;
    if (direct) {
      tile.keys[j] = (const float*)key;
      tile.values[j] = (const float*)value;
    } else {
      convert_row(key, tile.key_copy + j * tile.dim, a.head_dim, tile.dim, a.type);
      convert_row(value, tile.value_copy + j * tile.dim, a.head_dim, tile.dim, a.type);
      tile.keys[j] = tile.key_copy + j * tile.dim;
      tile.values[j] = tile.value_copy + j * tile.dim;
    }
  }
}

// q . k of `Queries` adjacent queries and the 4 keys from j on, times the scale.
template <uint32_t Queries>
inline void score_four(const Tile& tile, Query* queries, uint32_t j, v128_t scale) {
  const float *k0 = tile.keys[j], *k1 = tile.keys[j + 1], *k2 = tile.keys[j + 2], *k3 = tile.keys[j + 3];
  v128_t sum[Queries][4];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
#pragma clang loop unroll(disable)
  for (uint32_t d = 0; d < tile.dim; d += 4) {
    v128_t key[4] = {wasm_v128_load(k0 + d), wasm_v128_load(k1 + d), wasm_v128_load(k2 + d), wasm_v128_load(k3 + d)};
    for (uint32_t i = 0; i < Queries; i++) {
      v128_t q = wasm_v128_load(queries[i].q + d);
      for (uint32_t k = 0; k < 4; k++) sum[i][k] = f32x4_muladd(sum[i][k], q, key[k]);
    }
  }
  for (uint32_t i = 0; i < Queries; i++)
    wasm_v128_store(queries[i].scores + j, wasm_f32x4_mul(f32x4_hsum4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]), scale));
}

// Scores of the tile's queries and the keys [low, high), rounded outwards to whole fours. Keys outside, so that four keys
// stay in the first cache for all queries.
void score_block(const Tile& tile, uint32_t low, uint32_t high, float scale) {
  v128_t factor = wasm_f32x4_splat(scale);
  for (uint32_t j = low & ~3u; j < high; j += 4) {
    uint32_t i = 0;
    for (; i + 2 <= tile.count; i += 2) score_four<2>(tile, tile.queries + i, j, factor);
    if (i < tile.count) score_four<1>(tile, tile.queries + i, j, factor);
  }
}

// The online softmax of one query and block: scores become probabilities relative to the new maximum.
void softmax_block(Query& query) {
  v128_t infinite = wasm_f32x4_const_splat(-__builtin_inff());
  v128_t low = wasm_i32x4_splat(query.low), high = wasm_i32x4_splat(query.high);
  uint32_t from = query.low & ~3u;
  v128_t max = wasm_f32x4_splat(query.max);
  for (uint32_t j = from; j < query.high; j += 4) {
    v128_t index = wasm_i32x4_add(wasm_i32x4_splat(j), wasm_i32x4_const(0, 1, 2, 3));
    v128_t seen = wasm_v128_and(wasm_i32x4_ge(index, low), wasm_i32x4_lt(index, high));
    v128_t scores = wasm_v128_bitselect(wasm_v128_load(query.scores + j), infinite, seen);
    wasm_v128_store(query.scores + j, scores);
    max = wasm_f32x4_pmax(max, scores);
  }
  float new_max = f32x4_hmax(max);
  max = wasm_f32x4_splat(new_max);
  v128_t sum = f32x4_zero();
  for (uint32_t j = from; j < query.high; j += 4) {
    v128_t probabilities = exp_f32x4(wasm_f32x4_sub(wasm_v128_load(query.scores + j), max));
    wasm_v128_store(query.scores + j, probabilities);
    sum = wasm_f32x4_add(sum, probabilities);
  }
  query.rescale = exp_f32(query.max - new_max);
  query.sum = query.sum * query.rescale + f32x4_hsum(sum);
  query.max = new_max;
}

// out[d..d+16) = out * rescale + sum over the keys that the first query sees of probability * value.
template <uint32_t Queries>
inline void add_values_sixteen(const Tile& tile, Query* queries, uint32_t d) {
  v128_t sum[Queries][4];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
#pragma clang loop unroll(disable)
  for (uint32_t j = queries[0].low; j < queries[0].high; j++) {
    const float* row = tile.values[j] + d;
    v128_t value[4] = {wasm_v128_load(row), wasm_v128_load(row + 4), wasm_v128_load(row + 8), wasm_v128_load(row + 12)};
    for (uint32_t i = 0; i < Queries; i++) {
      v128_t p = wasm_v128_load32_splat(queries[i].scores + j);
      for (uint32_t k = 0; k < 4; k++) sum[i][k] = f32x4_muladd(sum[i][k], p, value[k]);
    }
  }
  for (uint32_t i = 0; i < Queries; i++) {
    float* out = queries[i].out + d;
    v128_t rescale = wasm_f32x4_splat(queries[i].rescale);
    for (uint32_t k = 0; k < 4; k++)
      wasm_v128_store(out + 4 * k, f32x4_muladd(sum[i][k], wasm_v128_load(out + 4 * k), rescale));
  }
}

// Sixteen dims outside, so that their strip of the values stays in the first cache for all queries.
void add_values(const Tile& tile) {
  for (uint32_t d = 0; d < tile.dim; d += DIM_STEP)
    for (uint32_t i = 0; i < tile.count;) {
      Query* q = tile.queries + i;
      if (q[0].low >= q[0].high) {
        i++;
      } else if (i + 1 < tile.count && q[1].low == q[0].low && q[1].high == q[0].high) {
        add_values_sixteen<2>(tile, q, d);
        i += 2;
      } else {
        add_values_sixteen<1>(tile, q, d);
        i++;
      }
    }
}

// The first key that the query at index p sees.
uint32_t first_visible(const AttentionArgs& a, uint32_t p) { return a.window && p >= a.window ? p - a.window + 1 : 0; }

// Attention of chunk rows [row0, row1), at most tile_rows(group) of them.
void attend_tile(const AttentionArgs& a, Tile& tile, uint32_t row0, uint32_t row1) {
  tile.count = (row1 - row0) * a.group;
  for (uint32_t i = 0; i < tile.count; i++) {
    Query& query = tile.queries[i];
    convert_row((const uint8_t*)(a.q + (row0 + i / a.group) * a.q_stride + i % a.group * a.head_dim), (float*)query.q,
                a.head_dim, tile.dim, 0);
    for (uint32_t d = 0; d < tile.dim; d++) query.out[d] = 0;
    query.max = -__builtin_inff();
    query.sum = 0;
  }

  uint32_t begin = first_visible(a, a.first + row0), end = a.first + row1;
  for (uint32_t base = begin / BLOCK * BLOCK; base < end; base += BLOCK) {
    uint32_t low = begin > base ? begin - base : 0, high = end - base < BLOCK ? end - base : BLOCK;
    load_block(a, tile, base, low, high);
    score_block(tile, low, high, a.scale);
    for (uint32_t i = 0; i < tile.count; i++) {
      Query& query = tile.queries[i];
      uint32_t p = a.first + row0 + i / a.group, visible = first_visible(a, p);
      query.low = visible > base ? visible - base : 0;
      query.high = p < base ? 0 : p - base + 1 < BLOCK ? p - base + 1 : BLOCK;
      if (query.low < query.high) softmax_block(query);
    }
    add_values(tile);
  }

  for (uint32_t i = 0; i < tile.count; i++) {
    const Query& query = tile.queries[i];
    float* out = a.out + (row0 + i / a.group) * a.out_stride + i % a.group * a.head_dim;
    v128_t inverse = wasm_f32x4_splat(1.0f / query.sum);
    f32x4_columns(a.head_dim, [&](uint32_t d, auto, auto store) {
      store(out + d, wasm_f32x4_mul(wasm_v128_load(query.out + d), inverse));
    });
  }
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

// The queries, each with q, out [dim] and scores [BLOCK]; zeros [dim]; the copies of 64 keys and values [dim].
KERNEL uint32_t attention_scratch(uint32_t group, uint32_t head_dim) {
  uint32_t queries = tile_rows(group) * group, dim = padded_dim(head_dim);
  uint32_t records = (queries * (uint32_t)sizeof(Query) + 15) & ~15u;
  return records + (queries * (2 * dim + BLOCK) + dim + 2 * BLOCK * dim) * (uint32_t)sizeof(float);
}

KERNEL void attention(const AttentionArgs* args) {
  const AttentionArgs& a = *args;
  uint32_t rows = tile_rows(a.group), dim = padded_dim(a.head_dim), row_bytes = dim * sizeof(float);
  uint8_t* scratch = a.scratch;
  Tile tile;
  tile.dim = dim;
  tile.queries = take<Query>(scratch, rows * a.group * sizeof(Query));
  for (uint32_t i = 0; i < rows * a.group; i++) {
    tile.queries[i].q = take<float>(scratch, row_bytes);
    tile.queries[i].out = take<float>(scratch, row_bytes);
    tile.queries[i].scores = take<float>(scratch, BLOCK * sizeof(float));
  }
  float* zeros = take<float>(scratch, row_bytes);
  for (uint32_t d = 0; d < dim; d++) zeros[d] = 0;
  tile.zeros = zeros;
  tile.key_copy = take<float>(scratch, BLOCK * row_bytes);
  tile.value_copy = take<float>(scratch, BLOCK * row_bytes);
  for (uint32_t row = a.row0; row < a.row1; row += rows)
    attend_tile(a, tile, row, row + rows < a.row1 ? row + rows : a.row1);
}
