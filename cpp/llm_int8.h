// LLM.int8, as bitsandbytes multiplies: rows of int8 weights with a scale each meet rows of activations rounded to f16 and
// quantized to int8 with a scale each, but for outliers: values of a threshold or more, which stay as they are and meet
// dequantized weights. Here a row's outliers are its own; the library takes a column out for all rows of a product.
//
// A row of weights is its f32 scale (SCB, the row's largest) and `cols` codes: a weight is code * scale / 127.
// A packed row of activations is codes in i16, padded with zeros to a multiple of 16; then its Int8Row; then room for as
// many outliers as there are columns. Of a tile the codes are vectors of 8 columns, each with the four tokens' side by side.
#pragma once
#include <string.h>

#include "f32x4.h"
#include "kernels.h"
#include "pack_f32.h"
#include "read_ahead.h"

namespace int8 {

enum Kind : uint32_t { VEC_ROW = 20, TILE_ROW = 21 };

struct Row {
  float scale;  // the largest of what is no outlier
  uint32_t outliers;
  uint32_t unused[2];
};
struct Outlier {
  uint32_t column;
  float x;
};

inline constexpr uint32_t TILE = 4;
// The library's 1 / 127^2, which is 1.8e-5 more than that, and its 1 / 127.
inline constexpr float PRODUCT_SCALE = 6.200124e-05f, WEIGHT_SCALE = 7.874015718698502e-3f;

INLINE uint32_t padded(uint32_t cols) { return (cols + 15) / 16 * 16; }
INLINE uint32_t token_bytes(uint32_t cols) {
  return padded(cols) * (sizeof(int16_t) + sizeof(Outlier)) + sizeof(Row);
}

// `tokens` rows that are packed together: 1, or 4 of a tile.
struct Packed {
  uint8_t* at;
  uint32_t cols, tokens;

  INLINE v128_t* codes(uint32_t token) const { return reinterpret_cast<v128_t*>(at) + token; }  // every tokens-th vector
  INLINE Row& row(uint32_t token) const {
    return reinterpret_cast<Row*>(at + tokens * padded(cols) * sizeof(int16_t))[token];
  }
  INLINE Outlier* outliers(uint32_t token) const {
    uint8_t* all = at + tokens * (padded(cols) * sizeof(int16_t) + sizeof(Row));
    return reinterpret_cast<Outlier*>(all) + token * padded(cols);
  }
};

inline uint32_t packed_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  return (kind == VEC_ROW ? tokens : (tokens + TILE - 1) / TILE * TILE) * token_bytes(cols);
}

// x rounded to f16, four at a time; `outlier` has all bits set where the threshold is reached. NaN is no outlier.
INLINE v128_t rounded(v128_t x, float threshold, v128_t& outlier) {
  const v128_t half = f32x4_from_f16(f32x4_to_f16(x));
  outlier = wasm_f32x4_ge(wasm_f32x4_abs(half), wasm_f32x4_splat(threshold > 0 ? threshold : __builtin_inff()));
  if (!(threshold > 0)) outlier = wasm_i32x4_const_splat(0);
  return half;
}

// A NaN, or without a threshold what f16 has no room for, makes the row's scale NaN or infinite and its products NaN.
inline void pack_row(const float* x, float threshold, const Packed& out, uint32_t token) {
  const uint32_t cols = out.cols;
  v128_t largest = f32x4_zero(), any = f32x4_zero();
  f32x4_columns(cols, [&](uint32_t c, auto load, auto) {
    v128_t outlier, half = rounded(load(x + c), threshold, outlier);
    largest = wasm_f32x4_max(largest, wasm_v128_andnot(wasm_f32x4_abs(half), outlier));
    any = wasm_v128_or(any, outlier);
  });
  float lanes[4];
  wasm_v128_store(lanes, largest);
  float scale = lanes[0];
  for (int i = 1; i < 4; i++) scale = lanes[i] > scale || lanes[i] != lanes[i] ? lanes[i] : scale;
  const v128_t factor = wasm_f32x4_splat(scale == 0 ? 0 : 1 / scale * 127);
  Row& row = out.row(token);
  row = {scale, 0, {}};
  if (wasm_v128_any_true(any)) {
    Outlier* next = out.outliers(token);
    for (uint32_t c = 0; c < cols; c++) {
      v128_t outlier;
      rounded(wasm_f32x4_splat(x[c]), threshold, outlier);
      if (wasm_i32x4_extract_lane(outlier, 0)) *next++ = {c, x[c]};
    }
    row.outliers = next - out.outliers(token);
  }
  v128_t* codes = out.codes(token);
  for (uint32_t c = 0; c < padded(cols); c += 8, codes += out.tokens) {
    v128_t q[2];
    for (uint32_t i = 0; i < 2; i++) {
      const uint32_t at = c + 4 * i, left = at < cols ? cols - at : 0;
      v128_t outlier, half = rounded(left >= 4 ? wasm_v128_load(x + at) : f32x4_load_part(x + at, left), threshold, outlier);
      q[i] = wasm_v128_andnot(wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(half, factor))), outlier);
    }
    *codes = wasm_i16x8_narrow_i32x4(q[0], q[1]);
  }
}

inline void pack(const PackArgs& args) {
  const bool tiled = args.kind == TILE_ROW;
  const uint32_t end = tiled ? (args.to + TILE - 1) / TILE * TILE : args.to, together = tiled ? TILE : 1;
  for (uint32_t token = args.from; token < end; token++) {
    const Packed packed = {args.dst + token / together * together * token_bytes(args.cols), args.cols, together};
    const uint32_t place = token % together;
    if (token < args.tokens) {
      pack_row(args.x + token * args.stride, args.threshold, packed, place);
      continue;
    }
    packed.row(place) = {};
    for (uint32_t c = 0; c < padded(args.cols) / 8; c++) packed.codes(place)[c * TILE] = f32x4_zero();
  }
}

// What a row of weights and a token come to, from the sum of the products of their codes.
INLINE float finish(const uint8_t* w, int32_t dot, const Packed& x, uint32_t token) {
  float scale;
  memcpy(&scale, w, 4);
  const Row& row = x.row(token);
  const float product = static_cast<float>(dot) * (row.scale * scale) * PRODUCT_SCALE;
  if (row.outliers == 0) return product;
  const int8_t* codes = reinterpret_cast<const int8_t*>(w + 4);
  const Outlier* outliers = x.outliers(token);
  float sum = 0;
  for (uint32_t i = 0; i < row.outliers; i++) {
    sum += outliers[i].x * (static_cast<float>(codes[outliers[i].column]) * scale * WEIGHT_SCALE);
  }
  return product + sum;
}

INLINE int32_t sum_lanes(v128_t v) {
  return wasm_i32x4_extract_lane(v, 0) + wasm_i32x4_extract_lane(v, 1) + wasm_i32x4_extract_lane(v, 2) +
         wasm_i32x4_extract_lane(v, 3);
}

// Adds 16 columns of a row.
INLINE v128_t add_columns(v128_t sum, const uint8_t* w, const v128_t* x) {
  sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(w), x[0]));
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_load8x8(w + 8), x[1]));
}

// One token and Rows rows, `distance` bytes apart.
template <uint32_t Rows, bool ahead>
INLINE void multiply_rows(const uint8_t* w, uint32_t distance, const Packed& x, float* out, uint32_t out_distance,
                          ReadAhead<Rows, ahead>& read_ahead) {
  v128_t sum[Rows] = {};
  const v128_t* codes = x.codes(0);
  const uint8_t* at = w + 4;
  for (uint32_t left = x.cols / 16; left > 0;) {
    const uint32_t burst = ReadAhead<Rows>::BURST / 16, steps = left < burst ? left : burst;
    read_ahead(at);
    left -= steps;
    for (uint32_t s = 0; s < steps; s++, at += 16, codes += 2) {
      for (uint32_t r = 0; r < Rows; r++) sum[r] = add_columns(sum[r], at + r * distance, codes);
    }
  }
  if (const uint32_t rest = x.cols % 16) {
    for (uint32_t r = 0; r < Rows; r++) {
      uint8_t last[16] = {};
      memcpy(last, at + r * distance, rest);
      sum[r] = add_columns(sum[r], last, codes);
    }
  }
  for (uint32_t r = 0; r < Rows; r++) out[r * out_distance] = finish(w + r * distance, sum_lanes(sum[r]), x, 0);
}

template <bool ahead>
SEPARATE void multiply_token(const uint8_t* w, const Packed& x, float* out, uint32_t rows) {
  const uint32_t bytes = 4 + x.cols, quarter = rows / 4, distance = quarter * bytes;
  ReadAhead<4, ahead> four(w, distance, distance);
  for (uint32_t r = 0; r < quarter; r++) multiply_rows<4, ahead>(w + r * bytes, distance, x, out + r, quarter, four);
  four.finish();
  ReadAhead<1, false> one(w, 0, 0);
  for (uint32_t r = 4 * quarter; r < rows; r++) multiply_rows<1, false>(w + r * bytes, 0, x, out + r, 0, one);
}

INLINE void matvec(const ProductArgs& args) {
  for (uint32_t t = 0; t < args.tokens; t++) {
    const Packed x = {const_cast<uint8_t*>(args.x) + t * token_bytes(args.cols), args.cols, 1};
    float* out = args.out + t * args.out_stride;
    if (args.read_ahead) multiply_token<true>(args.w, x, out, args.rows);
    else multiply_token<false>(args.w, x, out, args.rows);
  }
}

// The panel: for each pair of rows, vector after vector, the two rows' codes in i16. A missing second row is zero.
inline void unpack_panel(const uint8_t* w, uint32_t cols, uint32_t rows, v128_t* panel) {
  const uint32_t vectors = padded(cols) / 8;
  auto place = [&](uint32_t r) { return panel + r / 2 * vectors * 2 + r % 2; };
  for (uint32_t r = 0; r < rows; r++, w += 4 + cols) {
    v128_t* to = place(r);
    const uint8_t* codes = w + 4;
    for (uint32_t v = 0; v < cols / 8; v++) to[2 * v] = wasm_i16x8_load8x8(codes + 8 * v);
    for (uint32_t v = cols / 8; v < vectors; v++) {
      uint8_t last[8] = {};
      for (uint32_t c = 8 * v; c < cols; c++) last[c - 8 * v] = codes[c];
      to[2 * v] = wasm_i16x8_load8x8(last);
    }
  }
  if (rows % 2)
    for (uint32_t v = 0; v < vectors; v++) place(rows)[2 * v] = f32x4_zero();
}

// Some vectors of 2 rows and 4 tokens.
INLINE void multiply_tile(const v128_t* w, const v128_t* x, uint32_t vectors, v128_t sums[2][TILE]) {
  v128_t sum[2][TILE];
  for (uint32_t r = 0; r < 2; r++)
    for (uint32_t t = 0; t < TILE; t++) sum[r][t] = sums[r][t];
#pragma clang loop unroll(disable)
  for (uint32_t v = 0; v < vectors; v++, w += 2, x += TILE)
    for (uint32_t t = 0; t < TILE; t++) {
      sum[0][t] = wasm_i32x4_add(sum[0][t], wasm_i32x4_dot_i16x8(w[0], x[t]));
      sum[1][t] = wasm_i32x4_add(sum[1][t], wasm_i32x4_dot_i16x8(w[1], x[t]));
    }
  for (uint32_t r = 0; r < 2; r++)
    for (uint32_t t = 0; t < TILE; t++) sums[r][t] = sum[r][t];
}

inline constexpr uint32_t MOST_PAIRS = 16;  // of f32_panel_rows, whose scratch has room for twice the codes
inline constexpr uint32_t SEGMENT = 256;    // vectors; the tile's 16 KiB of them stay in the first cache

INLINE void matmul(const ProductArgs& args) {
  const uint32_t cols = args.cols, bytes = 4 + cols, vectors = padded(cols) / 8, panel_rows = f32_panel_rows(cols);
  v128_t* panel = reinterpret_cast<v128_t*>(args.scratch);
  v128_t sums[MOST_PAIRS][2][TILE];
  for (uint32_t row = 0; row < args.rows; row += panel_rows) {
    const uint32_t count = args.rows - row < panel_rows ? args.rows - row : panel_rows, pairs = (count + 1) / 2;
    const uint8_t* w = args.w + row * bytes;
    unpack_panel(w, cols, count, panel);
    for (uint32_t token = 0; token < args.tokens; token += TILE) {
      const Packed x = {const_cast<uint8_t*>(args.x) + token * token_bytes(cols), cols, TILE};
      memset(sums, 0, sizeof(sums));
      for (uint32_t v = 0; v < vectors; v += SEGMENT)
        for (uint32_t p = 0; p < pairs; p++)
          multiply_tile(panel + (p * vectors + v) * 2, x.codes(0) + v * TILE, vectors - v < SEGMENT ? vectors - v : SEGMENT,
                        sums[p]);
      for (uint32_t r = 0; r < count; r++)
        for (uint32_t t = 0; t < TILE; t++)
          args.out[(token + t) * args.out_stride + row + r] = finish(w + r * bytes, sum_lanes(sums[r / 2][r % 2][t]), x, t);
    }
  }
}

}  // namespace int8
