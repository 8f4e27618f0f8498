// Few tokens' product with the formats that most weights have, for 512 bits with VNNI: four far rows at a time, each a linear
// stream and in the end a lane; a group of 128 columns of each a step, of which vector lane k first holds dword k of the four
// blocks. Every addition of floats is ../matvec.h's, in its order. Other formats and levels take that file's loops.
#pragma once
#include "wide_rows.h"

#if TRAMONTANE_FAR_ROWS

namespace wide {

INLINE ints add_lanes(const ints v[4]) {
  return fold_lanes(v, [](ints a, ints b) { return a + b; });
}

// The dots of a group of four rows and a token, block b of row r in lane r.
template <class F>
INLINE ints dots_of_four(const GroupOfFour& group, const VecI8Dwords& v) {
  const ints x_low = load(v.x), x_high = load(v.x + 4);
  const v128_t offset = wasm_i16x8_splat(FourRows<F>::is_signed ? SIGNED_OFFSET : F::offset);
  const auto minus_offset = [&](v128_t neg) { return broadcast(wasm_i32x4_dot_i16x8(neg, offset)); };
  ints p[4];
  if constexpr (F::family == blocks::Family::Grouped) {
#pragma unroll
    for (int r = 0; r < 4; r++) p[r] = dot<false>(ints{}, group.low[r], x_low);
    const ints first = (add_lanes(p) + minus_offset(v.sums.neg0)) * group.groups[0];
#pragma unroll
    for (int r = 0; r < 4; r++) p[r] = dot<false>(ints{}, group.high[r], x_high);
    return first + (add_lanes(p) + minus_offset(v.sums.neg1)) * group.groups[1];
  } else {
#pragma unroll
    for (int r = 0; r < 4; r++) p[r] = dot<false>(dot<false>(ints{}, group.low[r], x_low), group.high[r], x_high);
    const ints sum = add_lanes(p);
    return FourRows<F>::is_signed || F::offset != 0 ? sum + minus_offset(v.sums.neg) : sum;
  }
}

// Adds a group of four rows to the sums of T tokens.
template <class F, int T>
INLINE void add_group_of_four(const GroupOfFour& group, const VecI8Dwords* x, uint32_t groups, floats acc[T]) {
#pragma unroll
  for (int t = 0; t < T; t++) {
    const VecI8Dwords& v = x[t * groups];
    floats value = to_floats(dots_of_four<F>(group, v)) * (group.scale * broadcast_floats(v.sums.scale));
    if constexpr (F::family == blocks::Family::Minimum) value = value + group.minimum * broadcast_floats(v.sums.sum);
    acc[t] = acc[t] + value;
  }
}

// `rows` rows of each of four streams.
template <class F, int T>
SEPARATE void multiply_far_rows(const uint8_t* const start[4], uint32_t rows, const VecI8Dwords* packed, float* const to[4],
                                uint32_t out_stride, uint32_t cols) {
  const uint32_t groups = groups_of(cols);
  const uint8_t* at[4] = {start[0], start[1], start[2], start[3]};
  for (uint32_t row = 0; row < rows; row++) {
    floats acc[T] = {};
    const VecI8Dwords* x = packed;
    for_each_unit_of_four<F>(at, cols, [&](const uint8_t* const* unit) INLINED {
      FourRows<F>::load(unit, [&](const GroupOfFour& group) INLINED { add_group_of_four<F, T>(group, x++, groups, acc); });
    });
    for (int t = 0; t < T; t++) {
      for (int r = 0; r < 4; r++) to[r][t * out_stride + row] = sum_f32(lane_of(acc[t], r));
    }
  }
}

template <class F, int T>
INLINE void multiply(const uint8_t* w, const VecI8Dwords* x, float* out, uint32_t out_stride, uint32_t cols, uint32_t rows) {
  const uint32_t part = rows / 4, row_bytes = cols / 32 * F::bytes / (F::unit / 32);
  const uint8_t* at[4];
  float* to[4];
  for (uint32_t r = 0; r < 4; r++) {
    at[r] = w + r * part * row_bytes;
    to[r] = out + r * part;
  }
  multiply_far_rows<F, T>(at, part, x, to, out_stride, cols);
  // The last rows, fewer than four: those that are missing are the last one again.
  if (const uint32_t rest = rows - 4 * part) {
    float copies[4][T];
    for (uint32_t r = 0; r < 4; r++) {
      at[r] = w + (4 * part + (r < rest ? r : rest - 1)) * row_bytes;
      to[r] = copies[r];
    }
    multiply_far_rows<F, T>(at, 1, x, to, 1, cols);
    for (uint32_t r = 0; r < rest; r++) {
      for (int t = 0; t < T; t++) out[t * out_stride + 4 * part + r] = copies[r][t];
    }
  }
}

// See kernels.h.
template <class F>
INLINE void matvec(const ProductArgs& args) {
  for (uint32_t t = 0; t < args.tokens;) {
    const uint32_t left = args.tokens - t, count = left == 1 || left == 3 ? left : 2;
    const VecI8Dwords* x = reinterpret_cast<const VecI8Dwords*>(args.x) + t * groups_of(args.cols);
    float* out = args.out + t * args.out_stride;
    if (count == 3) multiply<F, 3>(args.w, x, out, args.out_stride, args.cols, args.rows);
    else if (count == 2) multiply<F, 2>(args.w, x, out, args.out_stride, args.cols, args.rows);
    else multiply<F, 1>(args.w, x, out, args.out_stride, args.cols, args.rows);
    t += count;
  }
}

}  // namespace wide

#define FAR_ROWS(NAME)                                                  \
  template <>                                                            \
  INLINE void matvec<blocks::NAME, VecI8Dwords>(const ProductArgs& args) { \
    wide::matvec<blocks::NAME>(args);                                    \
  }
FAR_ROWS(Q4_0)
FAR_ROWS(Q8_0)
FAR_ROWS(Q4_K)
FAR_ROWS(Q5_K)
FAR_ROWS(Q6_K)
FAR_ROWS(Q4_0_R)
FAR_ROWS(Q4_K_R)
#undef FAR_ROWS

#endif
