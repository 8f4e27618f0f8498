// The exports of every format: the products of one token and of many.
#include "formats_values.h"
#include "llm_int8.h"
#include "products_f.h"
#ifdef __wasm__
#include "matmul.h"
#else
#include "native/wide_matmul.h"
#include "native/wide_matvec.h"
#endif

#define FLOAT_FORMAT(name, NAME, id, values, bytes, order)                                    \
  KERNEL void matvec_##name(const ProductArgs* args) { floats::matvec<floats::NAME>(*args); } \
  KERNEL void matmul_##name(const ProductArgs* args) { floats::matmul<floats::NAME>(*args); }
#define BLOCK_FORMAT(name, NAME, id, values, bytes, codes)                                        \
  KERNEL void matvec_##name(const ProductArgs* args) { matvec<blocks::NAME, Vec##codes>(*args); } \
  KERNEL void matmul_##name(const ProductArgs* args) { matmul<blocks::NAME, Tile##codes>(*args); }
#define ROW_FORMAT(name, ...)                                              \
  KERNEL void matvec_##name(const ProductArgs* args) { int8::matvec(*args); } \
  KERNEL void matmul_##name(const ProductArgs* args) { int8::matmul(*args); }
#include "formats.def"

KERNEL uint32_t matmul_scratch(uint32_t cols) {
  const uint32_t of_blocks = panel_bytes(cols), of_floats = f32_scratch(cols);
  return of_blocks > of_floats ? of_blocks : of_floats;
}
