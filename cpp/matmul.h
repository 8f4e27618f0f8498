// Many tokens' product with quantized weights: a panel of rows is unpacked once, then meets tile after tile of four
// tokens, two rows at a time. Lane b of every vector belongs to block b of a group, so that no dot needs a reduction, and
// the additions are matvec.h's, in its order.
#pragma once
#include "matvec.h"

// A row's group in the panel. Narrow codes are bytes, a dword of each block a vector; wide ones i16, a pair of each block
// a vector, with the offset taken off and the scales of 16 values multiplied in (at most 128 * 32 in size).
template <class F, bool wide>
struct PanelGroup {
  v128_t codes[wide ? 16 : 8];
  v128_t scale;
  v128_t minimum[F::family == blocks::Family::Minimum || F::grouped_minimums];
  v128_t minimums[F::grouped_minimums];
  v128_t scales[F::family == blocks::Family::Grouped && !wide ? 2 : 0];  // of first and second 16 values
};

// Bytes of a panel: about a third of a usual second-level cache, and always two rows.
inline constexpr uint32_t PANEL_BYTES = 160 * 1024, LARGEST_PANEL_GROUP = 19 * sizeof(v128_t);
INLINE uint32_t panel_bytes(uint32_t cols) {
  uint32_t two = 2 * groups_of(cols) * LARGEST_PANEL_GROUP;
  return two > PANEL_BYTES ? two : PANEL_BYTES;
}

template <class F, int half, bool wide>
INLINE void unpack_group(const F& f, const uint8_t* w, PanelGroup<F, wide>& out) {
  v128_t c[8], dwords[8];
  f.template codes<half>(w, c);
  blocks_to_dwords(c, dwords);
  v128_t scales[2] = {};
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t k = f.template group_scales<half>(w);
    scales[0] = first_groups(k);
    scales[1] = second_groups(k);
  }
  GroupScales s = group_scales_of<F, half>(f, w);
  out.scale = s.scale;
  if constexpr (F::family == blocks::Family::Minimum || F::grouped_minimums) out.minimum[0] = s.minimum;
  if constexpr (F::grouped_minimums) out.minimums[0] = s.minimums;
  if constexpr (!wide) {
    for (int k = 0; k < 8; k++) out.codes[k] = dwords[k];
    if constexpr (F::family == blocks::Family::Grouped) {
      out.scales[0] = scales[0];
      out.scales[1] = scales[1];
    }
  } else {
    for (int k = 0; k < 16; k += 2) {
      dwords_to_pairs(dwords[k / 2], out.codes + k);
      for (int i = k; i < k + 2; i++) {
        if constexpr (F::offset != 0) out.codes[i] = wasm_i16x8_sub(out.codes[i], wasm_i16x8_const_splat(F::offset));
        if constexpr (F::family == blocks::Family::Grouped) out.codes[i] = wasm_i16x8_mul(out.codes[i], scales[k / 8]);
      }
    }
  }
}

template <class F, bool wide>
INLINE void unpack_row(const F& f, const uint8_t* w, uint32_t cols, PanelGroup<F, wide>* out) {
  for_each_unit<F>(w, cols, [&](const uint8_t* unit) {
    unpack_group<F, 0, wide>(f, unit, *out++);
    if constexpr (F::unit == 2 * GROUP) unpack_group<F, 1, wide>(f, unit, *out++);
  });
}

// Integer dots of two rows and four tokens over a group. Sixteen products (Grouped: eight of each half) gather in a lane
// of i16; centred they are within +-32512, so that wrapping on the way does no harm.
template <class F>
INLINE void tile_dots(const PanelGroup<F, false>* const w[2], const TileI8& x, v128_t ones, v128_t sums[2][4]) {
  constexpr bool grouped = F::family == blocks::Family::Grouped;
  constexpr int parts = grouped ? 2 : 1;
#pragma unroll
  for (int part = 0; part < parts; part++) {
    v128_t p[2][4];
#pragma unroll
    for (int t = 0; t < 4; t++) {
      const GroupSums& s = x.sums[t];
      p[0][t] = p[1][t] = times_i16<F::centre>(!grouped ? s.neg : part ? s.neg1 : s.neg0);
    }
#pragma clang loop unroll(disable)
    for (int k = 8 / parts * part; k < 8 / parts * (part + 1); k++) {
      v128_t w0 = w[0]->codes[k], w1 = w[1]->codes[k];
#pragma unroll
      for (int t = 0; t < 4; t++) {
        v128_t xt = x.x[k][t];
        p[0][t] = wasm_i16x8_add(p[0][t], dot_i8_u7(xt, w0));
        p[1][t] = wasm_i16x8_add(p[1][t], dot_i8_u7(xt, w1));
      }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      v128_t factor = ones;
      if constexpr (grouped) factor = w[r]->scales[part];
#pragma unroll
      for (int t = 0; t < 4; t++) {
        v128_t sum = wasm_i32x4_dot_i16x8(p[r][t], factor);
        sums[r][t] = part ? wasm_i32x4_add(sums[r][t], sum) : sum;
      }
    }
  }
  if constexpr (F::centre != F::offset) {
#pragma unroll
    for (int t = 0; t < 4; t++) {
      v128_t back = wasm_i32x4_dot_i16x8(times_i16<F::centre>(x.sums[t].neg), ones);
      sums[0][t] = wasm_i32x4_sub(sums[0][t], back);
      sums[1][t] = wasm_i32x4_sub(sums[1][t], back);
    }
  }
}

template <class F>
INLINE void tile_dots(const PanelGroup<F, true>* const w[2], const TileI16& x, v128_t, v128_t sums[2][4]) {
#pragma unroll
  for (int t = 0; t < 4; t++) sums[0][t] = sums[1][t] = wasm_i32x4_const_splat(0);
#pragma clang loop unroll(disable)
  for (int k = 0; k < 16; k++) {
    v128_t w0 = w[0]->codes[k], w1 = w[1]->codes[k];
#pragma unroll
    for (int t = 0; t < 4; t++) {
      v128_t xt = x.x[k][t];
      sums[0][t] = wasm_i32x4_add(sums[0][t], wasm_i32x4_dot_i16x8(xt, w0));
      sums[1][t] = wasm_i32x4_add(sums[1][t], wasm_i32x4_dot_i16x8(xt, w1));
    }
  }
}

// Two rows of the panel and one tile; out[r] points at the first token's value of row r.
template <class F, bool wide, class Tile>
INLINE void tile_product(const PanelGroup<F, wide>* w0, const PanelGroup<F, wide>* w1, const Tile* x, uint32_t groups,
                         v128_t ones, float* const out[2], uint32_t out_stride) {
  v128_t acc[2][4] = {};
  for (uint32_t g = 0; g < groups; g++) {
    const PanelGroup<F, wide>* w[2] = {w0 + g, w1 + g};
    v128_t sums[2][4];
    tile_dots<F>(w, x[g], ones, sums);
#pragma unroll
    for (int r = 0; r < 2; r++) {
      GroupScales s;
      s.scale = w[r]->scale;
      if constexpr (F::family == blocks::Family::Minimum || F::grouped_minimums) s.minimum = w[r]->minimum[0];
      if constexpr (F::grouped_minimums) s.minimums = w[r]->minimums[0];
#pragma unroll
      for (int t = 0; t < 4; t++) {
        acc[r][t] = wasm_f32x4_add(acc[r][t], contribution<F>(sums[r][t], x[g].sums[t], s));
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
#pragma unroll
    for (int t = 0; t < 4; t++) out[r][t * out_stride] = sum_f32(acc[r][t]);
  }
}

// out[t * out_stride + r] for tile-packed tokens; see kernels.h.
template <class F, class Tile>
INLINE void matmul(const uint8_t* w, const uint8_t* packed, float* out, uint32_t cols, uint32_t rows, uint32_t tokens,
                   uint32_t out_stride, uint8_t* scratch) {
  constexpr bool wide = __is_same(Tile, TileI16);
  using Group = PanelGroup<F, wide>;
  static_assert(sizeof(Group) <= LARGEST_PANEL_GROUP);
  const F f;
  const v128_t ones = constant_i16(1);
  const uint32_t groups = groups_of(cols), row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  const uint32_t panel_rows = panel_bytes(cols) / (groups * sizeof(Group)) & ~1u;
  Group* panel = reinterpret_cast<Group*>(scratch);
  for (uint32_t row = 0; row < rows; row += panel_rows) {
    const uint32_t count = rows - row < panel_rows ? rows - row : panel_rows;
    for (uint32_t r = 0; r < count; r++) unpack_row<F, wide>(f, w + (row + r) * row_bytes, cols, panel + r * groups);
    for (uint32_t tile = 0; tile < (tokens + 3) / 4; tile++) {
      const Tile* x = reinterpret_cast<const Tile*>(packed) + tile * groups;
      for (uint32_t r = 0; r < count; r += 2) {
        const uint32_t second = r + 1 < count ? r + 1 : r;  // the last of an odd number is computed twice
        float* first_out = out + 4 * tile * out_stride + row;
        float* const to[2] = {first_out + r, first_out + second};
        tile_product<F, wide>(panel + r * groups, panel + second * groups, x, groups, ones, to, out_stride);
      }
    }
  }
}

// The exports of one format: its struct in formats.h, the packings it reads.
#define PRODUCTS(name, F, Vec, Tile)                                                                               \
  KERNEL void matvec_##name(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows) {        \
    matvec<blocks::F, Vec>(w, x, out, cols, rows);                                                                 \
  }                                                                                                                \
  KERNEL void matmul_##name(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows,          \
                            uint32_t tokens, uint32_t out_stride, uint8_t* scratch) {                              \
    matmul<blocks::F, Tile>(w, x, out, cols, rows, tokens, out_stride, scratch);                                   \
  }
