// What GPTQ, AWQ and compressed-tensors store: codes of some bits, and for each group of a row's inputs a scale and a zero.
//   value = scale * (code - zero)
// Codes come out of the checkpoint's words some rows at a time, because words of GPTQ and AWQ hold one input of several
// rows, or several inputs of one, and neighbours are other rows.
#include "convert.h"

#include "../blocks.h"

namespace {

constexpr uint32_t AT_ONCE = 16;  // rows: a line of a cache

// One row's scales and zeros, as they stand: entry g is scale[g * scale_step] and zero[g * zero_step], to which `add` is added.
struct Groups {
  const float* scale;
  uint32_t scale_step;
  const uint8_t* zero;  // or null: all are `add`
  uint32_t zero_step, add;

  float scale_of(uint32_t g) const { return scale[g * scale_step]; }
  uint32_t zero_of(uint32_t g) const { return (zero ? zero[g * zero_step] : 0) + add; }
};

// The nibbles of a group of 128 codes, dword by dword (blocks.h).
void store_nibbles(const uint8_t* codes, uint8_t* q) {
  for (int k = 0; k < 4; k++) {
    for (int b = 0; b < 4; b++) {
      for (int j = 0; j < 4; j++) {
        q[16 * k + 4 * b + j] = codes[32 * b + 4 * k + j] | codes[32 * b + 16 + 4 * k + j] << 4;
      }
    }
  }
}

void store_float(uint8_t* to, float value) { memcpy(to, &value, 4); }

}  // namespace

// Streams of bits down the columns: code i of column c begins at bit i * bits of the words at [.][c], lowest bit first.
// Columns [from, from + count), count at most 16, to codes[c - from][i].
EXPORT(unpack_columns)
void unpack_columns(const uint32_t* words, uint32_t columns, uint32_t n, uint32_t bits, uint32_t from, uint32_t count,
                    uint8_t* codes) {
  const uint32_t mask = (1u << bits) - 1;
  uint64_t held[AT_ONCE] = {};
  uint32_t have = 0, line = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (have < bits) {
      const uint32_t* word = words + line++ * columns + from;
      for (uint32_t c = 0; c < count; c++) held[c] |= static_cast<uint64_t>(word[c]) << have;
      have += 32;
    }
    for (uint32_t c = 0; c < count; c++) {
      codes[c * n + i] = held[c] & mask;
      held[c] >>= bits;
    }
    have -= bits;
  }
}

// Streams of bits along the rows: code i of row r begins at bit i * bits of the row's words.
EXPORT(unpack_rows)
void unpack_rows(const uint32_t* words, uint32_t n, uint32_t bits, uint32_t rows, uint8_t* codes) {
  const uint32_t mask = (1u << bits) - 1;
  for (uint32_t r = 0; r < rows; r++) {
    uint64_t held = 0;
    uint32_t have = 0;
    for (uint32_t i = 0; i < n; i++) {
      if (have < bits) {
        held |= static_cast<uint64_t>(*words++) << have;
        have += 32;
      }
      *codes++ = held & mask;
      held >>= bits;
      have -= bits;
    }
  }
}

// AWQ's words: nibble k of word w of line i is column 8 w + (0, 2, 4, 6, 1, 3, 5, 7)[k]. Columns [from, from + count), both
// multiples of 8, count at most 16, to codes[c - from][i].
EXPORT(unpack_awq)
void unpack_awq(const uint32_t* words, uint32_t columns, uint32_t n, uint32_t from, uint32_t count, uint8_t* codes) {
  static constexpr uint8_t order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t w = 0; w < count / 8; w++) {
      const uint32_t word = words[i * (columns / 8) + from / 8 + w];
      for (uint32_t k = 0; k < 8; k++) codes[(8 * w + order[k]) * n + i] = word >> (4 * k) & 15;
    }
  }
}

// A row's codes as blocks of INT4_32 (kind 0), INT4_128 (1) or INT8_32 (2): a group is whole blocks' values.
EXPORT(store_grouped)
void store_grouped(const uint8_t* codes, uint32_t n, uint32_t group, const float* scale, uint32_t scale_step,
                   const uint8_t* zero, uint32_t zero_step, uint32_t add, uint32_t kind, uint8_t* out) {
  const Groups groups = {scale, scale_step, zero, zero_step, add};
  for (uint32_t at = 0; at < n; at += 128, codes += 128) {
    if (kind == 0) {
      BlockINT4_32& block = *reinterpret_cast<BlockINT4_32*>(out);
      for (uint32_t b = 0; b < 4; b++) {
        const uint32_t g = (at + 32 * b) / group;
        store_float(block.d[b], groups.scale_of(g));
        block.zero[b] = static_cast<uint8_t>(groups.zero_of(g));
      }
      store_nibbles(codes, block.q);
      out += sizeof(block);
    } else if (kind == 1) {
      BlockINT4_128& block = *reinterpret_cast<BlockINT4_128*>(out);
      const uint32_t g = at / group;
      const float d = groups.scale_of(g);
      store_float(block.d, d);
      store_float(block.minimum, d * -static_cast<float>(groups.zero_of(g)));
      store_nibbles(codes, block.q);
      out += sizeof(block);
    } else {
      BlockINT8_32& block = *reinterpret_cast<BlockINT8_32*>(out);
      for (uint32_t b = 0; b < 4; b++) {
        const uint32_t g = (at + 32 * b) / group;
        const float d = groups.scale_of(g);
        store_float(block.d[b], d);
        store_float(block.minimum[b], d * (128 - static_cast<float>(groups.zero_of(g))));
      }
      for (uint32_t i = 0; i < 128; i++) block.q[i] = static_cast<int8_t>(codes[i] - 128);
      out += sizeof(block);
    }
  }
}

// A row's values, each input's group as index[i] says, or i / group where there is no index.
EXPORT(decode_grouped)
void decode_grouped(const uint8_t* codes, uint32_t n, uint32_t group, const uint32_t* index, const float* scale,
                    uint32_t scale_step, const uint8_t* zero, uint32_t zero_step, uint32_t add, float* out) {
  const Groups groups = {scale, scale_step, zero, zero_step, add};
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t g = index ? index[i] : i / group;
    out[i] = groups.scale_of(g) * (static_cast<float>(codes[i]) - static_cast<float>(groups.zero_of(g)));
  }
}
