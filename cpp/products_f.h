// Products of weights with f32 activations, packed as pack_f32.h tells: F32, F16 and BF16, and blocks that stand for floats
// (bnb_tables.h).
//
// The order of additions: class 0 and class 1 over the steps, each in 4 lanes; class 0 + class 1; the lanes. Every sum has
// thus 8 partial sums, by column mod 8 in some order.
#pragma once
#include <type_traits>

#include "f32x4.h"
#include "pack_f32.h"
#include "read_ahead.h"
#include "bnb_tables.h"

namespace floats {

// Each format: a weight's bytes, a step's 8 weights as two vectors in the packing's order, and the finished sum's factor.
struct F32 {
  static constexpr uint32_t bytes = 4;
  static constexpr float sum_scale = 1;
  INLINE void load(const uint8_t* w, v128_t out[F32_CLASSES]) const {
    out[0] = wasm_v128_load(w);
    out[1] = wasm_v128_load(w + 16);
  }
};

struct BF16 {
  static constexpr uint32_t bytes = 2;
  static constexpr float sum_scale = 1;
  v128_t high = constant_u32(0xffff0000);
  INLINE void load(const uint8_t* w, v128_t out[F32_CLASSES]) const {
    v128_t pairs = wasm_v128_load(w);
    out[0] = wasm_i32x4_shl(pairs, 16);
    out[1] = wasm_v128_and(pairs, high);
  }
};

// Values times 2^-112: the arithmetic shift puts exponent and fraction in a float's place, the mask keeps one copy of the
// sign. Subnormals are exact; the patterns of infinity and NaN, which no sane checkpoint holds, count as 65536 and more.
struct F16 {
  static constexpr uint32_t bytes = 2;
  static constexpr float sum_scale = F16_SUM_SCALE;
  v128_t mask = constant_u32(0x8fffe000);
  INLINE void load(const uint8_t* w, v128_t out[F32_CLASSES]) const {
    v128_t pairs = wasm_v128_load(w);
    out[0] = wasm_v128_and(wasm_i32x4_shr(wasm_i32x4_shl(pairs, 16), 3), mask);
    out[1] = wasm_v128_and(wasm_i32x4_shr(pairs, 3), mask);
  }
};

// Of these a step's weights come from a block at a time. Their columns are whole blocks.
struct BNB_NF4 : TableFormat<NF4_TABLE> {};
struct BNB_FP4 : TableFormat<FP4_TABLE> {};

template <class Weights>
concept Plain = requires { Weights::bytes; };

template <class Weights>
INLINE uint32_t row_bytes(uint32_t cols) {
  if constexpr (Plain<Weights>) return cols * Weights::bytes;
  else return cols / TABLE_BLOCK * sizeof(BlockTable);
}

// What a finished sum is multiplied by.
template <class Weights>
constexpr float sum_scale() {
  if constexpr (Plain<Weights>) return Weights::sum_scale;
  else return 1;
}

// The last step of a row whose columns are no multiple of 8, padded with zeros.
template <class Weights>
struct Tail {
  uint8_t padded[F32_STEP * Weights::bytes] __attribute__((aligned(16))) = {};
  Tail(const uint8_t* w, uint32_t cols) {
    uint32_t whole = cols / F32_STEP * F32_STEP;
    for (uint32_t i = 0; i < (cols - whole) * Weights::bytes; i++) padded[i] = w[whole * Weights::bytes + i];
  }
};

// Tokens and rows of blocks, `distance` bytes apart; a token's sums go to out, out_distance apart. A row's block comes after
// the other's, for one alone needs most registers; what it stands for is looked up once for all tokens.
template <class Weights, uint32_t Rows, uint32_t Tokens, bool ahead>
INLINE void multiply_blocks(const Weights& format, const uint8_t* w, uint32_t distance, const ProductArgs& args,
                            float* out, uint32_t out_distance, ReadAhead<Rows, ahead>& read_ahead) {
  constexpr uint32_t vectors = TABLE_BLOCK / F32_STEP * F32_CLASSES;
  const uint32_t token = f32_steps(args.cols) * F32_CLASSES;
  const v128_t* x = (const v128_t*)args.x;
  v128_t sums[Rows][Tokens][F32_CLASSES] = {};
  for (const v128_t* end = x + token; x < end; x += vectors, w += sizeof(BlockTable)) {
    read_ahead(w);
#pragma clang loop unroll(disable)
    for (uint32_t r = 0; r < Rows; r++) {
      v128_t sum[Tokens][F32_CLASSES];
      __builtin_memcpy(sum, sums[r], sizeof(sum));
      format.load(w + r * distance, [&](int i, v128_t v) {
#pragma unroll
        for (uint32_t t = 0; t < Tokens; t++) sum[t][i % 2] = f32x4_muladd(sum[t][i % 2], v, x[t * token + i]);
      });
      __builtin_memcpy(sums[r], sum, sizeof(sum));
    }
  }
  for (uint32_t r = 0; r < Rows; r++)
    for (uint32_t t = 0; t < Tokens; t++)
      out[t * args.out_stride + r * out_distance] = f32x4_hsum(wasm_f32x4_add(sums[r][t][0], sums[r][t][1]));
}

// One token and `Rows` rows, `distance` bytes apart; their sums go to out, out_distance apart.
template <class Weights, uint32_t Rows, bool ahead>
INLINE void multiply_rows(const Weights& format, const uint8_t* w, uint32_t distance, const v128_t* x, uint32_t cols,
                          float* out, uint32_t out_distance, ReadAhead<Rows, ahead>& read_ahead) {
  v128_t sum[Rows][F32_CLASSES];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
  auto step = [&](uint32_t r, const uint8_t* from, v128_t x0, v128_t x1) {
    v128_t weights[F32_CLASSES];
    format.load(from, weights);
    sum[r][0] = f32x4_muladd(sum[r][0], weights[0], x0);
    sum[r][1] = f32x4_muladd(sum[r][1], weights[1], x1);
  };
  const uint8_t* at[Rows];
  for (uint32_t r = 0; r < Rows; r++) at[r] = w + r * distance;
  constexpr uint32_t burst = ReadAhead<Rows>::BURST / (F32_STEP * Weights::bytes);
  for (uint32_t left = cols / F32_STEP; left > 0;) {
    read_ahead(at[0]);
    uint32_t steps = !ahead || left < burst ? left : burst;
    left -= steps;
#pragma clang loop unroll_count(4)
    for (uint32_t s = 0; s < steps; s++, x += F32_CLASSES) {
      v128_t x0 = x[0], x1 = x[1];
      for (uint32_t r = 0; r < Rows; r++) {
        step(r, at[r], x0, x1);
        at[r] += F32_STEP * Weights::bytes;
      }
    }
  }
  if (cols % F32_STEP)
    for (uint32_t r = 0; r < Rows; r++) step(r, Tail<Weights>(w + r * distance, cols).padded, x[0], x[1]);
  for (uint32_t r = 0; r < Rows; r++)
    out[r * out_distance] = f32x4_hsum(wasm_f32x4_add(sum[r][0], sum[r][1])) * Weights::sum_scale;
}

// Four rows at a time, a quarter of all rows apart: they share the loads of x, and four far streams suit the prefetcher.
// Of the memory's 24 GB/s one thread of a Zen 4 gets 17.5 with bf16 (one row at a time 8 to 16) and 22 with f32 (14).
template <class Weights, bool ahead>
SEPARATE void multiply_token(const uint8_t* w, const v128_t* vectors, float* out, uint32_t cols, uint32_t rows) {
  const Weights format;
  uint32_t bytes = row_bytes<Weights>(cols), quarter = rows / 4, distance = quarter * bytes;
  ReadAhead<4, ahead> four(w, distance, distance);
  for (uint32_t r = 0; r < quarter; r++)
    multiply_rows<Weights, 4, ahead>(format, w + r * bytes, distance, vectors, cols, out + r, quarter, four);
  four.finish();
  const uint8_t* rest = w + 4 * distance;
  ReadAhead<1, ahead> one(rest, (rows - 4 * quarter) * bytes, 0);
  for (uint32_t r = 4 * quarter; r < rows; r++, rest += bytes)
    multiply_rows<Weights, 1, ahead>(format, rest, 0, vectors, cols, out + r, 0, one);
  one.finish();
}

// Some tokens' product with blocks, four far rows at a time as above.
template <class Weights, uint32_t Tokens, bool ahead>
SEPARATE void multiply_tokens(const ProductArgs& args) {
  const Weights format;
  const uint32_t cols = args.cols, rows = args.rows;
  const uint32_t bytes = row_bytes<Weights>(cols), quarter = rows / 4, distance = quarter * bytes;
  ReadAhead<4, ahead> four(args.w, distance, distance);
  for (uint32_t r = 0; r < quarter; r++)
    multiply_blocks<Weights, 4, Tokens>(format, args.w + r * bytes, distance, args, args.out + r, quarter, four);
  four.finish();
  ReadAhead<1, false> one(args.w, 0, 0);
  for (uint32_t r = 4 * quarter; r < rows; r++)
    multiply_blocks<Weights, 1, Tokens>(format, args.w + r * bytes, 0, args, args.out + r, 0, one);
}

template <class Weights, uint32_t Tokens>
INLINE void multiply_tokens(const ProductArgs& args) {
  if (args.read_ahead) multiply_tokens<Weights, Tokens, true>(args);
  else multiply_tokens<Weights, Tokens, false>(args);
}

template <class Weights>
INLINE void matvec(const ProductArgs& args) {
  ProductArgs some = args;
  for (uint32_t left = args.tokens; left > 0;) {
    // Three at once need more registers than there are (0.5 of 2.1 GB/s).
    const uint32_t tokens = left < 2 ? 1 : 2;
    if (tokens == 2) multiply_tokens<Weights, 2>(some);
    else multiply_tokens<Weights, 1>(some);
    some.x += tokens * f32_steps(args.cols) * F32_STEP * sizeof(float);
    some.out += tokens * args.out_stride;
    left -= tokens;
  }
}

template <Plain Weights>
INLINE void matvec(const ProductArgs& args) {
  for (uint32_t t = 0; t < args.tokens; t++) {
    const v128_t* vectors = (const v128_t*)args.x + t * f32_steps(args.cols) * F32_CLASSES;
    float* out = args.out + t * args.out_stride;
    // f32 has so few instructions for each line that enough lines are in flight by themselves.
    constexpr bool gains = !std::is_same_v<Weights, F32>;
    if (gains && args.read_ahead) multiply_token<Weights, gains>(args.w, vectors, out, args.cols, args.rows);
    else multiply_token<Weights, false>(args.w, vectors, out, args.cols, args.rows);
  }
}

// Calls put(s, weights) for each step of a row.
template <Plain Weights, class Put>
INLINE void unpack_row(const Weights& format, const uint8_t* w, uint32_t cols, Put put) {
  const uint32_t steps = f32_steps(cols), whole = cols / F32_STEP;
  auto unpack = [&](const uint8_t* from, uint32_t s) {
    v128_t weights[F32_CLASSES];
    format.load(from, weights);
    put(s, weights);
  };
  for (uint32_t s = 0; s < whole; s++) unpack(w + s * F32_STEP * Weights::bytes, s);
  if (steps > whole) unpack(Tail<Weights>(w, cols).padded, whole);
}
template <class Weights, class Put>
INLINE void unpack_row(const Weights& format, const uint8_t* w, uint32_t cols, Put put) {
  constexpr uint32_t in_block = TABLE_BLOCK / F32_STEP;
  for (uint32_t s = 0; s < f32_steps(cols); s += in_block, w += sizeof(BlockTable)) {
    v128_t weights[F32_CLASSES * in_block];
    format.load(w, [&](int i, v128_t v) { weights[i] = v; });
    for (uint32_t i = 0; i < in_block; i++) put(s + i, weights + F32_CLASSES * i);
  }
}

// The panel: for each pair of rows, class after class, step after step, the two rows' vectors. A missing second row is zero.
template <class Weights>
void unpack_panel(const uint8_t* w, uint32_t cols, uint32_t rows, v128_t* panel) {
  const Weights format;
  const uint32_t steps = f32_steps(cols);
  for (uint32_t r = 0; r < rows; r++, w += row_bytes<Weights>(cols)) {
    v128_t* pair = panel + (r / 2 * F32_CLASSES * steps * 2) + r % 2;
    unpack_row(format, w, cols, [&](uint32_t s, const v128_t* weights) {
      for (uint32_t k = 0; k < F32_CLASSES; k++) pair[(k * steps + s) * 2] = weights[k];
    });
  }
  if (rows % 2)
    for (uint32_t i = 0; i < F32_CLASSES * steps; i++) panel[(rows / 2 * F32_CLASSES * steps + i) * 2 + 1] = f32x4_zero();
}

// Some steps of one class for 2 rows and 4 tokens.
INLINE void multiply_tile(const v128_t* w, const v128_t* x, uint32_t steps, v128_t sums[2][F32_TILE]) {
  v128_t sum[2][F32_TILE];
  for (uint32_t r = 0; r < 2; r++)
    for (uint32_t t = 0; t < F32_TILE; t++) sum[r][t] = sums[r][t];
#pragma clang loop unroll(disable)
  for (uint32_t s = 0; s < steps; s++, w += 2, x += F32_TILE)
    for (uint32_t t = 0; t < F32_TILE; t++) {
      sum[0][t] = f32x4_muladd(sum[0][t], w[0], x[t]);
      sum[1][t] = f32x4_muladd(sum[1][t], w[1], x[t]);
    }
  for (uint32_t r = 0; r < 2; r++)
    for (uint32_t t = 0; t < F32_TILE; t++) sums[r][t] = sum[r][t];
}

constexpr uint32_t MOST_PAIRS = 16;  // of f32_panel_rows
constexpr uint32_t SEGMENT = 256;    // steps; the tile's 16 KiB of them stay in the first cache for all rows of the panel

template <class Weights>
INLINE void matmul(const ProductArgs& args) {
  uint32_t cols = args.cols, rows = args.rows;
  uint32_t steps = f32_steps(cols), panel_rows = f32_panel_rows(cols);
  v128_t* panel = (v128_t*)args.scratch;
  v128_t sums[MOST_PAIRS][F32_CLASSES][2][F32_TILE];
  for (uint32_t row = 0; row < rows; row += panel_rows) {
    uint32_t count = rows - row < panel_rows ? rows - row : panel_rows, pairs = (count + 1) / 2;
    unpack_panel<Weights>(args.w + row * row_bytes<Weights>(cols), cols, count, panel);
    for (uint32_t token = 0; token < args.tokens; token += F32_TILE) {
      const v128_t* tile = (const v128_t*)args.x + token * F32_CLASSES * steps;
      __builtin_memset(sums, 0, sizeof(sums));
      for (uint32_t k = 0; k < F32_CLASSES; k++)
        for (uint32_t s = 0; s < steps; s += SEGMENT)
          for (uint32_t p = 0; p < pairs; p++)
            multiply_tile(panel + ((p * F32_CLASSES + k) * steps + s) * 2, tile + (k * steps + s) * F32_TILE,
                          steps - s < SEGMENT ? steps - s : SEGMENT, sums[p][k]);
      for (uint32_t r = 0; r < count; r++) {
        v128_t total[F32_TILE];
        for (uint32_t t = 0; t < F32_TILE; t++)
          total[t] = wasm_f32x4_add(sums[r / 2][0][r % 2][t], sums[r / 2][1][r % 2][t]);
        v128_t dots = f32x4_hsum4(total[0], total[1], total[2], total[3]);
        float lanes[F32_TILE];
        wasm_v128_store(lanes, wasm_f32x4_mul(dots, wasm_f32x4_const_splat(sum_scale<Weights>())));
        for (uint32_t t = 0; t < F32_TILE; t++) args.out[(token + t) * args.out_stride + row + r] = lanes[t];
      }
    }
  }
}

}  // namespace floats
