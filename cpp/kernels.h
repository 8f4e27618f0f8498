// The ABI of the kernels: every export, with its arguments and constraints. src/kernels/abi.ts is its twin in TypeScript.
//
// The module is pure: it imports one shared memory (env.memory), has no JavaScript glue, no heap and no static data that
// is written. Its constant data (the grids of tables.h) stands in bytes [1024, 65536): the first instance on a memory
// that was zero there writes it, and others wait for that. Each thread has its own instance in each bank; it sets
// __stack_pointer to its own 64 KiB stack first.
// Pointers are byte offsets in that memory (u32, up to 4 GiB). "rows" of a weight stand one after another, whole blocks,
// as in the file; weight pointers may be unaligned, all other pointers are multiples of 16. No kernel writes beyond what
// its line says; none reads weights beyond their last byte. No kernel splits work: the caller passes ranges.
//
// The same bits in every build and form: for one output value the additions happen in one order, which depends on the
// format and the number of columns alone: not on plain or relaxed SIMD, nor on one-token or many-token form, nor on the
// other rows or tokens of the call.
#pragma once
#include <stdint.h>

#ifndef KERNEL
#define KERNEL extern "C"
#endif

// GGUF's type ids.
enum Format : uint32_t {
#define FORMAT(name, NAME, id, values, bytes, packing) NAME = id,
#include "formats.def"
};

// ---- Activations, packed for a product (pack.cpp) ------------------------------------------------------------------
// A product reads its activations packed: in f32 for F32, F16, BF16, a value below 2^-64 (NEGLIGIBLE) as 0; else int8 per
// 32 values with f32 scales (scale = amax/127, value = nearest-even(x * (127/amax)), all 0 where amax is below 2^-64) and
// sums, columns padded with zeros to a multiple of 128; for BNB_INT8 int8 per row (llm_int8.h). There are two forms: tokens one after another for matvec_*, tiles
// of 4 tokens for matmul_*. Formats of one kind share a packed copy.
KERNEL uint32_t vec_kind(uint32_t format);   // kind of packing that matvec_<format> reads; equal kinds, equal bytes
KERNEL uint32_t tile_kind(uint32_t format);  // the same for matmul_<format>
// Size, a multiple of 16; of tiles, which are whole, for tokens rounded up to 4.
KERNEL uint32_t packed_bytes(uint32_t kind, uint32_t cols, uint32_t tokens);

// Packs columns [col0, col1) of tokens [from, to).
struct PackArgs {
  uint32_t kind;
  const float* x;         // token t: f32 [cols] at x + t * stride
  uint32_t stride;        // floats
  uint32_t tokens;        // of the packed copy
  uint8_t* dst;           // packed_bytes(kind, cols, tokens)
  uint32_t cols;          // as of the products
  uint32_t col0, col1;    // multiples of 128, but for col1 = cols; for BNB_INT8 all columns
  uint32_t from, to;      // of tiles multiples of 4, but for to = tokens: the last tile is padded with zeros
  float threshold;        // BNB_INT8 alone: from which size on a value is an outlier; 0: none is
  const uint32_t* order;  // of blocks: column c of the packed rows is column order[c] of x; where it is 0, c
};
KERNEL void pack(const PackArgs* args);

// ---- Products: out[t][r] = sum over c of w[r][c] * x[t][c] (products.cpp), one pair for each format F ---------------
//   matvec_F   few tokens, two or three of which read the weights together: bound by bandwidth, a few linear streams
//   matmul_F   tiles of tokens; a panel of weights is unpacked once for all of them
struct ProductArgs {
  const uint8_t* w;       // whole rows
  const uint8_t* x;       // packed for the form
  float* out;             // row r of token t: out + t * out_stride + r; matmul_F writes the last tile's padding, too
  uint32_t cols;          // a multiple of 32 for quantized formats (256 for K types, 128 for Q4_0_R, INT4 and INT8, 64 for
                          // BNB_NF4 and BNB_FP4), any number for F32, F16, BF16, and up to 2^17 for BNB_INT8
  uint32_t rows, tokens;  // any number
  uint32_t out_stride;    // floats; for matmul_F a multiple of 4
  uint8_t* scratch;       // matmul_F alone: matmul_scratch(cols) bytes, for the unpacked panel
  uint32_t dot;           // matmul_F alone: a Dot
  uint32_t read_ahead;    // 1 or 0: whether weights are asked for ahead of their use (read_ahead.h): the same bits; the
                          // faster one depends on the machine. One token of F32 and many of floats have but one loop
};

// Which relaxed dot a matmul_F gathers codes of 2 to 6 bits with: the same bits; the faster one depends on engine and machine
// (roof_dot_i16, roof_dot_i32). Other formats, Q6_K, and the plain build have but one form and take either. The i32 dot is
// not for V8 before 12 (Node 20), which miscompiles it.
enum Dot : uint32_t { DOT_I16 = 0, DOT_I32 = 1 };

#define FORMAT(name, NAME, id, values, bytes, packing) \
  KERNEL void matvec_##name(const ProductArgs* args);  \
  KERNEL void matmul_##name(const ProductArgs* args);  \
  KERNEL void dequantize_##name(const uint8_t* src, float* dst, uint32_t n); /* n values, whole blocks (BNB_INT8: one row); exact */
#include "formats.def"

KERNEL uint32_t matmul_scratch(uint32_t cols);  // bytes, the maximum over formats

// Blocks of Q4_0 and Q4_K become Q4_0_R and Q4_K_R, in place (repack.cpp). `bytes` are whole groups of 128 values, of 72
// bytes, and whole super-blocks, of 144: all within one row, or rows of a multiple of those.
KERNEL void repack_q4_0(uint8_t* w, uint32_t bytes);
KERNEL void repack_q4_k(uint8_t* w, uint32_t bytes);

// ---- Norm, residual, gating (norm.cpp, elementwise.cpp) ------------------------------------------------------------
// dst[r][c] = x[r][c] / sqrt(mean over c of x^2 + eps) * weight[c], r < rows, c < cols. x may be dst.
KERNEL void rms_norm(const float* x, const float* weight, float* dst, uint32_t rows, uint32_t cols, float eps);
// dst[t'][c] += factor * src[t][c], t < tokens, c < cols.
struct AddRowsArgs {
  float* dst;
  uint32_t dst_stride;    // floats
  const uint32_t* index;  // t' = index[t], all different; where it is 0, t' = t
  const float* src;
  uint32_t src_stride;
  const float* scale;     // factor = scale[t]; where it is 0, factor = 1
  uint32_t tokens, cols;
};
KERNEL void add_rows(const AddRowsArgs* args);
// gate[t][c] = silu(gate[t][c]) * up[t][c], and with the exact (erf) GELU; strides in floats. What is below 2^-64
// (NEGLIGIBLE), before or after the product, counts as 0.
KERNEL void silu_mul(float* gate, const float* up, uint32_t tokens, uint32_t cols, uint32_t stride);
KERNEL void gelu_mul(float* gate, const float* up, uint32_t tokens, uint32_t cols, uint32_t stride);

// ---- Rotary position embedding (rope.cpp) --------------------------------------------------------------------------
// inv_freq[i] = 1 / theta^(2i/dim) for i < dim/2, each step rounded to f32 as torch does (theta f64).
KERNEL void rope_inv_freq(double theta, uint32_t dim, float* inv_freq);
// table[0..half) = cos(angle_i) * scale, table[half..2 half) = sin(angle_i) * scale, angle_i = f32(position) * inv_freq[i]
// in f32, whose cosine and sine are computed in f64 and rounded: right to the last bit or so at any angle below 2^24.
KERNEL void rope_table(uint32_t position, const float* inv_freq, uint32_t half, float scale, float* table);

// ---- Attention over the cache (kv_store.cpp, attention.cpp) --------------------------------------------------------
// The cache's storage: f32, f16 (rounded to nearest even), or blocks of Q8_0 (head_dim a multiple of 32).
enum KvType : uint32_t { KV_F32 = 0, KV_F16 = 1, KV_Q8_0 = 2 };

// Keys and values live in pages: block b of a sequence, its positions 64 b .. 64 b + 63, is one page for all KV heads. It
// holds keys as rows (kv_head, position, row_bytes), and values likewise; where in it they begin is the caller's choice.
inline constexpr uint32_t KV_PAGE = 64;  // positions

// Bytes of a row, one position's key or value of one head: f32 and f16 are padded to a multiple of 16 dims.
KERNEL uint32_t kv_row_bytes(uint32_t head_dim, uint32_t type);

// Some rows of a chunk of one sequence, for one KV head and the `group` query heads that share it. Chunk row i has the
// absolute index first + i; the query at index p sees keys (p - window, p], or all up to p when window is 0, less those
// that are hidden: padding. A query that sees none has an output of 0.
struct AttentionArgs {
  const float* q;         // chunk row i, head g of the group: q + i * q_stride + g * head_dim, as projected
  const float* k;         // chunk row i: k + i * kv_stride, as projected; this KV head's part
  const float* v;
  const float* table;     // rope_table of chunk row i: table + i * head_dim (cosines, then sines)
  float* rotated;         // the rotated queries, laid out as q
  float* out;             // the outputs, laid out as q; may be q
  uint8_t* keys;          // this layer's and KV head's keys in page 0: (64, row_bytes)
  uint8_t* values;
  const uint32_t* pages;  // pages[b - first_block] is the page that holds block b
  uint32_t page_bytes;    // from a page to the next
  uint32_t first_block;   // the block of pages[0]
  const uint64_t* hidden; // bit i of hidden[b - first_block]: key i of block b is hidden, and may hold anything; or null
  uint32_t q_stride, kv_stride;  // floats
  uint32_t group, head_dim;      // any numbers >= 1
  uint32_t interleaved;   // pairs (2i, 2i + 1) of q and k stand for (i, i + head_dim / 2), as GGUF has them; else 0
  uint32_t first;         // absolute index of chunk row 0
  uint32_t row0, row1;    // the chunk rows to work on
  uint32_t window, type;  // 0: none; a KvType
  float scale;            // head_dim^-0.5
  uint8_t* scratch;       // attention_scratch(group, head_dim) bytes
  float* matrix;          // attention_eager alone: attention_matrix bytes
};

// Rotates the rows' queries into `rotated`, and their keys, both to Hugging Face's order: halves split at head_dim / 2
// (the last dim of an odd number stays as it is). Stores keys and values into their pages. Uses scratch.
KERNEL void attention_store(const AttentionArgs* args);

// Attention of the rows' `rotated` queries, once all keys that they see are stored: an online softmax by blocks, so
// that a query's bits depend on its own index and the window alone, not on how a prompt was cut into chunks or a chunk
// into calls. Reads the keys and values that the rows see, and neighbours up to a multiple of four, which may hold
// anything. Weights below 2^-80 of the largest so far count as 0.
KERNEL uint32_t attention_scratch(uint32_t group, uint32_t head_dim);  // bytes
KERNEL void attention(const AttentionArgs* args);

// The same with the rows' score matrix in memory, as eager implementations have it: all scores, a softmax over each
// row, then the values. Equal to `attention` but for rounding. Leaves the probabilities in the matrix, f32
// (row - row0, head of the group, column). Column c is the key at absolute index 64 b + c, b the first block that row0
// sees; the columns end with the block that row1 - 1 is in. Keys that a row does not see have 0.
KERNEL uint32_t attention_matrix(uint32_t group, uint32_t rows, uint32_t keys);  // bytes; keys: that the rows see
KERNEL void attention_eager(const AttentionArgs* args);

// ---- Router (router.cpp) -------------------------------------------------------------------------------------------
// One token: logits[e] = x . gate[e], gate f32 [experts][cols].
KERNEL void router_logits(const float* x, const float* gate, uint32_t cols, uint32_t experts, float* logits);
// Mixtral's rule: softmax over all logits in f32; the k largest in descending order, ties to the lower index; weights f32
// [k], divided by their sum. 1 <= k <= experts.
KERNEL void select_experts(const float* logits, uint32_t experts, uint32_t k, uint32_t* picked, float* weights);

// ---- Probe (probe.cpp) ---------------------------------------------------------------------------------------------
// The build's own integer dot on 16 + 16 bytes (b in 0..127) to 4 + 8 sums (i32 form, i16 form), to be compared once
// with the plain build's.
KERNEL void probe_dot(const int8_t* a, const int8_t* b, int32_t* out);

// ---- Roofs (roofs.cpp), for bench/kernels.ts -----------------------------------------------------------------------
// Each returns a checksum to be ignored. roof_read, roof_read_two: bytes a multiple of 128. The others: steps a multiple of
// 10, each of 16 multiply-adds (dot_i32, dot_i16: bytes), 8 (product_i16) or 4 (f32). The engine times the dots, too.
KERNEL uint32_t roof_read(const uint8_t* p, uint32_t bytes);
KERNEL uint32_t roof_read_two(const uint8_t* p, uint32_t bytes);
KERNEL uint32_t roof_dot_i32(uint32_t steps);
KERNEL uint32_t roof_dot_i16(uint32_t steps);
KERNEL uint32_t roof_product_i16(uint32_t steps);
KERNEL uint32_t roof_f32(uint32_t steps);
