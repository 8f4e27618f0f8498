// A program that runs the kernels of one level on blocks of memory of just the sizes that kernels.h says, and prints a digest of
// what each has written. Compiled with AddressSanitizer and UndefinedBehaviorSanitizer, what is read or written beyond them
// ends it; digests of all levels are the same. npm run test:native.
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

#include <initializer_list>

#include "level.cpp"

namespace LEVEL {

uint32_t state = 1;
uint32_t random_word() { return state = state * 1664525 + 1013904223; }

// `count` of T, at a multiple of 16 but not of 32, and behind them nothing that may be touched.
template <class T>
struct Block {
  const uint64_t whole, room;
  char* const start;
  T* const at;
  explicit Block(uint64_t count)
      : whole(count * sizeof(T)),
        room((16 + whole + 31) / 32 * 32),
        start(static_cast<char*>(aligned_alloc(32, room))),
        at(reinterpret_cast<T*>(start + 16)) {
    memset(start, 0, 16 + whole);
    ASAN_POISON_MEMORY_REGION(start + 16 + whole, room - 16 - whole);
  }
  ~Block() {
    ASAN_UNPOISON_MEMORY_REGION(start, room);
    free(start);
  }
  Block(const Block&) = delete;
};

void fill_floats(float* p, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) p[i] = static_cast<float>(static_cast<int32_t>(random_word()) >> 8) * 0x1p-20f;
}

// FNV-1a over the bits of floats, of which all NaN count as one.
struct Digest {
  uint64_t hash = 0xcbf29ce484222325;
  void add(const float* p, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
      uint32_t bits;
      memcpy(&bits, p + i, sizeof bits);
      hash = (hash ^ (p[i] == p[i] ? bits : 0x7fc00000)) * 0x100000001b3;
    }
  }
  template <class... Values>
  void print(const char* name, Values... values) const {
    printf("%s", name);
    (printf(" %u", values), ...);
    printf(" %016llx\n", static_cast<unsigned long long>(hash));
  }
};

// Random bytes: scales may be anything, NaN too.
void fill_bytes(uint8_t* p, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) p[i] = static_cast<uint8_t>(random_word() >> 24);
}

void products(uint32_t format, uint32_t grain) {
  const entries::FormatKernels& f = *entries::kernels_of(format);
  Digest digest;
  for (uint32_t cols : {grain, 3 * grain, 2560u}) {
    for (uint32_t rows : {1u, 7u, 18u}) {
      for (uint32_t tokens : {1u, 2u, 3u, 5u}) {
        Block<uint8_t> w(rows * entries::bytes_of_row(f, cols));
        fill_bytes(w.at, rows * entries::bytes_of_row(f, cols));
        Block<float> x(uint64_t{tokens} * cols);
        fill_floats(x.at, uint64_t{tokens} * cols);
        for (bool tiles : {false, true}) {
          const uint32_t kind = tiles ? tile_kind(format) : vec_kind(format);
          Block<uint8_t> packed(packed_bytes(kind, cols, tokens));
          const PackArgs args = {kind, x.at, cols, tokens, packed.at, cols, 0, cols, 0, tokens, 0, nullptr};
          pack(&args);
          const uint32_t stride = (rows + 3) / 4 * 4;
          const uint64_t count = entries::extent(tiles ? entries::whole_tiles(tokens) : tokens, stride, rows);
          Block<float> out(count);
          Block<uint8_t> scratch(tiles ? matmul_scratch(cols) : 0);
          for (uint32_t ahead : {0u, 1u}) {
            const ProductArgs product = {w.at, packed.at, out.at, cols, rows, tokens, stride, scratch.at, ahead, ahead};
            (tiles ? f.matmul : f.matvec)(&product);
            digest.add(out.at, count);
          }
        }
        Block<float> values(cols);
        f.dequantize(w.at, values.at, cols);
        digest.add(values.at, cols);
      }
    }
  }
  digest.print("products", format);
}

void attend(uint32_t type, uint32_t head_dim, uint32_t group, uint32_t window) {
  const uint32_t rows = 70, first = 61, blocks = (first + rows + KV_PAGE - 1) / KV_PAGE;
  const uint32_t half = KV_PAGE * kv_row_bytes(head_dim, type), queries = rows * group * head_dim;
  Block<uint8_t> cache(2 * uint64_t{half} * blocks);
  memset(cache.at, 0, 2 * uint64_t{half} * blocks);
  Block<uint32_t> pages(blocks);
  for (uint32_t b = 0; b < blocks; b++) pages.at[b] = blocks - 1 - b;
  Block<float> q(queries), k(rows * head_dim), v(rows * head_dim), table(rows * head_dim), rotated(queries), out(queries);
  for (float* p : {k.at, v.at, table.at}) fill_floats(p, rows * head_dim);
  fill_floats(q.at, queries);
  Block<uint8_t> scratch(attention_scratch(group, head_dim));
  Block<float> matrix(attention_matrix(group, rows, first + rows) / 4);
  const AttentionArgs args = {q.at, k.at, v.at, table.at, rotated.at, out.at, cache.at, cache.at + half, pages.at, 2 * half, 0,
                              nullptr, group * head_dim, head_dim, group, head_dim, head_dim % 2 == 0, first, 0, rows, window,
                              type, 0.125f, scratch.at, matrix.at};
  Digest digest;
  attention_store(&args);
  attention(&args);
  digest.add(out.at, queries);
  attention_eager(&args);
  digest.add(out.at, queries);
  digest.print("attention", type, head_dim, group, window);
}

void others() {
  Digest digest;
  for (uint32_t cols : {1u, 7u, 64u, 129u}) {
    Block<float> x(3 * cols), y(3 * cols), weight(cols), gate(5 * cols), logits(5), shares(2);
    for (float* p : {x.at, y.at}) fill_floats(p, 3 * cols);
    fill_floats(weight.at, cols);
    fill_floats(gate.at, 5 * cols);
    rms_norm(x.at, weight.at, y.at, 3, cols, 1e-5f);
    silu_mul(x.at, y.at, 3, cols, cols);
    gelu_mul(x.at, y.at, 3, cols, cols);
    router_logits(x.at, gate.at, cols, 5, logits.at);
    Block<uint32_t> picked(2), index(3);
    select_experts(logits.at, 5, 2, picked.at, shares.at);
    for (uint32_t t = 0; t < 3; t++) index.at[t] = 2 - t;
    const AddRowsArgs add = {y.at, cols, index.at, x.at, cols, nullptr, 3, cols};
    add_rows(&add);
    digest.add(x.at, 3 * cols);
    digest.add(y.at, 3 * cols);
    digest.add(logits.at, 5);
    digest.add(shares.at, 2);
    Block<float> frequencies(cols / 2), angles(cols / 2 * 2);
    rope_inv_freq(1e4, cols, frequencies.at);
    rope_table(77, frequencies.at, cols / 2, 1, angles.at);
    digest.add(angles.at, cols / 2 * 2);
  }
  digest.print("others");
}

}  // namespace LEVEL

int main() {
#define FORMAT(name, NAME, id, values, bytes, packing) LEVEL::products(id, values < 32 ? 32 : values);
#include "../formats.def"
  for (uint32_t type : {0u, 1u, 2u}) {
    for (uint32_t head_dim : {32u, 64u, 128u}) {
      for (uint32_t window : {0u, 33u}) LEVEL::attend(type, head_dim, 3, window);
    }
  }
  LEVEL::attend(0, 7, 1, 0);
  LEVEL::attend(1, 20, 40, 0);
  LEVEL::others();
}
