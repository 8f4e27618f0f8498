// Formats whose codes are nibbles that stand for one of 16 floats: bitsandbytes' NF4 and FP4. A block of 64 consecutive
// values is its f32 absmax and 32 bytes as bitsandbytes packs them: byte i has value 2i in its high nibble, value 2i + 1 in
// the low one. A value is table[code] * absmax, rounded to f32.
#pragma once
#include "f32x4.h"

inline constexpr uint32_t TABLE_BLOCK = 64;  // values
struct BlockTable {
  uint8_t absmax[4];  // f32
  uint8_t codes[TABLE_BLOCK / 2];
};
static_assert(sizeof(BlockTable) == 36 && alignof(BlockTable) == 1);

struct Table {
  float values[16];
  // Byte `byte` of the values from `first` on, eight of them.
  constexpr uint64_t bytes(int byte, int first) const {
    uint64_t all = 0;
    for (int i = 7; i >= 0; i--) {
      all = all << 8 | (__builtin_bit_cast(uint32_t, values[first + i]) >> 8 * byte & 0xff);
    }
    return all;
  }
};

inline constexpr Table NF4_TABLE = {
    {-1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
     -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
     0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1}};
inline constexpr Table FP4_TABLE = {{0, 0.0052083333333f, 0.66666667f, 1, 0.33333333f, 0.5f, 0.16666667f, 0.25f, -0.0f,
                                     -0.0052083333333f, -0.66666667f, -1, -0.33333333f, -0.5f, -0.16666667f, -0.25f}};

// Looks up 16 codes at a time: each byte of the floats by a swizzle, which two rounds of interleaving put together.
template <const Table& table>
struct Lookup {
  v128_t bytes[4] = {constant_u64(table.bytes(0, 0), table.bytes(0, 8)), constant_u64(table.bytes(1, 0), table.bytes(1, 8)),
                     constant_u64(table.bytes(2, 0), table.bytes(2, 8)), constant_u64(table.bytes(3, 0), table.bytes(3, 8))};

  INLINE void operator()(v128_t codes, v128_t out[4]) const {
    const v128_t b0 = pick_bytes(bytes[0], codes), b1 = pick_bytes(bytes[1], codes);
    const v128_t b2 = pick_bytes(bytes[2], codes), b3 = pick_bytes(bytes[3], codes);
    const v128_t low01 = wasm_i8x16_shuffle(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const v128_t low23 = wasm_i8x16_shuffle(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const v128_t high01 = wasm_i8x16_shuffle(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const v128_t high23 = wasm_i8x16_shuffle(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    out[0] = wasm_i16x8_shuffle(low01, low23, 0, 8, 1, 9, 2, 10, 3, 11);
    out[1] = wasm_i16x8_shuffle(low01, low23, 4, 12, 5, 13, 6, 14, 7, 15);
    out[2] = wasm_i16x8_shuffle(high01, high23, 0, 8, 1, 9, 2, 10, 3, 11);
    out[3] = wasm_i16x8_shuffle(high01, high23, 4, 12, 5, 13, 6, 14, 7, 15);
  }
};

// A format of blocks: a step's vectors are the halves of a block in bitsandbytes' order, even and odd columns apart.
template <const Table& table>
struct TableFormat {
  Lookup<table> look_up;
  v128_t nibble = constant_u8(0x0f);

  // Calls each(2s + k, four values) for class k of step s of a block.
  template <class Each>
  INLINE void load(const uint8_t* block, Each each) const {
    const v128_t absmax = wasm_v128_load32_splat(block);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const v128_t both = wasm_v128_load(block + 4 + 16 * half);
      v128_t values[4];
      look_up(wasm_v128_and(wasm_u16x8_shr(both, 4), nibble), values);
#pragma unroll
      for (int s = 0; s < 4; s++) each(2 * (4 * half + s), wasm_f32x4_mul(values[s], absmax));
      look_up(wasm_v128_and(both, nibble), values);
#pragma unroll
      for (int s = 0; s < 4; s++) each(2 * (4 * half + s) + 1, wasm_f32x4_mul(values[s], absmax));
    }
  }
};
