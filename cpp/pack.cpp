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
KERNEL uint32_t packed_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  return kind < PACK_F32_KINDS ? pack_f32_bytes(kind, cols, tokens) : pack_q8_bytes(kind, cols, tokens);
}
KERNEL void pack(const PackArgs* args) {
  if (args->kind < PACK_F32_KINDS) pack_f32(*args);
  else pack_q8(*args);
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
