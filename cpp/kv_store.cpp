// Stores a chunk's keys and values into the pages of the cache.
#include "kernels.h"
#include "kv_rows.h"
#include "rope.h"

KERNEL uint32_t kv_row_bytes(uint32_t head_dim, uint32_t type) {
  if (type == KV_Q8_0) return head_dim / 32 * (uint32_t)sizeof(BlockQ8_0);
  return padded_dim(head_dim) * (type == KV_F16 ? 2 : 4);
}

KERNEL void attention_store(const AttentionArgs* args) {
  const AttentionArgs& a = *args;
  uint32_t row_bytes = kv_row_bytes(a.head_dim, a.type);
  float* rotated_key = (float*)a.scratch;
  for (uint32_t i = a.row0; i < a.row1; i++) {
    const float* table = a.table + i * a.head_dim;
    rotate(a.q + i * a.q_stride, a.rotated + i * a.q_stride, table, a.group, a.head_dim, a.interleaved);
    rotate(a.k + i * a.kv_stride, rotated_key, table, 1, a.head_dim, a.interleaved);
    uint32_t p = a.first + i;
    uint32_t at = a.pages[p / KV_PAGE - a.first_block] * a.page_bytes + p % KV_PAGE * row_bytes;
    store_row(a.type, rotated_key, a.head_dim, a.keys + at);
    store_row(a.type, a.v + i * a.kv_stride, a.head_dim, a.values + at);
  }
}
