// Many tokens' product with quantized weights: a panel of rows is unpacked once, then meets tile after tile of four
// tokens, two rows at a time. Lane b of every vector belongs to block b of a group, so that no dot needs a reduction, and
// the additions are matvec.h's, in its order.
#pragma once
#include "few_tokens.h"

// A group of two rows in the panel, side by side: [row]. Narrow codes are bytes, a dword of each block a vector; wide ones
// i16, a pair of each block a vector, with the offset taken off and the scales of 16 values multiplied in (at most
// 128 * 32 in size).
template <class F, bool wide>
struct PanelGroup {
  v128_t codes[wide ? 16 : 8][2];
  v128_t scale[2];
  v128_t minimum[F::family == blocks::Family::Minimum || F::grouped_minimums ? 2 : 0];
  v128_t minimums[F::grouped_minimums ? 2 : 0];
  v128_t scales[F::family == blocks::Family::Grouped && !wide ? 2 : 0][2];  // of first and second 16 values
};

// Bytes of a panel: about a third of a usual second-level cache, and always two rows.
inline constexpr uint32_t PANEL_BYTES = 160 * 1024, LARGEST_PANEL_GROUP = 38 * sizeof(v128_t);
INLINE uint32_t panel_bytes(uint32_t cols) {
  uint32_t two = groups_of(cols) * LARGEST_PANEL_GROUP;
  return two > PANEL_BYTES ? two : PANEL_BYTES;
}

template <class F, int half, bool wide>
INLINE void unpack_group(const F& f, const uint8_t* w, PanelGroup<F, wide>& out, uint32_t row) {
  v128_t dwords[8];
  codes_in_dwords<F, half>(f, w, dwords);
  v128_t scales[2] = {};
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t k = f.template group_scales<half>(w);
    scales[0] = first_groups(k);
    scales[1] = second_groups(k);
  }
  GroupScales s = group_scales_of<F, half>(f, w);
  out.scale[row] = s.scale;
  if constexpr (F::family == blocks::Family::Minimum || F::grouped_minimums) out.minimum[row] = s.minimum;
  if constexpr (F::grouped_minimums) out.minimums[row] = s.minimums;
  if constexpr (!wide) {
    for (int k = 0; k < 8; k++) out.codes[k][row] = dwords[k];
    if constexpr (F::family == blocks::Family::Grouped) {
      out.scales[0][row] = scales[0];
      out.scales[1][row] = scales[1];
    }
  } else {
    for (int k = 0; k < 16; k += 2) {
      v128_t pairs[2];
      dwords_to_pairs(dwords[k / 2], pairs);
      for (int i = 0; i < 2; i++) {
        if constexpr (F::offset != 0) pairs[i] = wasm_i16x8_sub(pairs[i], wasm_i16x8_const_splat(F::offset));
        if constexpr (F::family == blocks::Family::Grouped) pairs[i] = wasm_i16x8_mul(pairs[i], scales[k / 8]);
        out.codes[k + i][row] = pairs[i];
      }
    }
  }
}

// One of the two rows of a part of the panel.
template <class F, bool wide>
INLINE void unpack_row(const F& f, const uint8_t* w, uint32_t cols, PanelGroup<F, wide>* out, uint32_t row,
                       ReadAhead<1>& read_ahead) {
  for_each_unit<F>(w, cols, [&](const uint8_t* unit) {
    read_ahead(unit);
    unpack_group<F, 0, wide>(f, unit, *out++, row);
    if constexpr (F::unit == 2 * GROUP) unpack_group<F, 1, wide>(f, unit, *out++, row);
  });
}

// Runs step(w[k], x[k][t], t) for k below `steps`, t below 4. Pointers move, not an index, which V8 would shift and add
// to each of them at every k. Unrolled wholly, clang keeps all loads alive (30 against 53 G/s); V8 unrolls by itself.
template <int steps, class Step>
INLINE void gather(const v128_t (*w)[2], const v128_t (*x)[4], Step step) {
  const v128_t (*end)[4] = x + steps;
#pragma clang loop unroll(disable)
  do {
#pragma unroll
    for (int t = 0; t < 4; t++) step(*w, (*x)[t], t);
    w++;
    x++;
  } while (x != end);
}

// Integer dots of two rows and four tokens over a group, in one part, or of Grouped formats in two with a scale each:
// start(neg) begins a sum, add(p, x, w) takes a dword of each block, finish(p, scales) gives i32.
template <class F, class Start, class Add, class Finish>
INLINE void gather_parts(const PanelGroup<F, false>& w, const TileI8& x, v128_t sums[2][4], Start start, Add add,
                         Finish finish) {
  constexpr bool grouped = F::family == blocks::Family::Grouped;
  constexpr int parts = grouped ? 2 : 1;
#pragma unroll
  for (int part = 0; part < parts; part++) {
    v128_t p[2][4];
#pragma unroll
    for (int t = 0; t < 4; t++) {
      const GroupSums& s = x.sums[t];
      p[0][t] = p[1][t] = start(!grouped ? s.neg : part ? s.neg1 : s.neg0);
    }
    const int steps = 8 / parts;
    gather<steps>(w.codes + steps * part, x.x + steps * part, [&](const v128_t wk[2], v128_t xk, int t) {
      p[0][t] = add(p[0][t], xk, wk[0]);
      p[1][t] = add(p[1][t], xk, wk[1]);
    });
#pragma unroll
    for (int r = 0; r < 2; r++) {
      v128_t scales = {};
      if constexpr (grouped) scales = w.scales[part][r];
#pragma unroll
      for (int t = 0; t < 4; t++) {
        v128_t sum = finish(p[r][t], scales);
        sums[r][t] = part ? wasm_i32x4_add(sums[r][t], sum) : sum;
      }
    }
  }
}

// By the dot of two: sixteen products (Grouped: eight of each half) gather in a lane of i16; centred they are within
// +-32512, so that wrapping on the way does no harm.
template <class F>
INLINE void tile_dots_i16(const PanelGroup<F, false>& w, const TileI8& x, v128_t ones, v128_t sums[2][4]) {
  gather_parts<F>(
      w, x, sums, [](v128_t neg) { return times_i16<F::centre>(neg); },
      [](v128_t p, v128_t xk, v128_t wk) { return wasm_i16x8_add(p, dot_i8_u7(xk, wk)); },
      [=](v128_t p, v128_t scales) {
        return wasm_i32x4_dot_i16x8(p, F::family == blocks::Family::Grouped ? scales : ones);
      });
  if constexpr (F::centre != F::offset) {
#pragma unroll
    for (int t = 0; t < 4; t++) {
      v128_t back = wasm_i32x4_dot_i16x8(times_i16<F::centre>(x.sums[t].neg), ones);
      sums[0][t] = wasm_i32x4_sub(sums[0][t], back);
      sums[1][t] = wasm_i32x4_sub(sums[1][t], back);
    }
  }
}

// By the dot of four, which is one instruction where the engine has VNNI. Of Grouped formats the sums of 16 products fit
// i16, so that the lower half of a lane is all of it, and one product of i16 scales it.
template <class F>
INLINE void tile_dots_i32(const PanelGroup<F, false>& w, const TileI8& x, v128_t sums[2][4]) {
  const v128_t offset = wasm_i16x8_const_splat(F::offset), low_half = wasm_i32x4_const_splat(0xffff);
  gather_parts<F>(
      w, x, sums,
      [=](v128_t neg) { return F::offset == 0 ? wasm_i32x4_const_splat(0) : wasm_i32x4_dot_i16x8(neg, offset); },
      [](v128_t p, v128_t xk, v128_t wk) { return dot_add_i8_u7(xk, wk, p); },
      [=](v128_t p, v128_t scales) {
        if constexpr (F::family != blocks::Family::Grouped) return p;
        return wasm_i32x4_dot_i16x8(p, wasm_v128_and(scales, low_half));
      });
}

template <class F, Dot dot>
INLINE void tile_dots(const PanelGroup<F, false>& w, const TileI8& x, v128_t ones, v128_t sums[2][4]) {
  // Q6_K's do not fit, and a product of i32 takes what the dot gained (58 of 59 G/s).
  if constexpr (dot == DOT_I32 && (F::family != blocks::Family::Grouped || F::centre <= 4)) tile_dots_i32<F>(w, x, sums);
  else tile_dots_i16<F>(w, x, ones, sums);
}

template <class F, Dot>
INLINE void tile_dots(const PanelGroup<F, true>& w, const TileI16& x, v128_t, v128_t sums[2][4]) {
#pragma unroll
  for (int t = 0; t < 4; t++) sums[0][t] = sums[1][t] = wasm_i32x4_const_splat(0);
  gather<16>(w.codes, x.x, [&](const v128_t wk[2], v128_t xk, int t) {
    sums[0][t] = wasm_i32x4_add(sums[0][t], wasm_i32x4_dot_i16x8(xk, wk[0]));
    sums[1][t] = wasm_i32x4_add(sums[1][t], wasm_i32x4_dot_i16x8(xk, wk[1]));
  });
}

// Adds some groups of two rows of the panel and one tile to acc[row][token].
template <class F, Dot dot, bool wide, class Tile>
INLINE void add_tile(const PanelGroup<F, wide>* w, const Tile* x, uint32_t groups, v128_t ones, v128_t acc[2][4]) {
  for (const Tile* end = x + groups; x < end; x++, w++) {
    v128_t sums[2][4];
    tile_dots<F, dot>(*w, *x, ones, sums);
#pragma unroll
    for (int r = 0; r < 2; r++) {
      GroupScales s;
      s.scale = w->scale[r];
      if constexpr (F::family == blocks::Family::Minimum || F::grouped_minimums) s.minimum = w->minimum[r];
      if constexpr (F::grouped_minimums) s.minimums = w->minimums[r];
#pragma unroll
      for (int t = 0; t < 4; t++) {
        acc[r][t] = wasm_f32x4_add(acc[r][t], contribution<F>(sums[r][t], x->sums[t], s));
      }
    }
  }
}

// All rows of a panel and one tile: out[t * out_stride + r], r below `rows`. A segment of the tile meets all pairs of rows
// before the next does, for a tile of many columns is larger than the first cache.
template <class F, Dot dot, bool wide, class Tile>
INLINE void panel_product(const PanelGroup<F, wide>* panel, const Tile* tile, uint32_t groups, v128_t ones, float* out,
                          uint32_t out_stride, uint32_t rows) {
  constexpr uint32_t SEGMENT = 16;  // groups, 14 to 22 KB
  // Of a panel of more than one segment.
  constexpr uint32_t most_pairs = PANEL_BYTES / ((SEGMENT + 1) * sizeof(PanelGroup<F, wide>)) + 1;
  v128_t between[most_pairs][2][4];
  for (uint32_t from = 0; from < groups; from += SEGMENT) {
    const uint32_t count = groups - from < SEGMENT ? groups - from : SEGMENT;
    for (uint32_t pair = 0; 2 * pair < rows; pair++) {
      v128_t acc[2][4] = {};
      if (from > 0) memcpy(acc, between[pair], sizeof(acc));
      add_tile<F, dot>(panel + pair * groups + from, tile + from, count, ones, acc);
      if (from + count < groups) {
        memcpy(between[pair], acc, sizeof(acc));
        continue;
      }
#pragma unroll
      for (int t = 0; t < 4; t++) {
        out[t * out_stride + 2 * pair] = sum_f32(acc[0][t]);
        if (2 * pair + 1 < rows) out[t * out_stride + 2 * pair + 1] = sum_f32(acc[1][t]);
      }
    }
  }
}

// Tiles of tokens; see kernels.h.
template <class F, class Tile>
INLINE void matmul(const ProductArgs& args) {
  constexpr bool wide = __is_same(Tile, TileI16);
  using Group = PanelGroup<F, wide>;
  static_assert(sizeof(Group) <= LARGEST_PANEL_GROUP);
  const F f;
  const v128_t ones = constant_i16(1);
  const uint32_t cols = args.cols, rows = args.rows;
  const uint32_t groups = groups_of(cols), row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  const uint32_t panel_rows = 2 * (panel_bytes(cols) / (groups * sizeof(Group)));
  Group* panel = reinterpret_cast<Group*>(args.scratch);
  ReadAhead<1> read_ahead(args.w, args.read_ahead ? rows * row_bytes : 0, 0);
  for (uint32_t row = 0; row < rows; row += panel_rows) {
    const uint32_t count = rows - row < panel_rows ? rows - row : panel_rows;
    for (uint32_t r = 0; r < count; r++) {
      unpack_row<F, wide>(f, args.w + (row + r) * row_bytes, cols, panel + r / 2 * groups, r % 2, read_ahead);
    }
    for (uint32_t t = 0; t < args.tokens; t += 4) {
      const Tile* tile = reinterpret_cast<const Tile*>(args.x) + t / 4 * groups;
      float* to = args.out + t * args.out_stride + row;
      if (!wide && args.dot == DOT_I32) panel_product<F, DOT_I32>(panel, tile, groups, ones, to, args.out_stride, count);
      else panel_product<F, DOT_I16>(panel, tile, groups, ones, to, args.out_stride, count);
    }
  }
  read_ahead.finish();
}
