// The machine's roofs as WebAssembly reaches them, for bench/kernels.ts to judge the products by: reading memory, and the
// peak of each kind of multiply-add with everything in registers.
#include "kernels.h"
#include "simd.h"

// Reads `bytes` bytes, a multiple of 128, as one stream or as two halves at once; which is faster depends on the machine.
template <uint32_t streams>
INLINE uint32_t read(const uint8_t* p, uint32_t bytes) {
  constexpr int each = 8 / streams;
  const uint32_t distance = bytes / streams;
  v128_t sums[8] = {};
  for (const uint8_t* end = p + distance; p < end; p += 16 * each) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      sums[i] = wasm_v128_xor(sums[i], wasm_v128_load(p + i / each * distance + i % each * 16));
    }
  }
  for (int i = 1; i < 8; i++) sums[0] = wasm_v128_xor(sums[0], sums[i]);
  return wasm_i32x4_extract_lane(sums[0], 0);
}
KERNEL uint32_t roof_read(const uint8_t* p, uint32_t bytes) { return read<1>(p, bytes); }
KERNEL uint32_t roof_read_two(const uint8_t* p, uint32_t bytes) { return read<2>(p, bytes); }

// Ten independent chains of `step`, whose first operand is the chain's own last value, so that nothing can be hoisted.
template <class Step>
INLINE uint32_t chains(uint32_t steps, v128_t start, Step step) {
  v128_t a[10];
  for (int i = 0; i < 10; i++) a[i] = start;
  for (uint32_t n = 0; n < steps; n += 10) {
#pragma unroll
    for (int i = 0; i < 10; i++) a[i] = step(a[i]);
  }
  for (int i = 1; i < 10; i++) a[0] = wasm_v128_xor(a[0], a[i]);
  return wasm_i32x4_extract_lane(a[0], 0);
}

// Each makes `steps` (a multiple of ten) vector steps: 16 multiply-adds in the first two, 8 and 4 in the others.
KERNEL uint32_t roof_dot_i32(uint32_t steps) {
  const v128_t b = constant_u8(3);
  return chains(steps, constant_u8(7), [=](v128_t a) { return dot_add_i8_u7(a, b, a); });
}
KERNEL uint32_t roof_dot_i16(uint32_t steps) {
  const v128_t b = constant_u8(3);
  return chains(steps, constant_u8(7), [=](v128_t a) { return wasm_i16x8_add(a, dot_i8_u7(a, b)); });
}
KERNEL uint32_t roof_product_i16(uint32_t steps) {
  const v128_t b = constant_i16(3);
  return chains(steps, constant_u8(7), [=](v128_t a) { return wasm_i32x4_add(a, wasm_i32x4_dot_i16x8(a, b)); });
}
KERNEL uint32_t roof_f32(uint32_t steps) {
  const v128_t b = constant_u32(0x3f000000);  // 0.5
  return chains(steps, b, [=](v128_t a) { return wasm_f32x4_add(b, wasm_f32x4_mul(a, b)); });
}
