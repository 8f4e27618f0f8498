// Many tokens' product with quantized weights, for the host's wide vectors: ../matmul.h with a row in each lane. A panel of rows
// is unpacked once, L rows to a vector; activations are one token's in all lanes. All additions are ../matvec.h's, in its order.
#pragma once
#include "../few_tokens.h"
#include "wide.h"

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

// Bytes of a panel: about a third of a usual second-level cache, and always what is multiplied at once.
inline constexpr uint32_t PANEL_BYTES = 160 * 1024, LARGEST_GROUP = 13 * sizeof(wide::ints), ALIGNMENT = 64;
INLINE uint32_t panel_bytes(uint32_t cols) {
  const uint32_t least = groups_of(cols) * WIDE_ROWS * LARGEST_GROUP;
  return (least > PANEL_BYTES ? least : PANEL_BYTES) + ALIGNMENT;
}

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

// Adds `groups` groups of R vectors of rows and T tokens of a tile, from its token t on. Vectors of rows are `apart` groups
// apart.
template <class F, int R, int T>
INLINE void add_wide_tile(const WideGroup<F>* w, uint32_t apart, const TileI8* x, int t0, uint32_t groups,
                          wide::floats acc[R][T]) {
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
          for (int r = 0; r < R; r++) p[r][t] = wide::dot<signed_codes<F>>(p[r][t], w[r * apart].codes[k], xk);
        }
      }
#pragma unroll
      for (int r = 0; r < R; r++) {
#pragma unroll
        for (int t = 0; t < T; t++) {
          if constexpr (grouped) p[r][t] *= w[r * apart].scales[part];
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
        const WideGroup<F>& g = w[r * apart];
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

// Some groups of R vectors of rows and one tile. The sums so far come from `between` and go there, but for the first and last
// groups.
template <class F, int R>
INLINE void wide_rows(const WideGroup<F>* panel, const TileI8* tile, uint32_t groups, uint32_t from, uint32_t count,
                      wide::floats (*between)[4], bool first, bool last, float* out, uint32_t out_stride, uint32_t rows) {
  for (int t0 = 0; t0 < 4; t0 += WIDE_TOKENS) {
    wide::floats acc[R][WIDE_TOKENS];
    for (int r = 0; r < R; r++) {
      for (int t = 0; t < WIDE_TOKENS; t++) acc[r][t] = first ? wide::floats{} : between[r][t0 + t];
    }
    add_wide_tile<F, R, WIDE_TOKENS>(panel + from, groups, tile + from, t0, count, acc);
    for (int r = 0; r < R; r++) {
      for (int t = 0; t < WIDE_TOKENS; t++) {
        if (!last) {
          between[r][t0 + t] = acc[r][t];
          continue;
        }
        for (uint32_t lane = 0; lane < wide::L && r * wide::L + lane < rows; lane++) {
          out[(t0 + t) * out_stride + r * wide::L + lane] = sum_f32(wide::lane_of(acc[r][t], lane));
        }
      }
    }
  }
}

// All rows of a panel and one tile: out[t * out_stride + r], r below `rows`. A segment of the tile meets all rows before the
// next does, for a tile of many columns is larger than the first cache.
template <class F>
SEPARATE void wide_panel(const WideGroup<F>* panel, const TileI8* tile, uint32_t groups, float* out, uint32_t out_stride,
                         uint32_t rows) {
  constexpr uint32_t SEGMENT = 16;  // groups, 14 KB
  // Of a panel of more than one segment.
  constexpr uint32_t most = PANEL_BYTES / ((SEGMENT + 1) * sizeof(WideGroup<F>)) + WIDE_ROWS;
  wide::floats between[most][4];
  const uint32_t vectors = (rows + wide::L - 1) / wide::L;
  for (uint32_t from = 0; from < groups; from += SEGMENT) {
    const uint32_t count = groups - from < SEGMENT ? groups - from : SEGMENT;
    const bool first = from == 0, last = from + count == groups;
    uint32_t v = 0;
    for (; v + WIDE_ROWS <= vectors; v += WIDE_ROWS) {
      wide_rows<F, WIDE_ROWS>(panel + v * groups, tile, groups, from, count, between + v, first, last, out + v * wide::L,
                              out_stride, rows - v * wide::L);
    }
    for (; v < vectors; v++) {
      wide_rows<F, 1>(panel + v * groups, tile, groups, from, count, between + v, first, last, out + v * wide::L, out_stride,
                      rows - v * wide::L);
    }
  }
}

// Tiles of tokens; see kernels.h.
template <class F, class>
INLINE void matmul(const ProductArgs& args) {
  using Group = WideGroup<F>;
  static_assert(sizeof(Group) <= LARGEST_GROUP);
  const F f;
  const uint32_t cols = args.cols, rows = args.rows;
  const uint32_t groups = groups_of(cols), row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  const uint32_t fit = (panel_bytes(cols) - ALIGNMENT) / (groups * sizeof(Group)), vectors = fit / WIDE_ROWS * WIDE_ROWS;
  const uint32_t panel_rows = vectors * wide::L;
  Group* panel = reinterpret_cast<Group*>((reinterpret_cast<uintptr_t>(args.scratch) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  for (uint32_t row = 0; row < rows; row += panel_rows) {
    const uint32_t count = rows - row < panel_rows ? rows - row : panel_rows;
    for (uint32_t r = 0; r < count; r++) {
      Group* to = panel + r / wide::L * groups;
      for_each_unit<F>(args.w + (row + r) * row_bytes, cols, [&](const uint8_t* unit) {
        unpack_wide<F, 0>(f, unit, *to++, r % wide::L);
        if constexpr (F::unit == 2 * GROUP) unpack_wide<F, 1>(f, unit, *to++, r % wide::L);
      });
    }
    for (uint32_t t = 0; t < args.tokens; t += 4) {
      const TileI8* tile = reinterpret_cast<const TileI8*>(args.x) + t / 4 * groups;
      wide_panel<F>(panel, tile, groups, args.out + t * args.out_stride + row, args.out_stride, count);
    }
  }
}
