// Activations quantized to int8 per 32 values, in the layouts that the products of quantized weights read. A group is 128
// columns, four blocks; lane b of a vector belongs to block b of the group, in weights and activations alike.
#pragma once
#include "f32x4.h"
#include "kernels.h"
#ifndef __wasm__
#include "native/wide_pack.h"
#endif

enum PackQ8 : uint32_t {
  VEC_I8 = 10,
  VEC_I16 = 11,
  VEC_SPLIT = 12,
  VEC_I8_DWORDS = 13,
  VEC_SPLIT_DWORDS = 14,
  TILE_I8 = 15,
  TILE_I16 = 16
};

// What a product needs of a group besides the values. The neg vectors hold minus the sums of values, in i16: lane 2b
// over values 0, 1, 4, 5, 8, 9, ... of block b, lane 2b + 1 over the others, so that they can be added, times a weight's
// offset, to the lanes in which the i16 dots gather.
struct GroupSums {
  v128_t scale;  // f32, amax / 127
  v128_t sum;    // f32, scale * sum of values
  v128_t neg;    // all 32 values of a block
  v128_t neg0;   // values 0..15
  v128_t neg1;   // values 16..31
  v128_t neg_groups;  // one sum for 16 values: lane 2b values 0..15 of block b, lane 2b + 1 values 16..31
};

struct VecI8 {  // one token, columns in order
  static constexpr uint32_t kind = VEC_I8;
  v128_t x[8];
  GroupSums sums;
};
struct VecI16 {
  static constexpr uint32_t kind = VEC_I16;
  v128_t x[16];
  GroupSums sums;
};
struct VecSplit {  // i16, of each 16 columns the even ones, then the odd: codes taken as i16 are split by a mask and a shift
  static constexpr uint32_t kind = VEC_SPLIT;
  v128_t x[16];
  GroupSums sums;
};
// The same two, but x[k], or the pair from x[2k], is dword k of the four blocks, values 4k .. 4k + 3 of block b in lane b.
struct VecI8Dwords {
  static constexpr uint32_t kind = VEC_I8_DWORDS;
  v128_t x[8];
  GroupSums sums;
};
struct VecSplitDwords {
  static constexpr uint32_t kind = VEC_SPLIT_DWORDS;
  v128_t x[16];
  GroupSums sums;
};
struct TileI8 {  // four tokens: x[k][t] is dword k, values 4k .. 4k + 3, of the four blocks of token t
  static constexpr uint32_t kind = TILE_I8;
  v128_t x[8][4];
  GroupSums sums[4];
};
struct TileI16 {  // x[k][t] is the pair 2k, 2k + 1 of the four blocks of token t
  static constexpr uint32_t kind = TILE_I16;
  v128_t x[16][4];
  GroupSums sums[4];
};

// What the products of codes in 0..63 and of magnitudes read in this build, and those of signed bytes in either.
#if TRAMONTANE_RELAXED
using VecU6 = VecI8;
using VecU4 = VecI8Dwords;
using TileU6 = TileI8;
#else
using VecU6 = VecSplit;
using VecU4 = VecSplitDwords;
using TileU6 = TileI16;
#endif
using TileU4 = TileU6;
using VecSM = VecU6;
using VecS8 = VecI16;
#ifdef __wasm__
using TileSM = TileI16;
using TileS8 = TileI16;
#else
using TileSM = TileI8;
using TileS8 = TileI8;
#endif
using TileN4 = TileU6;
using TileN6 = TileU6;
using TileB8 = TileS8;
// Whether these formats have the loops of native/wide_matvec.h.
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define TRAMONTANE_FAR_ROWS 1
using VecN4 = VecI8Dwords;
using VecN6 = VecI8Dwords;
using VecB8 = VecI8Dwords;
#else
#define TRAMONTANE_FAR_ROWS 0
using VecN4 = VecU6;
using VecN6 = VecU6;
using VecB8 = VecS8;
#endif

inline constexpr uint32_t GROUP = 128;
INLINE uint32_t groups_of(uint32_t cols) { return (cols + GROUP - 1) / GROUP; }

// Whether one token's values are packed as bytes, and whether dword by dword.
INLINE bool in_bytes(uint32_t kind) { return kind == VEC_I8 || kind == VEC_I8_DWORDS; }
INLINE bool in_dwords(uint32_t kind) { return kind == VEC_I8_DWORDS || kind == VEC_SPLIT_DWORDS; }

// Of a group: of one token, or of a tile.
INLINE uint32_t group_bytes(uint32_t kind) {
  if (kind < TILE_I8) return in_bytes(kind) ? sizeof(VecI8) : sizeof(VecI16);
  return kind == TILE_I8 ? sizeof(TileI8) : sizeof(TileI16);
}
inline uint32_t pack_q8_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  return (kind < TILE_I8 ? tokens : (tokens + 3) / 4) * groups_of(cols) * group_bytes(kind);
}

// A dword of bytes of each block becomes two pairs of i16 of each block.
INLINE void dwords_to_pairs(v128_t dwords, v128_t pairs[2]) {
  v128_t low = wasm_i16x8_extend_low_i8x16(dwords), high = wasm_i16x8_extend_high_i8x16(dwords);
  pairs[0] = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6);
  pairs[1] = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
}

// The largest magnitude of each of four blocks at x, of which `count` are there.
INLINE v128_t largest_of_blocks(const float* x, uint32_t count) {
#ifdef WIDE_AVX512
  if (count == 4) return wide::largest_of_blocks(x);
#endif
  v128_t amax[4];
  for (uint32_t b = 0; b < 4; b++) {
    amax[b] = wasm_f32x4_const_splat(0);
    for (uint32_t i = 0; i < 8 && b < count; i++) {
      amax[b] = wasm_f32x4_max(amax[b], wasm_f32x4_abs(wasm_v128_load(x + 32 * b + 4 * i)));
    }
  }
  v128_t columns[4];
  transpose_dwords(amax[0], amax[1], amax[2], amax[3], columns);
  return wasm_f32x4_max(wasm_f32x4_max(columns[0], columns[1]), wasm_f32x4_max(columns[2], columns[3]));
}

// nearest-even(x * factor) of a block, or zeros where the factor is 0.
INLINE void quantize_block(const float* x, float factor, v128_t values[2]) {
#ifdef WIDE_AVX512
  wide::quantize_block(x, factor, values);
#else
  v128_t q[8] = {};
  for (uint32_t i = 0; i < 8 && factor != 0; i++) {
    q[i] = wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(wasm_f32x4_mul(wasm_v128_load(x + 4 * i), wasm_f32x4_splat(factor))));
  }
  for (uint32_t i = 0; i < 2; i++) {
    values[i] = wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(q[4 * i], q[4 * i + 1]),
                                        wasm_i16x8_narrow_i32x4(q[4 * i + 2], q[4 * i + 3]));
  }
#endif
}

// Quantizes the first `count` blocks at x, the others being zero: value = nearest-even(x * (127 / amax)); all is 0 where
// amax is negligible. NaN in x makes the block's scale NaN, and so the products.
INLINE void quantize_group(const float* x, uint32_t count, v128_t values[8], GroupSums& sums) {
  const v128_t largest = f32x4_significant(largest_of_blocks(x, count));
  v128_t inverse = wasm_f32x4_div(wasm_f32x4_const_splat(127), largest);
  inverse = wasm_v128_and(inverse, wasm_f32x4_le(inverse, wasm_f32x4_const_splat(__FLT_MAX__)));
  sums.scale = wasm_f32x4_div(largest, wasm_f32x4_const_splat(127));

  float factor[4];
  wasm_v128_store(factor, inverse);
  for (uint32_t b = 0; b < 4; b++) {
    if (b < count) quantize_block(x + 32 * b, factor[b], values + 2 * b);
    else values[2 * b] = values[2 * b + 1] = wasm_i32x4_const_splat(0);
  }

  v128_t pairs[8];
  for (uint32_t i = 0; i < 8; i++) pairs[i] = wasm_i16x8_extadd_pairwise_i8x16(values[i]);
  sums.neg0 = wasm_i16x8_neg(sum_pairs_i16(pairs[0], pairs[2], pairs[4], pairs[6]));
  sums.neg1 = wasm_i16x8_neg(sum_pairs_i16(pairs[1], pairs[3], pairs[5], pairs[7]));
  sums.neg = wasm_i16x8_add(sums.neg0, sums.neg1);
  sums.neg_groups = wasm_i16x8_neg(sum_i16(pairs));
  v128_t total = wasm_i32x4_neg(wasm_i32x4_extadd_pairwise_i16x8(sums.neg));
  sums.sum = wasm_f32x4_mul(sums.scale, wasm_f32x4_convert_i32x4(total));
}

// Blocks of group g that lie before `cols`.
INLINE uint32_t blocks_in_group(uint32_t g, uint32_t cols) {
  uint32_t left = (cols - g * GROUP) / 32;
  return left < 4 ? left : 4;
}

// Group g of a row whose columns change their order: gathered, beyond `cols` zeros.
INLINE const float* gather_group(const PackArgs& args, const float* row, uint32_t g, float gathered[GROUP]) {
  for (uint32_t c = 0; c < GROUP; c++) {
    gathered[c] = g * GROUP + c < args.cols ? row[args.order[g * GROUP + c]] : 0;
  }
  return gathered;
}

// One token's group.
INLINE void store_token(uint32_t kind, uint8_t* group, const v128_t blocks[8], const GroupSums& sums) {
  v128_t dwords[8];
  if (in_dwords(kind)) blocks_to_dwords(blocks, dwords);
  const v128_t* values = in_dwords(kind) ? dwords : blocks;
  if (in_bytes(kind)) {
    static_assert(sizeof(VecI8) == sizeof(VecI8Dwords));
    VecI8& out = *reinterpret_cast<VecI8*>(group);
    for (uint32_t i = 0; i < 8; i++) out.x[i] = values[i];
    out.sums = sums;
  } else {
    static_assert(sizeof(VecI16) == sizeof(VecSplit) && sizeof(VecI16) == sizeof(VecSplitDwords));
    VecI16& out = *reinterpret_cast<VecI16*>(group);
    for (uint32_t i = 0; i < 8; i++) {
      v128_t v = values[i], even = wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8), odd = wasm_i16x8_shr(v, 8);
      out.x[2 * i] = kind == VEC_I16 ? wasm_i16x8_extend_low_i8x16(v) : even;
      out.x[2 * i + 1] = kind == VEC_I16 ? wasm_i16x8_extend_high_i8x16(v) : odd;
    }
    out.sums = sums;
  }
}

// Token t of a tile's group.
INLINE void store_tile_token(uint32_t kind, uint8_t* group, uint32_t t, const v128_t values[8], const GroupSums& sums) {
  v128_t dwords[8];
  blocks_to_dwords(values, dwords);
  if (kind == TILE_I8) {
    TileI8& out = *reinterpret_cast<TileI8*>(group);
    for (uint32_t k = 0; k < 8; k++) out.x[k][t] = dwords[k];
    out.sums[t] = sums;
  } else {
    TileI16& out = *reinterpret_cast<TileI16*>(group);
    for (uint32_t k = 0; k < 8; k++) {
      v128_t pairs[2];
      dwords_to_pairs(dwords[k], pairs);
      out.x[2 * k][t] = pairs[0];
      out.x[2 * k + 1][t] = pairs[1];
    }
    out.sums[t] = sums;
  }
}

inline void pack_q8(const PackArgs& args) {
  const bool tiled = args.kind >= TILE_I8;
  const uint32_t groups = groups_of(args.cols), bytes = group_bytes(args.kind);
  const uint32_t end = tiled ? (args.to + 3) / 4 * 4 : args.to;
  for (uint32_t token = args.from; token < end; token++) {
    const bool real = token < args.tokens;
    const float* row = args.x + (real ? token * args.stride : 0);
    uint8_t* out = args.dst + (tiled ? token / 4 : token) * groups * bytes;
    for (uint32_t g = args.col0 / GROUP; g < groups_of(args.col1); g++) {
      v128_t values[8];
      GroupSums sums;
      alignas(16) float gathered[GROUP];
      const float* x = args.order ? gather_group(args, row, g, gathered) : row + g * GROUP;
      quantize_group(x, real ? blocks_in_group(g, args.cols) : 0, values, sums);
      if (tiled) store_tile_token(args.kind, out + g * bytes, token % 4, values, sums);
      else store_token(args.kind, out + g * bytes, values, sums);
    }
  }
}
