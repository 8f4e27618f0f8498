// What GPTQ, AWQ and compressed-tensors store: codes of some bits, and for each group of a row's inputs a scale and a zero.
//   value = scale * (code - zero)
// Codes come out of the checkpoint's words as lines: line i holds input i of 16 rows, a byte each. Words of GPTQ and AWQ hold
// neighbours of one line or of a few, and inputs that change their order do so line by line.
#include <stddef.h>

#include "convert.h"

namespace {

constexpr uint32_t LINE = 16;

// What is done with a matrix's lines; src/kernels/convert.ts is the twin.
struct GroupedArgs {
  const uint8_t* lines;   // [cols][16]
  const uint32_t* order;  // column i is input order[i]; null: i. Of store_f32 the inputs' groups
  const float* scale;     // of row r and group g: scale[r * scale_row + g * scale_group]
  const uint8_t* zero;    // of row r and group g: zero[r + g * zero_group], to which `add` is added; null: all are `add`
  uint8_t* out;           // rows, row_bytes apart
  uint32_t cols;
  uint32_t rows;          // at most 16
  uint32_t group;         // columns of a group
  uint32_t scale_row, scale_group, zero_group, add, row_bytes;
};

struct Matrix : GroupedArgs {
  float scale_of(uint32_t r, uint32_t g) const { return scale[r * scale_row + g * scale_group]; }
  float zero_of(uint32_t r, uint32_t g) const { return static_cast<float>((zero ? zero[r + g * zero_group] : 0) + add); }
  v128_t line(uint32_t i) const { return wasm_v128_load(lines + LINE * (order ? order[i] : i)); }
};

// Byte j of vector i and byte i of vector j change places: four times, the upper half of the vectors is dealt out between
// the lower half's.
INLINE void transpose_bytes(v128_t v[16]) {
  for (int stage = 0; stage < 4; stage++) {
    v128_t next[16];
    for (int i = 0; i < 8; i++) {
      next[2 * i] = wasm_i8x16_shuffle(v[i], v[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = wasm_i8x16_shuffle(v[i], v[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    for (int i = 0; i < 16; i++) v[i] = next[i];
  }
}

INLINE void store_float(uint8_t* to, float value) { memcpy(to, &value, 4); }

// The nibbles of 128 columns from `at` on, dword by dword (blocks.h), to offset `to` of each row.
void store_nibbles(const Matrix& args, uint32_t at, uint8_t* to) {
  for (uint32_t k = 0; k < 4; k++) {
    v128_t v[16];
    for (uint32_t i = 0; i < 16; i++) {
      const uint32_t low = at + 32 * (i / 4) + 4 * k + i % 4;
      v[i] = wasm_v128_or(args.line(low), wasm_i8x16_shl(args.line(low + 16), 4));
    }
    transpose_bytes(v);
    for (uint32_t r = 0; r < args.rows; r++) wasm_v128_store(to + r * args.row_bytes + 16 * k, v[r]);
  }
}

// The same of signed bytes, in the columns' order.
void store_bytes(const Matrix& args, uint32_t at, uint8_t* to) {
  const v128_t middle = wasm_i8x16_const_splat(-128);
  for (uint32_t k = 0; k < 8; k++) {
    v128_t v[16];
    for (uint32_t i = 0; i < 16; i++) v[i] = wasm_v128_xor(args.line(at + 16 * k + i), middle);
    transpose_bytes(v);
    for (uint32_t r = 0; r < args.rows; r++) wasm_v128_store(to + r * args.row_bytes + 16 * k, v[r]);
  }
}

// Calls store(block, row, first column) for every block of every row, when its codes stand there.
template <class Block, class Codes, class Store>
INLINE void store_blocks(const Matrix& args, Codes codes, Store store) {
  for (uint32_t at = 0, to = 0; at < args.cols; at += 128, to += sizeof(Block)) {
    codes(args, at, args.out + to + offsetof(Block, q));
    for (uint32_t r = 0; r < args.rows; r++) store(*reinterpret_cast<Block*>(args.out + r * args.row_bytes + to), r, at);
  }
}

// A block with one scale for its 128 values, and what `middle`, which is taken off its codes, and the zero come to.
template <class Block>
INLINE void store_scale(const Matrix& args, Block& block, uint32_t r, uint32_t at, float middle) {
  const uint32_t g = at / args.group;
  const float d = args.scale_of(r, g);
  store_float(block.d, d);
  store_float(block.minimum, d * (middle - args.zero_of(r, g)));
}

}  // namespace

// Streams of bits down the columns: code i of column c begins at bit i * bits of the words at [.][c], lowest bit first.
// Columns [from, from + 16) as lines; beyond the last one whatever follows is read.
EXPORT(take_columns)
void take_columns(const uint32_t* words, uint32_t columns, uint32_t n, uint32_t bits, uint32_t from, uint8_t* lines) {
  const v128_t mask = wasm_i32x4_splat((1 << bits) - 1);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t shift = i * bits % 32;
    const uint32_t* word = words + i * bits / 32 * columns + from;
    v128_t part[4];
    for (int k = 0; k < 4; k++) {
      v128_t v = wasm_u32x4_shr(wasm_v128_load(word + 4 * k), shift);
      if (shift + bits > 32) v = wasm_v128_or(v, wasm_i32x4_shl(wasm_v128_load(word + columns + 4 * k), 32 - shift));
      part[k] = wasm_v128_and(v, mask);
    }
    wasm_v128_store(lines + LINE * i, wasm_u8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4(part[0], part[1]),
                                                              wasm_i16x8_narrow_i32x4(part[2], part[3])));
  }
}

// AWQ's words: nibble k of word w of line i is column 8 w + (0, 2, 4, 6, 1, 3, 5, 7)[k]. Columns [from, from + 16) as lines;
// from is a multiple of 8.
EXPORT(take_awq)
void take_awq(const uint32_t* words, uint32_t columns, uint32_t n, uint32_t from, uint8_t* lines) {
  for (uint32_t i = 0; i < n; i++) {
    const v128_t two = wasm_v128_load64_zero(words + i * (columns / 8) + from / 8);
    const v128_t even = wasm_v128_and(two, wasm_u8x16_const_splat(15)), odd = wasm_u8x16_shr(two, 4);
    wasm_v128_store(lines + LINE * i,
                    wasm_i8x16_shuffle(even, odd, 0, 2, 16, 18, 1, 3, 17, 19, 4, 6, 20, 22, 5, 7, 21, 23));
  }
}

// Words [from, from + 16) of each of n rows, one row after the other: what a line of the cache holds, for what takes less of
// one at a time would find its page 8 times. Beyond the last word whatever follows is read.
EXPORT(cut_words)
void cut_words(const uint32_t* words, uint32_t row_words, uint32_t n, uint32_t from, uint32_t* out) {
  for (uint32_t i = 0; i < n; i++) {
    for (int k = 0; k < 4; k++) wasm_v128_store(out + 16 * i + 4 * k, wasm_v128_load(words + i * row_words + from + 4 * k));
  }
}

// Streams of bits along the rows, whose codes, of 2, 4 or 8 bits, cross no byte. Rows [0, rows), at most 16, as lines; `flip`
// is the bits of a code that are turned round.
EXPORT(take_rows)
void take_rows(const uint8_t* words, uint32_t n, uint32_t bits, uint32_t rows, uint32_t flip, uint8_t* lines) {
  const uint32_t row_bytes = n * bits / 8, mask = (1u << bits) - 1;
  const v128_t nibble = wasm_u8x16_const_splat(15), turn = wasm_i8x16_splat(static_cast<int8_t>(flip));
  uint32_t i = 0;
  for (; bits > 2 && i + LINE <= n; i += LINE) {
    v128_t v[LINE] = {};
    for (uint32_t r = 0; r < rows; r++) {
      const uint8_t* p = words + r * row_bytes + i * bits / 8;
      if (bits == 8) {
        v[r] = wasm_v128_load(p);
      } else {
        const v128_t two = wasm_v128_load64_zero(p), even = wasm_v128_and(two, nibble), odd = wasm_u8x16_shr(two, 4);
        v[r] = wasm_i8x16_shuffle(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      }
    }
    transpose_bytes(v);
    for (uint32_t k = 0; k < LINE; k++) wasm_v128_store(lines + LINE * (i + k), wasm_v128_xor(v[k], turn));
  }
  for (; i < n; i++) {
    for (uint32_t r = 0; r < rows; r++) {
      const uint32_t byte = words[r * row_bytes + i * bits / 8];
      lines[LINE * i + r] = static_cast<uint8_t>((byte >> i * bits % 8 & mask) ^ flip);
    }
  }
}

// A stream of bits of any width, a byte each.
EXPORT(take_stream)
void take_stream(const uint32_t* words, uint32_t n, uint32_t bits, uint8_t* codes) {
  uint64_t held = 0;
  uint32_t have = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (have < bits) {
      held |= static_cast<uint64_t>(*words++) << have;
      have += 32;
    }
    codes[i] = held & ((1u << bits) - 1);
    held >>= bits;
    have -= bits;
  }
}

// Lines as rows of blocks: groups are whole blocks' values.
EXPORT(store_int4_32)
void store_int4_32(const GroupedArgs* given) {
  const Matrix args = {*given};
  store_blocks<BlockINT4_32>(args, store_nibbles, [&](BlockINT4_32& block, uint32_t r, uint32_t at) {
    for (uint32_t b = 0; b < 4; b++) {
      const uint32_t g = (at + 32 * b) / args.group;
      store_float(block.d[b], args.scale_of(r, g));
      block.zero[b] = static_cast<uint8_t>(args.zero_of(r, g));
    }
  });
}
EXPORT(store_int4_128)
void store_int4_128(const GroupedArgs* given) {
  const Matrix args = {*given};
  store_blocks<BlockINT4_128>(args, store_nibbles, [&](BlockINT4_128& block, uint32_t r, uint32_t at) {
    store_scale(args, block, r, at, 0);
  });
}
EXPORT(store_int8_32)
void store_int8_32(const GroupedArgs* given) {
  const Matrix args = {*given};
  store_blocks<BlockINT8_32>(args, store_bytes, [&](BlockINT8_32& block, uint32_t r, uint32_t at) {
    for (uint32_t b = 0; b < 4; b++) {
      const uint32_t g = (at + 32 * b) / args.group;
      const float d = args.scale_of(r, g);
      store_float(block.d[b], d);
      store_float(block.minimum[b], d * (128 - args.zero_of(r, g)));
    }
  });
}
EXPORT(store_int8_128)
void store_int8_128(const GroupedArgs* given) {
  const Matrix args = {*given};
  store_blocks<BlockINT8_128>(args, store_bytes, [&](BlockINT8_128& block, uint32_t r, uint32_t at) {
    store_scale(args, block, r, at, 128);
  });
}

// Lines as rows of f32, the inputs in their own order; each is of group order[i], or i / group where there is none.
EXPORT(store_f32)
void store_f32(const GroupedArgs* given) {
  const Matrix args = {*given};
  for (uint32_t r = 0; r < args.rows; r++) {
    float* out = reinterpret_cast<float*>(args.out + r * args.row_bytes);
    for (uint32_t i = 0; i < args.cols; i++) {
      const uint32_t g = args.order ? args.order[i] : i / args.group;
      out[i] = args.scale_of(r, g) * (static_cast<float>(args.lines[LINE * i + r]) - args.zero_of(r, g));
    }
  }
}
