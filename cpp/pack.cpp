// Packing of activations for the products: sends each kind of packing to the family that defines it.
#include "kernels.h"
#include "llm_int8.h"
#include "pack_f32.h"
#include "pack_q8.h"

KERNEL uint32_t vec_kind(uint32_t format) {
  switch (format) {
#define FLOAT_FORMAT(name, NAME, id, values, bytes, order) case NAME: return VEC_##order;
#define BLOCK_FORMAT(name, NAME, id, values, bytes, codes) case NAME: return Vec##codes::kind;
#define ROW_FORMAT(name, NAME, id, values, bytes, kind) case NAME: return int8::VEC_##kind;
#include "formats.def"
  }
  __builtin_trap();
}
KERNEL uint32_t tile_kind(uint32_t format) {
  switch (format) {
#define FLOAT_FORMAT(name, NAME, id, values, bytes, order) case NAME: return TILE_##order;
#define BLOCK_FORMAT(name, NAME, id, values, bytes, codes) case NAME: return Tile##codes::kind;
#define ROW_FORMAT(name, NAME, id, values, bytes, kind) case NAME: return int8::TILE_##kind;
#include "formats.def"
  }
  __builtin_trap();
}

KERNEL uint32_t packed_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  if (kind >= int8::VEC_ROW) return int8::packed_bytes(kind, cols, tokens);
  return kind < PACK_F32_KINDS ? pack_f32_bytes(kind, cols, tokens) : pack_q8_bytes(kind, cols, tokens);
}
KERNEL void pack(const PackArgs* args) {
  if (args->kind >= int8::VEC_ROW) int8::pack(*args);
  else if (args->kind < PACK_F32_KINDS) pack_f32(*args);
  else pack_q8(*args);
}
