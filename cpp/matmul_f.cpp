// Products of F32, F16 and BF16 weights with f32 activations, packed as pack_f32.h tells.
//
// The order of additions: accumulator = class (8 of 4 lanes, 32 columns a step), over the steps; then the classes one after
// another, then the lanes. The one-token form keeps all 8 classes in registers over one linear stream of weights; the
// many-token form takes class after class, with one accumulator for each row and token of a tile of 2 rows and 4 tokens.
#include "f32x4.h"
#include "pack_f32.h"

namespace {

// Each format: a weight's bytes, a step's 32 weights as 8 vectors in the packing's order, and the finished sum's factor.
struct WeightsF32 {
  static constexpr uint32_t bytes = 4;
  static constexpr float sum_scale = 1;
  static void load_step(const uint8_t* w, v128_t out[F32_CLASSES]) {
    for (uint32_t i = 0; i < 8; i++) out[i] = wasm_v128_load(w + 16 * i);
  }
};

struct WeightsBF16 {
  static constexpr uint32_t bytes = 2;
  static constexpr float sum_scale = 1;
  static void load_step(const uint8_t* w, v128_t out[F32_CLASSES]) {
    for (uint32_t i = 0; i < 4; i++) {
      v128_t pairs = wasm_v128_load(w + 16 * i);
      out[2 * i] = wasm_i32x4_shl(pairs, 16);
      out[2 * i + 1] = wasm_v128_and(pairs, wasm_i32x4_const_splat(0xffff0000));
    }
  }
};

// Values times 2^-112: the sign and the exponent's three high bits come from an arithmetic shift.
struct WeightsF16 {
  static constexpr uint32_t bytes = 2;
  static constexpr float sum_scale = F16_SUM_SCALE;
  static void load_step(const uint8_t* w, v128_t out[F32_CLASSES]) {
    v128_t mask = wasm_i32x4_const_splat(0x8fffe000);
    for (uint32_t i = 0; i < 4; i++) {
      v128_t pairs = wasm_v128_load(w + 16 * i);
      out[2 * i] = wasm_v128_and(wasm_i32x4_shr(wasm_i32x4_shl(pairs, 16), 3), mask);
      out[2 * i + 1] = wasm_v128_and(wasm_i32x4_shr(pairs, 3), mask);
    }
  }
};

// The last step of a row whose columns are no multiple of 32, padded with zeros.
template <class Weights>
struct Tail {
  uint8_t padded[F32_STEP * Weights::bytes] __attribute__((aligned(16))) = {};
  Tail(const uint8_t* w, uint32_t cols) {
    uint32_t whole = cols / F32_STEP * F32_STEP;
    for (uint32_t i = 0; i < (cols - whole) * Weights::bytes; i++) padded[i] = w[whole * Weights::bytes + i];
  }
};

template <class Weights>
inline void multiply_step(v128_t sum[F32_CLASSES], const uint8_t* w, const v128_t* x) {
  v128_t weights[F32_CLASSES];
  Weights::load_step(w, weights);
  for (uint32_t i = 0; i < F32_CLASSES; i++) sum[i] = f32x4_muladd(sum[i], weights[i], x[i]);
}

template <class Weights>
void matvec(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows) {
  uint32_t whole = cols / F32_STEP;
  const v128_t* vectors = (const v128_t*)x;
  for (uint32_t r = 0; r < rows; r++, w += cols * Weights::bytes) {
    v128_t sum[F32_CLASSES];
    for (v128_t& s : sum) s = f32x4_zero();
    for (uint32_t s = 0; s < whole; s++)
      multiply_step<Weights>(sum, w + s * F32_STEP * Weights::bytes, vectors + s * F32_CLASSES);
    if (cols % F32_STEP) multiply_step<Weights>(sum, Tail<Weights>(w, cols).padded, vectors + whole * F32_CLASSES);
    v128_t total = sum[0];
    for (uint32_t i = 1; i < F32_CLASSES; i++) total = wasm_f32x4_add(total, sum[i]);
    out[r] = f32x4_hsum(total) * Weights::sum_scale;
  }
}

// The panel: for each pair of rows, class after class, step after step, the two rows' vectors. A missing second row is zero.
template <class Weights>
void unpack_panel(const uint8_t* w, uint32_t cols, uint32_t rows, v128_t* panel) {
  uint32_t steps = f32_steps(cols), whole = cols / F32_STEP;
  for (uint32_t r = 0; r < rows; r++, w += cols * Weights::bytes) {
    v128_t* pair = panel + (r / 2 * F32_CLASSES * steps * 2) + r % 2;
    auto unpack = [&](const uint8_t* from, uint32_t s) {
      v128_t weights[F32_CLASSES];
      Weights::load_step(from, weights);
      for (uint32_t c = 0; c < F32_CLASSES; c++) pair[(c * steps + s) * 2] = weights[c];
    };
    for (uint32_t s = 0; s < whole; s++) unpack(w + s * F32_STEP * Weights::bytes, s);
    if (steps > whole) unpack(Tail<Weights>(w, cols).padded, whole);
  }
  if (rows % 2)
    for (uint32_t i = 0; i < F32_CLASSES * steps; i++) panel[(rows / 2 * F32_CLASSES * steps + i) * 2 + 1] = f32x4_zero();
}

// One class of 2 rows and 4 tokens, added to (or, for the first class, stored in) total[row][token].
inline void multiply_class(const v128_t* w, const v128_t* x, uint32_t steps, bool first, v128_t total[2][F32_TILE]) {
  v128_t sum[2][F32_TILE];
  for (auto& row : sum)
    for (v128_t& s : row) s = f32x4_zero();
#pragma clang loop unroll(disable)
  for (uint32_t s = 0; s < steps; s++, w += 2, x += F32_TILE)
    for (uint32_t t = 0; t < F32_TILE; t++) {
      sum[0][t] = f32x4_muladd(sum[0][t], w[0], x[t]);
      sum[1][t] = f32x4_muladd(sum[1][t], w[1], x[t]);
    }
  for (uint32_t r = 0; r < 2; r++)
    for (uint32_t t = 0; t < F32_TILE; t++) total[r][t] = first ? sum[r][t] : wasm_f32x4_add(total[r][t], sum[r][t]);
}

constexpr uint32_t MOST_PAIRS = 16;  // of f32_panel_rows

template <class Weights>
void matmul(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows, uint32_t tokens,
            uint32_t out_stride, uint8_t* scratch) {
  uint32_t steps = f32_steps(cols), panel_rows = f32_panel_rows(cols);
  v128_t* panel = (v128_t*)scratch;
  v128_t total[MOST_PAIRS][2][F32_TILE];
  for (uint32_t row = 0; row < rows; row += panel_rows) {
    uint32_t count = rows - row < panel_rows ? rows - row : panel_rows, pairs = (count + 1) / 2;
    unpack_panel<Weights>(w + row * cols * Weights::bytes, cols, count, panel);
    for (uint32_t token = 0; token < tokens; token += F32_TILE) {
      const v128_t* tile = (const v128_t*)x + token * F32_CLASSES * steps;
      // Class outside, rows inside: a class of the tile stays in the first cache for all rows of the panel.
      for (uint32_t c = 0; c < F32_CLASSES; c++)
        for (uint32_t p = 0; p < pairs; p++)
          multiply_class(panel + (p * F32_CLASSES + c) * steps * 2, tile + c * steps * F32_TILE, steps, c == 0, total[p]);
      for (uint32_t r = 0; r < count; r++) {
        v128_t* sums = total[r / 2][r % 2];
        v128_t dots = wasm_f32x4_mul(f32x4_hsum4(sums[0], sums[1], sums[2], sums[3]), wasm_f32x4_const_splat(Weights::sum_scale));
        float lanes[F32_TILE];
        wasm_v128_store(lanes, dots);
        for (uint32_t t = 0; t < F32_TILE; t++) out[(token + t) * out_stride + row + r] = lanes[t];
      }
    }
  }
}

}  // namespace

#define PRODUCT(name, Weights)                                                                                        \
  KERNEL void matvec_##name(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows) {           \
    matvec<Weights>(w, x, out, cols, rows);                                                                           \
  }                                                                                                                   \
  KERNEL void matmul_##name(const uint8_t* w, const uint8_t* x, float* out, uint32_t cols, uint32_t rows,             \
                            uint32_t tokens, uint32_t out_stride, uint8_t* scratch) {                                 \
    matmul<Weights>(w, x, out, cols, rows, tokens, out_stride, scratch);                                              \
  }
PRODUCT(f32, WeightsF32)
PRODUCT(f16, WeightsF16)
PRODUCT(bf16, WeightsBF16)

KERNEL void dequantize_f32(const uint8_t* src, float* dst, uint32_t n) { __builtin_memcpy(dst, src, n * sizeof(float)); }

KERNEL void dequantize_f16(const uint8_t* src, float* dst, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint16_t half;
    __builtin_memcpy(&half, src + 2 * i, 2);
    dst[i] = wasm_f32x4_extract_lane(f32x4_from_f16(wasm_i32x4_splat(half)), 0);
  }
}

KERNEL void dequantize_bf16(const uint8_t* src, float* dst, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint16_t half;
    __builtin_memcpy(&half, src + 2 * i, 2);
    dst[i] = __builtin_bit_cast(float, (uint32_t)half << 16);
  }
}
