// The quantized blocks as they stand in a GGUF file, after ggml's structs. A block of 32 values or a super-block of 256
// begins anywhere: members are read bytewise or with unaligned vector loads. f16 members are kept as two bytes.
#pragma once
#include <stdint.h>

struct BlockQ8_0 {  // d * q
  uint8_t d[2];
  int8_t q[32];
};
struct BlockQ4_0 {  // d * (q - 8); the low nibbles are values 0..15, the high ones 16..31
  uint8_t d[2];
  uint8_t q[16];
};
struct BlockQ4_1 {  // d * q + m
  uint8_t d[2], m[2];
  uint8_t q[16];
};
struct BlockQ5_0 {  // d * (q - 16); bit j of high is bit 4 of value j
  uint8_t d[2];
  uint8_t high[4];
  uint8_t q[16];
};
struct BlockQ5_1 {  // d * q + m
  uint8_t d[2], m[2];
  uint8_t high[4];
  uint8_t q[16];
};

// Super-blocks hold two halves of four blocks of 32 values. Q2_K, Q3_K and Q6_K have a scale for each 16 values.
struct BlockQ2_K {     // d * scale * q - dmin * min
  uint8_t scales[16];  // low nibble scale, high nibble min
  uint8_t q[64];       // byte l of a half's 32: value l of blocks 0..3 in bits 0, 2, 4, 6
  uint8_t d[2], dmin[2];
};
struct BlockQ3_K {     // d * (scale - 32) * (q - 4)
  uint8_t high[32];    // byte l, bit b: bit 2 of value l of block b
  uint8_t q[64];       // as in Q2_K
  uint8_t scales[12];  // 16 of 6 bits: low nibbles in bytes 0..7, upper two bits in bytes 8..11
  uint8_t d[2];
};
struct BlockQ4_K {  // d * scale * q - dmin * min
  uint8_t d[2], dmin[2];
  uint8_t scales[12];  // 8 scales and 8 mins of 6 bits
  uint8_t q[128];      // 32 bytes hold two blocks: low nibbles, then high
};
struct BlockQ5_K {
  uint8_t d[2], dmin[2];
  uint8_t scales[12];
  uint8_t high[32];  // byte l, bit b: bit 4 of value l of block b
  uint8_t q[128];
};
struct BlockQ6_K {   // d * scale * (q - 32)
  uint8_t low[128];  // of a half's 64 bytes: byte l low nibble block 0, high block 2; byte 32 + l blocks 1 and 3
  uint8_t high[64];  // of a half's 32: the upper two bits of blocks 0..3 in bits 0, 2, 4, 6
  int8_t scales[16];
  uint8_t d[2];
};

// What Q4_0 and Q4_K become where weights are read (repack.cpp), as large as before. Four blocks of 32 stand dword by dword:
// vector k of a group has dword k (values 4k .. 4k + 3) of block b in lane b's low nibbles, and dword k + 4 in the high ones.
struct BlockQ4_0_R {
  uint8_t d[4][2];
  uint8_t q[64];
};
struct BlockQ4_K_R {
  uint8_t d[2], dmin[2];
  uint8_t scales[12];
  uint8_t q[128];  // two groups
};

#define FLOAT_FORMAT(...)
#define ROW_FORMAT(...)
#define BLOCK_FORMAT(name, NAME, id, values, bytes, codes) \
  static_assert(sizeof(Block##NAME) == bytes && alignof(Block##NAME) == 1);
#include "formats.def"
