// The rotation, as attention_store applies it.
#pragma once
#include <stdint.h>

// src f32 [heads][dim] -> dst f32 [heads][dim] rotated, halves split at dim / 2; src != dst. table: as rope_table writes
// it. interleaved: src holds pairs (2i, 2i + 1) for (i, i + dim / 2). The last dim of an odd number is copied.
void rotate(const float* src, float* dst, const float* table, uint32_t heads, uint32_t dim, bool interleaved);
