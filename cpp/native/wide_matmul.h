// Many tokens' product with quantized weights, for the host's wide vectors: ../matmul.h with a row in each lane. A panel of rows
// is unpacked once, L rows to a vector; activations are one token's in all lanes. All additions are ../matvec.h's, in its order.
#pragma once
#include "../few_tokens.h"
#include "wide_rows.h"

template <class F>
inline constexpr bool signed_codes = Signed<F> || requires(const uint8_t* p) { F::bytes_of(p, 0); };

// A group of L rows in the panel: vector k has dword k of a row's four blocks in the row's lane.
template <class F>
struct WideGroup {
  wide::ints codes[8];
  wide::floats scale;
  wide::floats minimum[F::family == blocks::Family::Minimum || F::grouped_minimums ? 1 : 0];
  wide::ints minimums[F::grouped_minimums ? 1 : 0];
  wide::ints scales[F::family == blocks::Family::Grouped ? 2 : 0];  // i32, of the first and second 16 values
};

// Vectors of rows, and tokens, that are multiplied at once: registers for 32 vectors, or 16.
inline constexpr int WIDE_ROWS = wide::L == 4 ? 4 : 2, WIDE_TOKENS = 2;

// A panel has some groups of 16 rows: with the tile that it meets it fits the first cache, which the tokens then pass through.
inline constexpr uint32_t PANEL_ROWS = 16, PANEL_VECTORS = PANEL_ROWS / wide::L, PANEL_GROUPS = 8;
// Tiles pass through panels of the same columns and other rows, and leave their sums for the next columns: what all this needs
// of the tiles, and the sums, fit the second cache.
inline constexpr uint32_t TILES = 64, PANELS = 4;

// The sums of a tile's four tokens and the panel's rows.
using TileSums = wide::floats[PANEL_VECTORS][4];

inline constexpr uint32_t LARGEST_GROUP = 13 * sizeof(wide::ints), LARGEST_PANEL = PANEL_VECTORS * PANEL_GROUPS * LARGEST_GROUP;
inline constexpr uint32_t ALIGNMENT = 64;
INLINE uint32_t panel_bytes(uint32_t) { return ALIGNMENT + LARGEST_PANEL + PANELS * TILES * sizeof(TileSums); }

template <class F, int half>
INLINE void unpack_wide(const F& f, const uint8_t* w, WideGroup<F>& out, int lane) {
  v128_t dwords[8];
  codes_in_dwords<F, half>(f, w, dwords);
  for (int k = 0; k < 8; k++) {
    wide::set_lane(out.codes[k], lane, signed_codes<F> ? wide::stored_signed(dwords[k]) : dwords[k]);
  }
  GroupScales s = group_scales_of<F, half>(f, w);
  wide::set_lane(out.scale, lane, s.scale);
  if constexpr (F::family == blocks::Family::Minimum || F::grouped_minimums) wide::set_lane(out.minimum[0], lane, s.minimum);
  if constexpr (F::grouped_minimums) wide::set_lane(out.minimums[0], lane, s.minimums);
  if constexpr (F::family == blocks::Family::Grouped) {
    v128_t k = f.template group_scales<half>(w);
    wide::set_lane(out.scales[0], lane, wasm_i32x4_shr(wasm_i32x4_shl(k, 16), 16));
    wide::set_lane(out.scales[1], lane, wasm_i32x4_shr(k, 16));
  }
}

// Groups of some columns of up to PANEL_ROWS rows. Vectors of rows are PANEL_GROUPS groups apart.
template <class F>
INLINE void unpack_panel(const uint8_t* w, uint32_t row_bytes, uint32_t rows, uint32_t cols, WideGroup<F>* panel) {
#if TRAMONTANE_FAR_ROWS
  if constexpr (wide::FourRows<F>::there) {
    for (uint32_t row = 0; row < rows; row += 4, panel += PANEL_GROUPS) {
      // Where fewer than four are left, the last stands for those that are missing.
      const uint8_t* at[4];
      for (uint32_t r = 0; r < 4; r++) at[r] = w + (row + r < rows ? row + r : rows - 1) * row_bytes;
      WideGroup<F>* to = panel;
      wide::for_each_unit_of_four<F>(at, cols, [&](const uint8_t* const* unit) INLINED {
        wide::FourRows<F>::load(unit, [&](const wide::GroupOfFour& group) INLINED {
          wide::transpose_lanes(group.low, to->codes);
          wide::transpose_lanes(group.high, to->codes + 4);
          to->scale = group.scale;
          if constexpr (F::family == blocks::Family::Minimum) to->minimum[0] = group.minimum;
          for (int i = 0; F::family == blocks::Family::Grouped && i < 2; i++) to->scales[i] = group.groups[i];
          to++;
        });
      });
    }
    return;
  }
#endif
  const F f;
  for (uint32_t row = 0; row < rows; row++, w += row_bytes) {
    WideGroup<F>* to = panel + row / wide::L * PANEL_GROUPS;
    for_each_unit<F>(w, cols, [&](const uint8_t* unit) {
      unpack_wide<F, 0>(f, unit, *to++, row % wide::L);
      if constexpr (F::unit == 2 * GROUP) unpack_wide<F, 1>(f, unit, *to++, row % wide::L);
    });
  }
}

// Adds `groups` groups of R vectors of rows and T tokens of a tile, from its token t0 on.
template <class F, int R, int T>
INLINE void add_wide_tile(const WideGroup<F>* w, const TileI8* x, int t0, uint32_t groups, wide::floats acc[R][T]) {
  using wide::floats;
  using wide::ints;
  constexpr bool grouped = F::family == blocks::Family::Grouped;
  constexpr int parts = grouped ? 2 : 1;
  const v128_t offset = wasm_i16x8_splat(signed_codes<F> ? wide::SIGNED_OFFSET : F::offset);
  for (const TileI8* end = x + groups; x < end; x++, w++) {
    ints sums[R][T];
#pragma unroll
    for (int part = 0; part < parts; part++) {
      ints p[R][T];
#pragma unroll
      for (int t = 0; t < T; t++) {
        const GroupSums& s = x->sums[t0 + t];
        ints start = wide::broadcast(wasm_i32x4_dot_i16x8(!grouped ? s.neg : part ? s.neg1 : s.neg0, offset));
#pragma unroll
        for (int r = 0; r < R; r++) p[r][t] = start;
      }
#pragma unroll
      for (int k = 8 / parts * part; k < 8 / parts * (part + 1); k++) {
#pragma unroll
        for (int t = 0; t < T; t++) {
          const ints xk = wide::broadcast(x->x[k][t0 + t]);
#pragma unroll
          for (int r = 0; r < R; r++) p[r][t] = wide::dot<signed_codes<F>>(p[r][t], w[r * PANEL_GROUPS].codes[k], xk);
        }
      }
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int t = 0; t < T; t++) {
          if constexpr (grouped) p[r][t] *= w[r * PANEL_GROUPS].scales[part];
          sums[r][t] = part ? sums[r][t] + p[r][t] : p[r][t];
        }
      }
    }
#pragma unroll
    for (int t = 0; t < T; t++) {
      const GroupSums& s = x->sums[t0 + t];
      const floats scale = wide::broadcast_floats(s.scale);
#pragma unroll
      for (int r = 0; r < R; r++) {
        const WideGroup<F>& g = w[r * PANEL_GROUPS];
        floats value = wide::to_floats(sums[r][t]) * (g.scale * scale);
        if constexpr (F::family == blocks::Family::Minimum) value = value + g.minimum[0] * wide::broadcast_floats(s.sum);
        if constexpr (F::grouped_minimums) {
          const floats minus = wide::to_floats(wide::dot_i16(wide::broadcast(s.neg_groups), g.minimums[0]));
          value = value + minus * (g.minimum[0] * scale);
        }
        acc[r][t] = acc[r][t] + value;
      }
    }
  }
}

// The bytes of the next panel, which come near while this one is multiplied.
class NextWeights {
 public:
  NextWeights(const uint8_t* at, uint32_t row_bytes, uint32_t rows, uint32_t bytes)
      : row_(at), row_bytes_(row_bytes), lines_((bytes + LINE - 1) / LINE), left_(rows * lines_) {}

  // The share of one of `times` calls that are still to come.
  INLINE void fetch(uint32_t times) {
    for (uint32_t n = (left_ + times - 1) / times; n > 0; n--, left_--) {
      __builtin_prefetch(row_ + line_ * LINE, 0, 2);
      if (++line_ == lines_) {
        line_ = 0;
        row_ += row_bytes_;
      }
    }
  }

 private:
  static constexpr uint32_t LINE = 64;
  const uint8_t* row_;
  uint32_t row_bytes_, lines_, left_, line_ = 0;
};

// R vectors of the panel's rows, from vector v on, and a tile.
template <class F, int R>
INLINE void wide_rows(const WideGroup<F>* panel, uint32_t v, const TileI8* tile, uint32_t groups, TileSums& sums, bool first) {
  for (int t0 = 0; t0 < 4; t0 += WIDE_TOKENS) {
    wide::floats acc[R][WIDE_TOKENS];
    for (int r = 0; r < R; r++) {
      for (int t = 0; t < WIDE_TOKENS; t++) acc[r][t] = first ? wide::floats{} : sums[v + r][t0 + t];
    }
    add_wide_tile<F, R, WIDE_TOKENS>(panel + v * PANEL_GROUPS, tile, t0, groups, acc);
    for (int r = 0; r < R; r++) {
      for (int t = 0; t < WIDE_TOKENS; t++) sums[v + r][t0 + t] = acc[r][t];
    }
  }
}

// Of the panel's rows, and all tiles, which are `apart` groups long.
template <class F>
SEPARATE void wide_panel(const WideGroup<F>* panel, uint32_t vectors, const TileI8* tile, uint32_t apart, uint32_t tiles,
                         uint32_t groups, TileSums* sums, bool first, NextWeights& next) {
  for (uint32_t i = 0; i < tiles; i++, tile += apart) {
    next.fetch(tiles - i);
    uint32_t v = 0;
    for (; v + WIDE_ROWS <= vectors; v += WIDE_ROWS) wide_rows<F, WIDE_ROWS>(panel, v, tile, groups, sums[i], first);
    for (; v < vectors; v++) wide_rows<F, 1>(panel, v, tile, groups, sums[i], first);
  }
}

// Tiles of tokens; see kernels.h.
template <class F, class>
INLINE void matmul(const ProductArgs& args) {
  using Group = WideGroup<F>;
  static_assert(sizeof(Group) <= LARGEST_GROUP);
  const uint32_t cols = args.cols, rows = args.rows, groups = groups_of(cols);
  const uint32_t row_bytes = cols / 32 * F::bytes / (F::unit / 32), step = PANEL_GROUPS * GROUP / F::unit * F::bytes;
  Group* panel = reinterpret_cast<Group*>((reinterpret_cast<uintptr_t>(args.scratch) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  TileSums* sums = reinterpret_cast<TileSums*>(reinterpret_cast<uint8_t*>(panel) + LARGEST_PANEL);
  const auto least = [](uint32_t a, uint32_t b) { return a < b ? a : b; };
  for (uint32_t t = 0; t < args.tokens; t += 4 * TILES) {
    const uint32_t tiles = least((args.tokens - t + 3) / 4, TILES);
    const TileI8* x = reinterpret_cast<const TileI8*>(args.x) + t / 4 * groups;
    for (uint32_t row = 0; row < rows; row += PANELS * PANEL_ROWS) {
      const uint32_t end = least(row + PANELS * PANEL_ROWS, rows);
      for (uint32_t from = 0; from < groups; from += PANEL_GROUPS) {
        const uint32_t some = least(groups - from, PANEL_GROUPS), columns = least(cols - from * GROUP, some * GROUP);
        for (uint32_t r = row; r < end; r += PANEL_ROWS) {
          const uint32_t count = least(end - r, PANEL_ROWS);
          const uint8_t* w = args.w + r * row_bytes + from / PANEL_GROUPS * step;
          unpack_panel<F>(w, row_bytes, count, columns, panel);
          // Below these rows, or else to the right of all.
          const bool below = r + count < end, last = from + some == groups;
          const uint8_t* first = args.w + row * row_bytes + from / PANEL_GROUPS * step;
          NextWeights next(below ? w + count * row_bytes : first + step, row_bytes,
                           below ? least(end - r - count, PANEL_ROWS) : last ? 0 : least(end - row, PANEL_ROWS),
                           least(step, row_bytes - from / PANEL_GROUPS * step));
          wide_panel<F>(panel, (count + wide::L - 1) / wide::L, x + from, groups, tiles, some, sums + (r - row) / PANEL_ROWS * TILES,
                        from == 0, next);
        }
      }
      float* out = args.out + t * args.out_stride;
      for (uint32_t i = 0; i < 4 * tiles; i++, out += args.out_stride) {
        for (uint32_t r = row; r < end; r++) {
          const uint32_t vector = (r - row) / wide::L, lane = (r - row) % wide::L;
          const TileSums& of = sums[vector / PANEL_VECTORS * TILES + i / 4];
          out[r] = sum_f32(wide::lane_of(of[vector % PANEL_VECTORS][i % 4], lane));
        }
      }
    }
  }
}
