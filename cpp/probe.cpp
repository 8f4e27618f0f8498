// The build's own integer dots, to be looked at before they are trusted.
#include "kernels.h"
#include "simd.h"

KERNEL void probe_dot(const int8_t* a, const int8_t* b, int32_t* out) {
  v128_t va = wasm_v128_load(a), vb = wasm_v128_load(b), pairs = dot_i8_u7(va, vb);
  wasm_v128_store(out, dot_add_i8_u7(va, vb, wasm_i32x4_const_splat(0)));
  wasm_v128_store(out + 4, wasm_i32x4_extend_low_i16x8(pairs));
  wasm_v128_store(out + 8, wasm_i32x4_extend_high_i16x8(pairs));
}
