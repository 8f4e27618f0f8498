// A layer's attention: x += o_proj · attention(RMSNorm(x)). A sequence's new keys and values are stored in its pages before
// its queries look at them, so there is one source of keys. Work is split by sequence and KV head, and by rows of queries
// where a chunk is long.
//
// Pages, by example: 64 positions each. A sequence whose tokens 0 … 149 are there, with a window of 64, holds pages 7, 2:
//   block           1          2                       (block 0's page was given back: nobody sees it any more)
//   positions    64 … 127   128 … 149
//   page            7          2          token 150 goes to slot 22 of page 2, and sees positions 87 … 150
import { attentionArgs } from "../kernels/abi.ts";
import { writeStruct } from "../kernels/structs.ts";
import { alignUp } from "../memory/bank.ts";
import { type KvLayout, kvFormats, PAGE_POSITIONS } from "../memory/kv_pool.ts";
import { ATTENTION_ROWS, type RunState } from "../memory/layout.ts";
import type { BankedLayer } from "../memory/plan.ts";
import type { Lora } from "./lora.ts";
import { LoraTasks, noTasks } from "./lora_tasks.ts";
import type { Norm } from "./norm.ts";
import type { Phases } from "./phases.ts";
import type { Products, Unit } from "./products.ts";
import { project } from "./project.ts";
import type { Squares } from "./squares.ts";
import type { SequenceRows, Setup } from "./step.ts";
import type { StepView } from "./step_view.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

/** Rows that eager attention computes at a time: their whole matrix is stored. */
export const EAGER_ROWS = 8;

export class Attention {
  private readonly memory: ThreadMemory;
  private readonly products: Products;
  private readonly phases: Phases;
  private readonly norm: Norm;
  private readonly lora: Lora;
  private readonly squares: Squares;
  private readonly state: RunState;
  private readonly kv: KvLayout;
  private readonly eager: boolean;
  private readonly interleaved: number;
  private readonly hidden: number;

  constructor(
    memory: ThreadMemory,
    products: Products,
    phases: Phases,
    norm: Norm,
    lora: Lora,
    squares: Squares,
    setup: Setup,
  ) {
    this.memory = memory;
    this.products = products;
    this.phases = phases;
    this.norm = norm;
    this.lora = lora;
    this.squares = squares;
    this.state = setup.state;
    this.kv = setup.kv;
    this.eager = setup.eager;
    this.interleaved = setup.model.qk_interleaved ? 1 : 0;
    this.hidden = setup.shape.hidden;
  }

  *run(view: StepView, layer: BankedLayer, index: number): Generator<void, void, void> {
    const { products, phases, state, hidden, lora, squares } = this;
    const { lane, buffers, rows, adapters } = view;
    const { q_proj, k_proj, v_proj, o_proj } = layer;
    const input = view.packed(hidden);
    yield* phases.rows(view, "attention norm", index, (from, to) => {
      const bank = this.norm.into(view, this.memory.banks[layer.bank], layer.input_layernorm, from, to);
      products.pack(bank, [q_proj, k_proj, v_proj], 0, input, buffers.xn, hidden, from, to);
    });
    view.home = this.memory.banks[layer.bank];
    const bank = view.home;
    squares.rows(view, "attention", index, bank, buffers.xn, hidden, hidden);
    const wanted = [
      { linear: q_proj, out: { bank, address: lane.q, stride: state.q_stride } },
      { linear: k_proj, out: { bank, address: lane.k, stride: state.kv_stride } },
      { linear: v_proj, out: { bank, address: lane.v, stride: state.kv_stride } },
    ];
    let after: ((unit: Unit) => void) | undefined;
    if (adapters.length > 0) {
      const added = this.added(view, index, ["q_proj", "k_proj", "v_proj"]);
      yield* lora.inner(view, index, added, hidden, () => ({ bank, address: buffers.xn, stride: hidden }));
      after = (unit) => lora.outer(added, unit, products.stripStride(unit, rows), wanted[unit.part].out);
    }
    yield* project(view, products, phases, "q, k, v", index, input, wanted, after);
    yield* this.attend(view, layer, index);
    const attended = view.packed(o_proj.weights.cols);
    squares.rows(view, "output", index, bank, lane.q, state.q_stride, o_proj.weights.cols);
    yield* phases.rows(view, "attention pack", index, (from, to) =>
      products.pack(view.home, [o_proj], 0, attended, lane.q, state.q_stride, from, to),
    );
    const { strip } = this.memory.own;
    const out = adapters.length > 0 ? this.added(view, index, ["o_proj"]) : noTasks;
    if (out.length > 0) {
      const queries = { bank, address: lane.q, stride: state.q_stride };
      yield* lora.inner(view, index, out, o_proj.weights.cols, () => queries);
    }
    const units = products.units([hidden], rows, 16);
    yield* phases.units(view, "o", index, units.length, (unit) => {
      const { from, to } = units[unit];
      const stride = products.stripStride(units[unit], rows);
      products.multiply(o_proj, 0, attended, from, to, { address: strip, stride });
      this.norm.addRows(view.home, lane.x + from * 4, 0, strip, stride, 0, rows, to - from);
      if (out.length > 0) lora.outer(out, units[unit], stride, { bank, address: lane.x, stride: hidden });
    });
  }

  /** What adapters add to some matrices, each a part. */
  private added(
    { adapters, step }: StepView,
    index: number,
    names: readonly ("q_proj" | "k_proj" | "v_proj" | "o_proj")[],
  ) {
    const tasks = new LoraTasks(step.lane);
    for (const group of adapters)
      for (const [part, name] of names.entries()) tasks.add(group, group.adapter.layers[index][name], part, group.rows);
    return tasks.list;
  }

  /** Queries, keys and values stand in the layer's bank as projected; the outputs replace the queries. */
  private *attend(view: StepView, layer: BankedLayer, index: number): Generator<void, void, void> {
    const { kv_heads } = layer.shape;
    // A unit whose queries are all of its sequence's can store the keys that they need by itself.
    const apart = view.sequences.some(({ rows }) => rows > ATTENTION_ROWS);
    if (apart)
      yield* this.phases.units(view, "keys", index, view.sequences.length * kv_heads, (unit) => {
        const sequence = view.sequences[Math.floor(unit / kv_heads)];
        const bank = this.prepare(view, sequence, layer, index, unit % kv_heads, 0, sequence.rows);
        bank.kernels.attention_store(this.memory.own.args);
      });
    yield* this.phases.units(view, "attention", index, view.blocks.length * kv_heads, (unit) => {
      const { sequence, from } = view.blocks[Math.floor(unit / kv_heads)];
      this.attendRows(view, layer, index, sequence, unit % kv_heads, from, !apart);
    });
  }

  /** Some rows of a sequence and one KV head, with the query heads that share it. */
  private attendRows(
    view: StepView,
    layer: BankedLayer,
    index: number,
    sequence: SequenceRows,
    head: number,
    from: number,
    store: boolean,
  ): void {
    const { args } = this.memory.own;
    const to = Math.min(from + ATTENTION_ROWS, sequence.rows);
    const bank = this.prepare(view, sequence, layer, index, head, from, to);
    if (store) bank.kernels.attention_store(args);
    if (this.eager || sequence.wants.attentions) this.attendEager(bank, layer, index, sequence, head, from, to);
    else bank.kernels.attention(args);
    const { heads, kv_heads, head_dim } = layer.shape;
    const width = (heads / kv_heads) * head_dim;
    for (let r = sequence.row + from; r < sequence.row + to; r++)
      this.memory.copyToBank(bank, view.home, view.lane.q + (r * this.state.q_stride + head * width) * 4, width);
  }

  /** With the whole matrix of a few rows at a time, which is copied to where it is wanted. */
  private attendEager(
    bank: BankView,
    layer: BankedLayer,
    index: number,
    sequence: SequenceRows,
    head: number,
    from: number,
    to: number,
  ): void {
    const { args } = this.memory.own;
    const { matrices } = this.kv;
    const matrix = matrices!.bases[index] + this.phases.thread * matrices!.bytes;
    const capture = sequence.wants.attentions?.[index];
    const group = layer.shape.heads / layer.shape.kv_heads;
    for (let row0 = from; row0 < to; row0 += EAGER_ROWS) {
      const row1 = Math.min(row0 + EAGER_ROWS, to);
      writeStruct(bank, args, attentionArgs, { row0, row1, matrix });
      bank.kernels.attention_eager(args);
      if (!capture) continue;
      const { window } = layer.shape;
      const visible = (p: number) => (window && p >= window ? p - window + 1 : 0);
      // The matrix's columns are whole blocks of keys, from the one on in which the first is seen: cpp/kernels.h.
      const origin = Math.floor(visible(sequence.first + row0) / PAGE_POSITIONS) * PAGE_POSITIONS;
      const columns = alignUp(sequence.first + row1 - origin, PAGE_POSITIONS);
      for (let r = row0; r < row1; r++) {
        const p = sequence.first + r;
        const first = Math.max(visible(p), capture.first_key);
        for (let g = 0; g < group; g++) {
          const row = matrix / 4 + ((r - row0) * group + g) * columns;
          const at = (capture.first + r + (head * group + g) * capture.rows) * capture.stride;
          const values = bank.f32.subarray(row + first - origin, row + p + 1 - origin);
          capture.data.set(values, at + first - capture.first_key);
        }
      }
    }
  }

  /** Writes the arguments of a head's rows [from, to). @returns the bank that its pages are in, with all that it needs */
  private prepare(
    view: StepView,
    sequence: SequenceRows,
    layer: BankedLayer,
    index: number,
    head: number,
    from: number,
    to: number,
  ): BankView {
    const { state, kv, memory } = this;
    const { lane, step } = view;
    const { heads, kv_heads, head_dim, scale, window } = layer.shape;
    const { own } = memory;
    const bank = memory.banks[kv.banks[index]];
    const group = heads / kv_heads;
    const { row, first } = sequence;
    const q = (row * state.q_stride + head * group * head_dim) * 4;
    const k = (row * state.kv_stride + head * head_dim) * 4;
    for (let r = from; bank !== view.home && r < to; r++) {
      memory.copyToBank(view.home, bank, lane.q + q + r * state.q_stride * 4, group * head_dim);
      memory.copyToBank(view.home, bank, lane.k + k + r * state.kv_stride * 4, head_dim);
      memory.copyToBank(view.home, bank, lane.v + k + r * state.kv_stride * 4, head_dim);
    }
    bank.u32.set(step.pages.subarray(sequence.pages_from, sequence.pages_to), own.pages / 4);
    if (sequence.hidden) bank.u32.set(sequence.hidden, own.hidden / 4);
    const keys = kv.bases[index] + head * kv.head_bytes[index];
    writeStruct(bank, own.args, attentionArgs, {
      q: lane.q + q,
      k: lane.k + k,
      v: lane.v + k,
      table: lane.rope + row * head_dim * 4,
      rotated: lane.rotated + q,
      out: lane.q + q,
      keys,
      values: keys + kv_heads * kv.head_bytes[index],
      pages: own.pages,
      page_bytes: kv.page_bytes[index],
      first_block: sequence.first_block,
      hidden: sequence.hidden ? own.hidden : 0,
      q_stride: state.q_stride,
      kv_stride: state.kv_stride,
      group,
      head_dim,
      interleaved: this.interleaved,
      first,
      row0: from,
      row1: to,
      window,
      type: kvFormats[kv.format].id,
      scale,
      scratch: own.attention_scratch,
    });
    return bank;
  }
}
