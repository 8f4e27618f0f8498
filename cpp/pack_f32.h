// The packings of activations that the F32, F16 and BF16 products read: kinds 0 to 9 of pack.cpp's dispatch.
//
// Columns are padded with zeros to a multiple of 8, a "step". A step is two vectors of 4 columns, and the products keep one
// accumulator for each: class 0 and class 1. Which columns of a step they hold is the format's choice:
//   natural    0, 1, 2, 3 and 4, 5, 6, 7
//   even/odd   0, 2, 4, 6 and 1, 3, 5, 7: a 16-byte load of 16-bit weights, taken as four dwords, gives the even columns in
//              their low halves and the odd ones in their high halves, without a shuffle
// A packed token ("vec") is step after step. A tile of 4 tokens is class 0, then class 1; in a class step after step, in a
// step the four tokens' vectors: a product then needs one accumulator for a row and token, and no reduction until the end.
#pragma once
#include "f32x4.h"
#include "kernels.h"

enum PackF32 : uint32_t {
  VEC_NATURAL = 0, VEC_EVEN_ODD = 1, VEC_EVEN_ODD_F16 = 2,
  TILE_NATURAL = 3, TILE_EVEN_ODD = 4, TILE_EVEN_ODD_F16 = 5,
  PACK_F32_KINDS = 10,  // the kinds from here on are the quantized formats'
};

inline constexpr uint32_t F32_STEP = 8;     // columns
inline constexpr uint32_t F32_CLASSES = 2;  // vectors of a step
inline constexpr uint32_t F32_TILE = 4;     // tokens

// A half's bits shifted to a float's place make value * 2^-112. The activations carry 2^64 of the missing factor and the
// finished sum the rest, so that activations of 2^-64 to 2^64 neither overflow nor, times a normal half (2^-14 and more),
// fall among the subnormals.
inline constexpr float F16_ACTIVATION_SCALE = 1 / NEGLIGIBLE;
inline constexpr float F16_SUM_SCALE = 0x1p112f / F16_ACTIVATION_SCALE;

inline uint32_t f32_steps(uint32_t cols) { return (cols + F32_STEP - 1) / F32_STEP; }

inline uint32_t pack_f32_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  uint32_t stored = kind < TILE_NATURAL ? tokens : (tokens + F32_TILE - 1) / F32_TILE * F32_TILE;
  return stored * f32_steps(cols) * F32_STEP * sizeof(float);
}

// Rows of the unpacked panel that a many-token product keeps in scratch: even, and about 256 KiB, half of a usual L2.
inline uint32_t f32_panel_rows(uint32_t cols) {
  uint32_t rows = 65536 / (f32_steps(cols) * F32_STEP) & ~1u;
  return rows < 4 ? 4 : rows > 32 ? 32 : rows;
}
inline uint32_t f32_scratch(uint32_t cols) { return f32_panel_rows(cols) * f32_steps(cols) * F32_STEP * sizeof(float); }

// The step of columns [c, c + 8) of a row in the kind's order; zeros from `cols` on, and for what is negligible.
inline void pack_f32_step(uint32_t order, const float* x, uint32_t c, uint32_t cols, v128_t out[F32_CLASSES]) {
  v128_t low, high;
  if (c + 8 <= cols) {
    low = wasm_v128_load(x + c);
    high = wasm_v128_load(x + c + 4);
  } else {
    float padded[8] = {};
    for (uint32_t i = 0; c + i < cols; i++) padded[i] = x[c + i];
    low = wasm_v128_load(padded);
    high = wasm_v128_load(padded + 4);
  }
  low = f32x4_significant(low);
  high = f32x4_significant(high);
  if (order == VEC_NATURAL) {
    out[0] = low;
    out[1] = high;
    return;
  }
  v128_t scale = wasm_f32x4_splat(order == VEC_EVEN_ODD_F16 ? F16_ACTIVATION_SCALE : 1.0f);
  out[0] = wasm_f32x4_mul(wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), scale);
  out[1] = wasm_f32x4_mul(wasm_i32x4_shuffle(low, high, 1, 3, 5, 7), scale);
}

inline void pack_f32(const PackArgs& args) {
  const bool tiled = args.kind >= TILE_NATURAL;
  const uint32_t order = tiled ? args.kind - TILE_NATURAL : args.kind, steps = f32_steps(args.cols);
  const uint32_t end = tiled ? (args.to + F32_TILE - 1) / F32_TILE * F32_TILE : args.to;
  for (uint32_t token = args.from; token < end; token++) {
    const bool real = token < args.tokens;
    const float* row = args.x + (real ? token * args.stride : 0);
    v128_t* out = (v128_t*)args.dst + (tiled ? token / F32_TILE * F32_TILE : token) * steps * F32_CLASSES;
    for (uint32_t s = args.col0 / F32_STEP; s < f32_steps(args.col1); s++) {
      v128_t classes[F32_CLASSES];
      pack_f32_step(order, row, s * F32_STEP, real ? args.cols : 0, classes);
      for (uint32_t k = 0; k < F32_CLASSES; k++) {
        out[tiled ? (k * steps + s) * F32_TILE + token % F32_TILE : s * F32_CLASSES + k] = classes[k];
      }
    }
  }
}
