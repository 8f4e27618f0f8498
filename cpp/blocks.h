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

// Values from a table of 16 (grids.h).
struct BlockIQ4_NL {  // d * table[q], nibbles as in Q4_0
  uint8_t d[2];
  uint8_t q[16];
};
struct BlockIQ4_XS {  // d * (scale - 32) * table[q], scale for 32 values
  uint8_t d[2];
  uint8_t high[2];  // the upper two bits of the eight scales
  uint8_t low[4];   // their nibbles
  uint8_t q[128];   // of each 32 values 16 bytes, as in IQ4_NL
};
struct BlockMXFP4 {  // 2^(e - 128) * table[q]
  uint8_t e;
  uint8_t q[16];
};

// Vectors of 8 or 4 values from a grid (grids.h). Bit j of a sign byte makes value j of eight negative; of a sign of 7
// bits the eighth is their parity. w is of 32 values, a u32: four signs of 7 bits, above them a scale of 4 bits.
struct BlockIQ2_XXS {  // d * (2 scale + 1) / 8 * grid
  uint8_t d[2];
  struct {
    uint8_t grid[4], w[4];
  } q[8];
};
struct BlockIQ2_XS {  // d * (2 scale + 1) / 8 * grid, scale for 16 values
  uint8_t d[2];
  uint8_t q[32][2];   // of 8 values, a u16: 9 bits of the grid, a sign of 7 bits
  uint8_t scales[8];  // nibbles
};
struct BlockIQ2_S {  // as IQ2_XS
  uint8_t d[2];
  uint8_t q[32];
  uint8_t signs[32];
  uint8_t high[8];    // bits 8 and 9 of q, two bits each
  uint8_t scales[8];
};
struct BlockIQ3_XXS {  // d * (2 scale + 1) / 4 * grid
  uint8_t d[2];
  uint8_t q[64];
  uint8_t w[8][4];
};
struct BlockIQ3_S {  // d * (2 scale + 1) * grid, scale for 32 values
  uint8_t d[2];
  uint8_t q[64];
  uint8_t high[8];    // bit 8 of q
  uint8_t signs[32];
  uint8_t scales[4];  // nibbles
};
struct BlockIQ1_S {  // d * (2 scale + 1) * (grid +- 1/8)
  uint8_t d[2];
  uint8_t q[32];
  uint8_t high[8][2];  // of 32 values, a u16: bits 8..10 of four q, a scale of 3 bits, whether 1/8 is taken off
};
struct BlockIQ1_M {  // as IQ1_S; scale for 16 values, 1/8 for 8
  uint8_t q[32];
  uint8_t high[16];      // nibbles: bits 8..10 of q, whether 1/8 is taken off
  uint8_t scales[4][2];  // u16: four scales of 3 bits, above them a nibble of d, the lowest first
};

// Ternary.
struct BlockTQ1_0 {  // d * (digit - 1); digit n of byte x is the upper byte of (x * 3^n mod 256) * 3
  uint8_t q[48];     // five digits of bytes 0..31: value l of blocks 0..4; of bytes 32..47: values 160 + 16 n + l
  uint8_t last[4];   // four digits: values 240 + 4 n + l
  uint8_t d[2];
};
struct BlockTQ2_0 {  // d * (q - 1), q as in Q2_K
  uint8_t q[64];
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

// What the codes of GPTQ, AWQ and compressed-tensors become: d * (q - zero), d a f32 of 32 values or of all 128. Nibbles
// stand as in Q4_0_R; codes of 8 bits have 128 taken off, and what that and the zero come to as a f32 minimum.
struct BlockINT4_32 {
  uint8_t d[4][4];
  uint8_t zero[4];
  uint8_t q[64];
};
struct BlockINT4_128 {
  uint8_t d[4];
  uint8_t minimum[4];
  uint8_t q[64];
};
struct BlockINT8_32 {
  uint8_t d[4][4];
  uint8_t minimum[4][4];
  int8_t q[128];
};

#define FLOAT_FORMAT(...)
#define ROW_FORMAT(...)
#define BLOCK_FORMAT(name, NAME, id, values, bytes, codes) \
  static_assert(sizeof(Block##NAME) == bytes && alignof(Block##NAME) == 1);
#include "formats.def"
