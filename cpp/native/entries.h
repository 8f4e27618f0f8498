// A level's functions as the library calls them (entries.def): arguments as WebAssembly's memory has them, looked at whether all
// that they name lies within it, and handed on with the host's pointers.
#pragma once

namespace entries {

// A memory, and whether all that was asked of it so far lies within.
struct Memory {
  uint8_t* at;
  uint64_t size;
  bool whole = true;

  // `count` of T at an offset.
  template <class T>
  T* get(uint32_t offset, uint64_t count) {
    if (count > size / sizeof(T) || offset > size - count * sizeof(T)) whole = false;
    return reinterpret_cast<T*>(at + offset);
  }
  // The same of what may be missing, which an offset of 0 says.
  template <class T>
  T* get_if(uint32_t offset, uint64_t count) {
    return offset ? get<T>(offset, count) : nullptr;
  }
  template <class T>
  T read(uint32_t offset) {
    T value = {};
    const uint8_t* from = get<uint8_t>(offset, sizeof(T));
    if (whole) memcpy(&value, from, sizeof(T));
    return value;
  }
};

// Floats of `rows` rows of `cols`, `stride` apart.
inline uint64_t extent(uint64_t rows, uint64_t stride, uint64_t cols) { return rows ? (rows - 1) * stride + cols : 0; }
inline uint64_t whole_tiles(uint64_t tokens) { return (tokens + 3) / 4 * 4; }

// What no model comes near, and below which the kernels' own sizes fit 32 bits.
inline constexpr uint32_t MOST_COLS = 1 << 24, MOST_QUERY = 1 << 20;

// packed_bytes, in 64 bits.
inline uint64_t bytes_of_packed(uint32_t kind, bool tiles, uint32_t cols, uint64_t tokens) {
  return tiles ? whole_tiles(tokens) / 4 * LEVEL::packed_bytes(kind, cols, 4) : tokens * LEVEL::packed_bytes(kind, cols, 1);
}
// Whether a kind is of tiles.
inline bool tiled(uint32_t kind) {
  return kind >= int8::VEC_ROW ? kind == int8::TILE_ROW : kind >= PACK_F32_KINDS ? kind >= TILE_I8 : kind >= TILE_NATURAL;
}
inline bool known(uint32_t kind) {
  return kind <= TILE_EVEN_ODD_F16 || (kind >= VEC_I8 && kind <= TILE_I16) || kind == int8::VEC_ROW || kind == int8::TILE_ROW;
}

inline uint32_t vec_kind(uint32_t format) { return LEVEL::vec_kind(format); }
inline uint32_t tile_kind(uint32_t format) { return LEVEL::tile_kind(format); }
inline uint32_t packed_bytes(uint32_t kind, uint32_t cols, uint32_t tokens) {
  return LEVEL::packed_bytes(kind, cols, tokens);
}
inline uint32_t matmul_scratch(uint32_t cols) { return LEVEL::matmul_scratch(cols); }
inline uint32_t kv_row_bytes(uint32_t head_dim, uint32_t type) { return LEVEL::kv_row_bytes(head_dim, type); }
inline uint32_t attention_scratch(uint32_t group, uint32_t head_dim) {
  return LEVEL::attention_scratch(group, head_dim);
}
inline uint32_t attention_matrix(uint32_t group, uint32_t rows, uint32_t keys) {
  return LEVEL::attention_matrix(group, rows, keys);
}

// ---- Packing and products --------------------------------------------------------------------------------------------

struct PackWire {
  uint32_t kind, x, stride, tokens, dst, cols, col0, col1, from, to;
  float threshold;
  uint32_t order;
};
inline uint32_t pack(uint8_t* at, uint64_t size, uint32_t args) {
  Memory m{at, size};
  const PackWire a = m.read<PackWire>(args);
  if (!m.whole || a.cols > MOST_COLS || !known(a.kind)) return 1;
  const bool in_order = a.col0 <= a.col1 && a.col1 <= a.cols && a.from <= a.to && a.to <= a.tokens;
  const uint32_t* order = m.get_if<uint32_t>(a.order, a.cols);
  const PackArgs host = {a.kind, m.get<float>(a.x, extent(a.to, a.stride, a.cols)), a.stride, a.tokens,
                         m.get<uint8_t>(a.dst, bytes_of_packed(a.kind, tiled(a.kind), a.cols, a.tokens)), a.cols, a.col0, a.col1,
                         a.from, a.to, a.threshold, order};
  if (!m.whole || !in_order) return 1;
  for (uint32_t c = 0; order && c < a.cols; c++) {
    if (order[c] >= a.cols) return 1;
  }
  LEVEL::pack(&host);
  return 0;
}

// Of a format: bytes of a row, and its kernels.
struct FormatKernels {
  uint32_t values, bytes, head;  // of a block; what a row has beside blocks
  void (*matvec)(const ProductArgs*);
  void (*matmul)(const ProductArgs*);
  void (*dequantize)(const uint8_t*, float*, uint32_t);
};
inline const FormatKernels* kernels_of(uint32_t format) {
  switch (format) {
#define ROW_FORMAT(name, NAME, id, values, bytes, packing)                                                            \
  case id: {                                                                                                           \
    static constexpr FormatKernels kernels = {values, bytes, 4, matvec_##name, matmul_##name, LEVEL::dequantize_##name}; \
    return &kernels;                                                                                                   \
  }
#define FORMAT(name, NAME, id, values, bytes, packing)                                                                \
  case id: {                                                                                                           \
    static constexpr FormatKernels kernels = {values, bytes, 0, matvec_##name, matmul_##name, LEVEL::dequantize_##name}; \
    return &kernels;                                                                                                   \
  }
#include "../formats.def"
  }
  return nullptr;
}
// Bytes of a row of `cols` values.
inline uint64_t bytes_of_row(const FormatKernels& f, uint64_t cols) {
  return f.head + (cols + f.values - 1) / f.values * f.bytes;
}

struct ProductWire {
  uint32_t w, x, out, cols, rows, tokens, out_stride, scratch, dot, read_ahead;
};
template <bool tiles>
inline uint32_t product(uint8_t* at, uint64_t size, uint32_t format, uint32_t args) {
  const FormatKernels* f = kernels_of(format);
  if (!f) return 1;
  Memory m{at, size};
  const ProductWire a = m.read<ProductWire>(args);
  if (!m.whole || a.cols > MOST_COLS) return 1;
  const uint32_t kind = tiles ? LEVEL::tile_kind(format) : LEVEL::vec_kind(format);
  const uint64_t tokens = tiles ? whole_tiles(a.tokens) : a.tokens;
  ProductArgs host = {m.get<uint8_t>(a.w, a.rows * bytes_of_row(*f, a.cols)),
                      m.get<uint8_t>(a.x, bytes_of_packed(kind, tiles, a.cols, a.tokens)),
                      m.get<float>(a.out, extent(tokens, a.out_stride, a.rows)),
                      a.cols,
                      a.rows,
                      a.tokens,
                      a.out_stride,
                      tiles ? m.get<uint8_t>(a.scratch, LEVEL::matmul_scratch(a.cols)) : nullptr,
                      a.dot,
                      a.read_ahead};
  if (!m.whole) return 1;
  (tiles ? f->matmul : f->matvec)(&host);
  return 0;
}
inline uint32_t matvec(uint8_t* at, uint64_t size, uint32_t format, uint32_t args) {
  return product<false>(at, size, format, args);
}
inline uint32_t matmul(uint8_t* at, uint64_t size, uint32_t format, uint32_t args) {
  return product<true>(at, size, format, args);
}
inline uint32_t dequantize(uint8_t* at, uint64_t size, uint32_t format, uint32_t src, uint32_t dst, uint32_t n) {
  const FormatKernels* f = kernels_of(format);
  if (!f) return 1;
  Memory m{at, size};
  const uint8_t* from = m.get<uint8_t>(src, bytes_of_row(*f, n));
  float* to = m.get<float>(dst, n);
  if (!m.whole) return 1;
  f->dequantize(from, to, n);
  return 0;
}

template <class Block, void repack(uint8_t*, uint32_t)>
inline uint32_t repack_blocks(Memory m, uint32_t w, uint32_t bytes) {
  uint8_t* to = m.get<uint8_t>(w, bytes);
  if (!m.whole || bytes % sizeof(Block)) return 1;
  repack(to, bytes);
  return 0;
}
inline uint32_t repack_q4_0(uint8_t* at, uint64_t size, uint32_t w, uint32_t bytes) {
  return repack_blocks<BlockQ4_0_R, LEVEL::repack_q4_0>({at, size}, w, bytes);
}
inline uint32_t repack_q4_k(uint8_t* at, uint64_t size, uint32_t w, uint32_t bytes) {
  return repack_blocks<BlockQ4_K_R, LEVEL::repack_q4_k>({at, size}, w, bytes);
}

// ---- Norm, residual, gating ------------------------------------------------------------------------------------------

inline uint32_t rms_norm(uint8_t* at, uint64_t size, uint32_t x, uint32_t weight, uint32_t dst, uint32_t rows,
                         uint32_t cols, float eps) {
  Memory m{at, size};
  const uint64_t all = uint64_t{rows} * cols;
  const float *from = m.get<float>(x, all), *factors = m.get<float>(weight, cols);
  float* to = m.get<float>(dst, all);
  if (!m.whole) return 1;
  LEVEL::rms_norm(from, factors, to, rows, cols, eps);
  return 0;
}

struct AddRowsWire {
  uint32_t dst, dst_stride, index, src, src_stride, scale, tokens, cols;
};
inline uint32_t add_rows(uint8_t* at, uint64_t size, uint32_t args) {
  Memory m{at, size};
  const AddRowsWire a = m.read<AddRowsWire>(args);
  const uint32_t* index = m.get_if<uint32_t>(a.index, a.tokens);
  const float* src = m.get<float>(a.src, extent(a.tokens, a.src_stride, a.cols));
  const float* scale = m.get_if<float>(a.scale, a.tokens);
  if (!m.whole) return 1;
  uint64_t last = a.tokens;
  if (index) {
    last = 0;
    for (uint32_t t = 0; t < a.tokens; t++) last = index[t] >= last ? uint64_t{index[t]} + 1 : last;
  }
  float* dst = m.get<float>(a.dst, extent(last, a.dst_stride, a.cols));
  if (!m.whole) return 1;
  const AddRowsArgs host = {dst, a.dst_stride, index, src, a.src_stride, scale, a.tokens, a.cols};
  LEVEL::add_rows(&host);
  return 0;
}

template <void gated(float*, const float*, uint32_t, uint32_t, uint32_t)>
inline uint32_t gate_rows(Memory m, uint32_t gate, uint32_t up, uint32_t tokens, uint32_t cols, uint32_t stride) {
  float* to = m.get<float>(gate, extent(tokens, stride, cols));
  const float* from = m.get<float>(up, extent(tokens, stride, cols));
  if (!m.whole) return 1;
  gated(to, from, tokens, cols, stride);
  return 0;
}
inline uint32_t silu_mul(uint8_t* at, uint64_t size, uint32_t gate, uint32_t up, uint32_t tokens, uint32_t cols,
                         uint32_t stride) {
  return gate_rows<LEVEL::silu_mul>({at, size}, gate, up, tokens, cols, stride);
}
inline uint32_t gelu_mul(uint8_t* at, uint64_t size, uint32_t gate, uint32_t up, uint32_t tokens, uint32_t cols,
                         uint32_t stride) {
  return gate_rows<LEVEL::gelu_mul>({at, size}, gate, up, tokens, cols, stride);
}

// ---- Positions and attention -----------------------------------------------------------------------------------------

inline uint32_t rope_inv_freq(uint8_t* at, uint64_t size, double theta, uint32_t dim, uint32_t inv_freq) {
  Memory m{at, size};
  float* to = m.get<float>(inv_freq, dim / 2);
  if (!m.whole) return 1;
  LEVEL::rope_inv_freq(theta, dim, to);
  return 0;
}
inline uint32_t rope_table(uint8_t* at, uint64_t size, uint32_t position, uint32_t inv_freq, uint32_t half, float scale,
                           uint32_t table) {
  Memory m{at, size};
  const float* from = m.get<float>(inv_freq, half);
  float* to = m.get<float>(table, 2 * uint64_t{half});
  if (!m.whole) return 1;
  LEVEL::rope_table(position, from, half, scale, to);
  return 0;
}

struct AttentionWire {
  uint32_t q, k, v, table, rotated, out, keys, values, pages, page_bytes, first_block, hidden, q_stride, kv_stride, group,
      head_dim, interleaved, first, row0, row1, window, type;
  float scale;
  uint32_t scratch, matrix;
};
enum class Attention { Store, Online, Eager };

template <Attention form>
inline uint32_t attend(uint8_t* at, uint64_t size, uint32_t args) {
  Memory m{at, size};
  const AttentionWire a = m.read<AttentionWire>(args);
  if (!m.whole || a.row0 > a.row1 || a.group == 0 || a.head_dim == 0 || a.type > KV_Q8_0) return 1;
  if (uint64_t{a.group} * a.head_dim > MOST_QUERY) return 1;
  if (a.row0 == a.row1) return 0;
  if (a.type == KV_Q8_0 && a.head_dim % 32) return 1;
  const uint64_t dim = a.head_dim, queries = extent(a.row1, a.q_stride, a.group * dim);
  const uint64_t last_block = (uint64_t{a.first} + a.row1 - 1) / KV_PAGE;
  // The first block that is looked at: the one where the first row stores, or the first one that it sees.
  const uint64_t seen = a.window && a.first + uint64_t{a.row0} + 1 > a.window ? a.first + uint64_t{a.row0} + 1 - a.window : 0;
  const uint64_t from_block = (form == Attention::Store ? uint64_t{a.first} + a.row0 : seen) / KV_PAGE;
  if (from_block < a.first_block) return 1;
  const uint64_t blocks = last_block - a.first_block + 1;
  const uint64_t page = uint64_t{KV_PAGE} * LEVEL::kv_row_bytes(a.head_dim, a.type);
  const uint32_t* pages = m.get<uint32_t>(a.pages, blocks);
  const uint64_t* hidden = m.get_if<uint64_t>(a.hidden, blocks);
  if (!m.whole) return 1;
  for (uint64_t b = from_block - a.first_block; b < blocks; b++) {
    // The kernels compute where a page is in 32 bits, as WebAssembly does.
    const uint64_t offset = uint64_t{pages[b]} * a.page_bytes;
    if (offset > size || offset + a.keys + page > size || offset + a.values + page > size) return 1;
  }
  AttentionArgs host = {};
  if (form == Attention::Store) {
    const uint64_t chunk = extent(a.row1, a.kv_stride, dim);
    host.q = m.get<float>(a.q, queries);
    host.k = m.get<float>(a.k, chunk);
    host.v = m.get<float>(a.v, chunk);
    host.table = m.get<float>(a.table, a.row1 * dim);
  } else {
    host.out = m.get<float>(a.out, queries);
  }
  host.rotated = m.get<float>(a.rotated, queries);
  host.scratch = m.get<uint8_t>(a.scratch, LEVEL::attention_scratch(a.group, a.head_dim));
  if (form == Attention::Eager) {
    const uint64_t keys = uint64_t{a.first} + a.row1 - seen;
    // In 32 bits its size fits only where that of all blocks' columns does.
    if (uint64_t{a.group} * (a.row1 - a.row0) * (keys + 2 * KV_PAGE) * 4 > size) return 1;
    host.matrix = m.get<float>(a.matrix, LEVEL::attention_matrix(a.group, a.row1 - a.row0, static_cast<uint32_t>(keys)) / 4);
  }
  if (!m.whole) return 1;
  host.keys = at + a.keys;
  host.values = at + a.values;
  host.pages = pages;
  host.hidden = hidden;
  host.page_bytes = a.page_bytes;
  host.first_block = a.first_block;
  host.q_stride = a.q_stride;
  host.kv_stride = a.kv_stride;
  host.group = a.group;
  host.head_dim = a.head_dim;
  host.interleaved = a.interleaved;
  host.first = a.first;
  host.row0 = a.row0;
  host.row1 = a.row1;
  host.window = a.window;
  host.type = a.type;
  host.scale = a.scale;
  if (form == Attention::Store) LEVEL::attention_store(&host);
  else if (form == Attention::Online) LEVEL::attention(&host);
  else LEVEL::attention_eager(&host);
  return 0;
}
inline uint32_t attention_store(uint8_t* at, uint64_t size, uint32_t args) {
  return attend<Attention::Store>(at, size, args);
}
inline uint32_t attention(uint8_t* at, uint64_t size, uint32_t args) { return attend<Attention::Online>(at, size, args); }
inline uint32_t attention_eager(uint8_t* at, uint64_t size, uint32_t args) {
  return attend<Attention::Eager>(at, size, args);
}

// ---- Router ----------------------------------------------------------------------------------------------------------

inline uint32_t router_logits(uint8_t* at, uint64_t size, uint32_t x, uint32_t gate, uint32_t cols, uint32_t experts,
                              uint32_t logits) {
  Memory m{at, size};
  const float *from = m.get<float>(x, cols), *weights = m.get<float>(gate, uint64_t{cols} * experts);
  float* to = m.get<float>(logits, experts);
  if (!m.whole) return 1;
  LEVEL::router_logits(from, weights, cols, experts, to);
  return 0;
}
inline uint32_t select_experts(uint8_t* at, uint64_t size, uint32_t logits, uint32_t experts, uint32_t k, uint32_t picked,
                               uint32_t weights) {
  Memory m{at, size};
  const float* from = m.get<float>(logits, experts);
  uint32_t* to = m.get<uint32_t>(picked, k);
  float* shares = m.get<float>(weights, k);
  if (!m.whole || k == 0 || k > experts) return 1;
  LEVEL::select_experts(from, experts, k, to, shares);
  return 0;
}

}  // namespace entries
