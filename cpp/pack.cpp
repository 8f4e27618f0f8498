// Packing of activations for the products: sends each kind of packing to the family that defines it.
#include "kernels.h"
#include "matmul.h"
#include "pack_f32.h"
#include "pack_q8.h"

static bool is_f32(uint32_t format) { return format == F32 || format == F16 || format == BF16; }

KERNEL uint32_t vec_kind(uint32_t format) {
  return is_f32(format) ? pack_f32_vec_kind(format) : pack_q8_vec_kind(format);
}
KERNEL uint32_t tile_kind(uint32_t format) {
  return is_f32(format) ? pack_f32_tile_kind(format) : pack_q8_tile_kind(format);
}
KERNEL uint32_t vec_bytes(uint32_t kind, uint32_t cols) {
  return kind < PACK_F32_KINDS ? pack_f32_vec_bytes(kind, cols) : pack_q8_vec_bytes(kind, cols);
}
KERNEL uint32_t tile_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  return kind < PACK_F32_KINDS ? pack_f32_tile_bytes(kind, cols, tokens) : pack_q8_tile_bytes(kind, cols, tokens);
}
KERNEL void pack_vec(uint32_t kind, const float* x, uint8_t* dst, uint32_t cols, uint32_t col0, uint32_t col1) {
  if (kind < PACK_F32_KINDS) return pack_f32_vec(kind, x, dst, cols, col0, col1);
  pack_q8_vec(kind, x, dst, cols, col0, col1);
}
KERNEL void pack_tile(uint32_t kind, const float* x, uint32_t stride, const uint32_t* index, uint32_t tokens,
                      uint8_t* dst, uint32_t cols, uint32_t col0, uint32_t col1, uint32_t tile0, uint32_t tile1) {
  if (kind < PACK_F32_KINDS) return pack_f32_tile(kind, x, stride, index, tokens, dst, cols, col0, col1, tile0, tile1);
  pack_q8_tile(kind, x, stride, index, tokens, dst, cols, col0, col1, tile0, tile1);
}

KERNEL uint32_t matmul_scratch(uint32_t cols) {
  uint32_t quantized = panel_bytes(cols), full = f32_scratch(cols);
  return quantized > full ? quantized : full;
}

KERNEL void probe_dot(const int8_t* a, const int8_t* b, int32_t* out) {
  v128_t va = wasm_v128_load(a), vb = wasm_v128_load(b), pairs = dot_i8_u7(va, vb);
  wasm_v128_store(out, dot_add_i8_u7(va, vb, wasm_i32x4_const_splat(0)));
  wasm_v128_store(out + 4, wasm_i32x4_extend_low_i16x8(pairs));
  wasm_v128_store(out + 8, wasm_i32x4_extend_high_i16x8(pairs));
}
