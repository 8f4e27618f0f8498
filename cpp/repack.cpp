// Weights that are read, not mapped, may stand as a product likes them best: Q4_0 and Q4_K dword by dword (blocks.h). Every
// product, and dequantizing, gives the same bits as before.
#include "formats.h"
#include "kernels.h"

// The codes of a group, of one half, where the repacked format has its nibbles.
template <class F, int half>
INLINE void store_dwords(const F& f, const uint8_t* from, uint8_t* to) {
  v128_t dwords[8];
  codes_in_dwords<F, half>(f, from, dwords);
  for (int k = 0; k < 4; k++) {
    wasm_v128_store(to + 16 * k, wasm_v128_or(dwords[k], wasm_i16x8_shl(dwords[k + 4], 4)));
  }
}

KERNEL void repack_q4_0(uint8_t* w, uint32_t bytes) {
  const blocks::Q4_0 f;
  for (const uint8_t* end = w + bytes; w < end; w += sizeof(BlockQ4_0_R)) {
    BlockQ4_0_R out;
    for (int b = 0; b < 4; b++) memcpy(out.d[b], reinterpret_cast<const BlockQ4_0*>(w)[b].d, 2);
    store_dwords<blocks::Q4_0, 0>(f, w, out.q);
    memcpy(w, &out, sizeof(out));
  }
}

KERNEL void repack_q4_k(uint8_t* w, uint32_t bytes) {
  const blocks::Q4_K f;
  for (const uint8_t* end = w + bytes; w < end; w += sizeof(BlockQ4_K)) {
    uint8_t* q = reinterpret_cast<BlockQ4_K*>(w)->q;
    store_dwords<blocks::Q4_K, 0>(f, w, q);
    store_dwords<blocks::Q4_K, 1>(f, w, q + 64);
  }
}
