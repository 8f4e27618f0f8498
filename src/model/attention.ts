// Attention of a step: the work is split by sequence and KV head. The thread that takes a pair does all of it, so nothing in
// here waits: rotate the queries and the new keys, attend to the ring and the chunk itself, then write the chunk into the
// ring. Keys and values are rounded to the cache's type before they are used, so chunks and rings give the same bits.
//
// The ring, by example: window 3, three slots, a prompt of 5 tokens. Token p lands in slot p mod 3, so the ring holds
//   slot    0  1  2
//   token   3  4  2        and token 5 attends to 3, 4 and itself, then overwrites slot 2.
import type { ModelShape } from "../config/shape.ts";
import { attentionArgs } from "../kernels/abi.ts";
import { writeStruct } from "../kernels/structs.ts";
import type { Phases } from "./phases.ts";
import type { BankView, ThreadMemory } from "./product.ts";
import { kvTypes, type SequenceRows, type Step } from "./step.ts";

/**
 * Queries, keys and values stand in the layer's bank at state.q, .k, .v as projected; the outputs replace the queries.
 * @param layer_bank - the bank where the layer's products run
 */
export function attention(
  memory: ThreadMemory,
  shape: ModelShape,
  interleaved: boolean,
  step: Step,
  layer: number,
  layer_bank: BankView,
  thread: number,
  phases: Phases,
): void {
  phases.each(step.sequences.length * shape.kv_heads, (unit) => {
    const sequence = step.sequences[Math.floor(unit / shape.kv_heads)];
    attendHead(memory, shape, interleaved, sequence, layer, layer_bank, unit % shape.kv_heads, thread);
  });
}

function attendHead(
  memory: ThreadMemory,
  shape: ModelShape,
  interleaved: boolean,
  sequence: SequenceRows,
  layer: number,
  layer_bank: BankView,
  head: number,
  thread: number,
): void {
  const { state, own } = memory;
  const { head_dim } = shape;
  const { row, rows, first, ring } = sequence;
  const { id: type, bytes: size } = kvTypes[ring.type];
  const bank = memory.banks[ring.banks[layer]];
  const { kernels } = bank;
  const group = shape.heads / shape.kv_heads;
  const head_bytes = ring.slots * head_dim * size;
  const k_ring = ring.addresses[layer] + head * head_bytes;
  const v_ring = k_ring + shape.kv_heads * head_bytes;

  // Byte offsets of this head's part of a row.
  const q_part = head * group * head_dim * 4;
  const kv_part = head * head_dim * 4;
  const chunk = (r: number) => (r * state.kv_stride + head * head_dim) * size;
  for (let r = row; r < row + rows; r++) {
    const q = r * state.q_stride * 4 + q_part;
    const kv = r * state.kv_stride * 4 + kv_part;
    memory.carry(layer_bank, bank, state.q + q, group * head_dim);
    memory.carry(layer_bank, bank, state.k + kv, head_dim);
    memory.carry(layer_bank, bank, state.v + kv, head_dim);
    const table = state.rope + r * head_dim * 4;
    kernels.rope(state.q + q, state.q_rotated + q, table, group, head_dim, interleaved ? 1 : 0);
    kernels.rope(state.k + kv, state.k_rotated + kv, table, 1, head_dim, interleaved ? 1 : 0);
    kernels.store_kv(state.k_rotated + kv, state.k_chunk + chunk(r), head_dim, type);
    kernels.store_kv(state.v + kv, state.v_chunk + chunk(r), head_dim, type);
  }

  const q_start = row * state.q_stride * 4 + q_part;
  writeStruct(bank, own.attention_args, attentionArgs, {
    q: state.q_rotated + q_start,
    out: state.q + q_start,
    k_ring,
    v_ring,
    k_chunk: state.k_chunk + chunk(row),
    v_chunk: state.v_chunk + chunk(row),
    q_stride: state.q_stride,
    out_stride: state.q_stride,
    chunk_stride: state.kv_stride,
    group,
    head_dim,
    first,
    row0: 0,
    row1: rows,
    slots: ring.slots,
    window: shape.window,
    type,
    scale: 1 / Math.sqrt(head_dim),
    scratch: own.attention_scratch,
  });
  if (ring.matrices) {
    const matrix = ring.matrices.addresses[layer] + thread * ring.matrices.bytes;
    writeStruct(bank, own.attention_args, attentionArgs, { matrix });
    kernels.attention_eager(own.attention_args);
  } else kernels.attention(own.attention_args);

  for (let r = row; r < row + rows; r++) {
    memory.carry(bank, layer_bank, state.q + r * state.q_stride * 4 + q_part, group * head_dim);
  }
  // Of a chunk longer than the ring only the last keys stay.
  for (let r = row + Math.max(0, rows - ring.slots); r < row + rows; r++) {
    const slot = ((first + r - row) % ring.slots) * head_dim * size;
    bank.u8.copyWithin(k_ring + slot, state.k_chunk + chunk(r), state.k_chunk + chunk(r) + head_dim * size);
    bank.u8.copyWithin(v_ring + slot, state.v_chunk + chunk(r), state.v_chunk + chunk(r) + head_dim * size);
  }
}
