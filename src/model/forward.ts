// The forward pass, as every thread of the team runs it: the same steps in the same order, each thread on its share.
// Each phase ends with a barrier: the next reads what other threads wrote in it.
//
//   h += o_proj · attention(RMSNorm(h));  h += experts(RMSNorm(h))   for each layer;   logits = lm_head · RMSNorm(h)
import type { ModelShape } from "../config/shape.ts";
import { TILE_FROM } from "../memory/layout.ts";
import type { Placed, PlacedLayer } from "../memory/plan.ts";
import { type Barrier, share, type Turns } from "../threads/barrier.ts";
import { attention } from "./attention.ts";
import { Experts } from "./experts.ts";
import { type PhaseRecord, Phases } from "./phases.ts";
import { type BankView, ThreadMemory } from "./product.ts";
import type { BankAdded, DotChosen, Setup, Step } from "./step.ts";

export class Forward {
  private readonly memory: ThreadMemory;
  private readonly setup: Setup;
  private readonly shape: ModelShape;
  private readonly phases: Phases;
  private readonly thread: number;
  private readonly threads: number;
  private readonly experts: Experts;

  constructor(setup: Setup, thread: number, threads: number, barrier: Barrier, turns: Turns) {
    this.setup = setup;
    this.shape = setup.shape;
    this.thread = thread;
    this.threads = threads;
    this.memory = new ThreadMemory(setup, thread);
    this.phases = new Phases(barrier, turns, this.memory.counter, setup.profile);
    this.experts = new Experts(this.memory, setup.shape, this.phases, thread, threads);
  }

  tell(message: BankAdded | DotChosen): void {
    if ("dot" in message) this.memory.dot = message.dot;
    else this.memory.addBank(message.index, message.memory);
  }

  /** @returns what each phase took, where the engine profiles */
  run(step: Step): PhaseRecord[] | undefined {
    const { banks } = this.memory;
    const { layers } = this.setup.model;
    this.phases.run("embed", -1, () => this.embed(step, banks[layers[0].bank]));
    for (const [i, layer] of layers.entries()) {
      const bank = banks[layer.bank];
      if (i > 0) this.carryRows(banks[layers[i - 1].bank], bank, step.rows);
      this.capture(step, i, bank);
      this.attention(step, i, layer, bank);
      this.phases.run("router", i, () => this.route(step, i, layer, bank));
      this.experts.run(layer, i, bank, step.rows);
    }
    this.head(step, banks[layers[layers.length - 1].bank]);
    return this.phases.take();
  }

  /** The rows of a step that this thread norms and packs: whole tiles of 4 where the step is packed in tiles. */
  private ownRows(rows: number): [from: number, to: number] {
    return share(rows, this.thread, this.threads, rows < TILE_FROM ? 1 : 4);
  }

  /** Embeddings into x, and the tables of rotation into every cache bank that the step uses. */
  private embed(step: Step, bank: BankView): void {
    const { memory, shape } = this;
    const { state, banks } = memory;
    const { embed_tokens } = this.setup.model;
    const [from, to] = this.ownRows(step.rows);
    for (let r = from; r < to; r++) {
      const x = state.x + r * shape.hidden * 4;
      if (step.embeds) bank.f32.set(step.embeds.subarray(r * shape.hidden, (r + 1) * shape.hidden), x / 4);
      else {
        const { dequantize } = banks[0].kernels.format(embed_tokens.format);
        dequantize(embed_tokens.address + step.tokens![r] * embed_tokens.row_bytes, x, shape.hidden);
        memory.carry(banks[0], bank, x, shape.hidden);
      }
    }
    const used = new Set(step.sequences.flatMap(({ ring }) => ring.banks));
    for (const index of used) {
      for (let r = from; r < to; r++) {
        banks[index].kernels.rope_table(
          step.positions[r],
          state.inv_freq,
          shape.head_dim / 2,
          state.rope + r * shape.head_dim * 4,
        );
      }
    }
  }

  /** Brings this thread's rows of x into the bank of the next layer. */
  private carryRows(from: BankView, to: BankView, rows: number): void {
    const { hidden } = this.shape;
    const [row0, row1] = this.ownRows(rows);
    this.memory.carry(from, to, this.memory.state.x + row0 * hidden * 4, (row1 - row0) * hidden);
  }

  /** Copies this thread's rows of x to hidden_states[index], where they are wanted. */
  private capture(step: Step, index: number, bank: BankView): void {
    if (!step.hidden_states) return;
    const { hidden } = this.shape;
    const [from, to] = this.ownRows(step.rows);
    const x = this.memory.state.x / 4;
    step.hidden_states.set(bank.f32.subarray(x + from * hidden, x + to * hidden), (index * step.rows + from) * hidden);
  }

  private attention(step: Step, index: number, layer: PlacedLayer, bank: BankView): void {
    const { memory, shape, phases } = this;
    const { state, own } = memory;
    const { kernels } = bank;
    const { rows } = step;
    const [row0, row1] = this.ownRows(rows);
    phases.run("attention norm", index, () => {
      this.norm(bank, layer.input_layernorm, row0, row1);
      this.pack(bank, [layer.q_proj, layer.k_proj, layer.v_proj], state.xn, shape.hidden, rows, row0, row1);
    });
    phases.run("q, k, v", index, () => {
      this.project(bank, rows, [
        { matrix: layer.q_proj, out: state.q, stride: state.q_stride },
        { matrix: layer.k_proj, out: state.k, stride: state.kv_stride },
        { matrix: layer.v_proj, out: state.v, stride: state.kv_stride },
      ]);
    });
    phases.run("attention", index, () => {
      attention(memory, shape, this.setup.model.qk_interleaved, step, index, bank, this.thread, phases);
    });
    phases.run("attention pack", index, () => {
      this.pack(bank, [layer.o_proj], state.q, state.q_stride, rows, row0, row1);
    });
    phases.run("o", index, () => {
      const packed = memory.part(state.packed, kernels, layer.o_proj.format, rows);
      const size = memory.unitRows(shape.hidden, rows, 16);
      const stride = memory.stripStride(size, rows);
      phases.each(Math.ceil(shape.hidden / size), (unit) => {
        const from = unit * size;
        const to = Math.min(from + size, shape.hidden);
        memory.product(bank, layer.o_proj, from, to, packed, rows, own.gate, stride);
        kernels.add_rows(state.x + from * 4, shape.hidden, 0, own.gate, stride, 0, rows, to - from);
      });
    });
  }

  /** xn = RMSNorm(x), and the experts that each row goes to. */
  private route(step: Step, index: number, layer: PlacedLayer, bank: BankView): void {
    const { state } = this.memory;
    const { hidden, experts, experts_per_token } = this.shape;
    const [from, to] = this.ownRows(step.rows);
    this.norm(bank, layer.post_attention_layernorm, from, to);
    for (let r = from; r < to; r++) {
      bank.kernels.router(
        state.xn + r * hidden * 4,
        layer.gate,
        hidden,
        experts,
        experts_per_token,
        state.router_logits + r * experts * 4,
        state.picked + r * experts_per_token * 4,
        state.weights + r * experts_per_token * 4,
      );
    }
    const logits = state.router_logits / 4;
    step.router_logits?.set(
      bank.f32.subarray(logits + from * experts, logits + to * experts),
      (index * step.rows + from) * experts,
    );
  }

  /** The final norm, and the logits of the rows that were asked for. */
  private head(step: Step, bank: BankView): void {
    const { memory, shape } = this;
    const { state, own } = memory;
    const { norm, lm_head } = this.setup.model;
    const home = memory.banks[0];
    const { hidden } = shape;
    const normed = (row: number, to: number) => {
      memory.copy(bank, state.x + row * hidden * 4, home, own.staged, hidden);
      home.kernels.rms_norm(own.staged, norm, to, 1, hidden, hidden, shape.eps);
    };
    if (step.hidden_states) {
      const [from, to] = this.ownRows(step.rows);
      const at = own.staged + hidden * 4;
      for (let r = from; r < to; r++) {
        normed(r, at);
        const offset = (shape.layers * step.rows + r) * hidden;
        step.hidden_states.set(home.f32.subarray(at / 4, at / 4 + hidden), offset);
      }
    }
    const wanted = step.logit_rows;
    if (!lm_head || wanted.length === 0) return;
    this.phases.run("head norm", -1, () => {
      const [from, to] = this.ownRows(wanted.length);
      for (let i = from; i < to; i++) normed(wanted[i], state.xn + i * hidden * 4);
      this.pack(home, [lm_head], state.xn, hidden, wanted.length, from, to);
    });
    const out = { matrix: lm_head, out: state.logits, stride: state.logits_stride };
    this.phases.run("head", -1, () => this.project(home, wanted.length, [out]));
  }

  private norm(bank: BankView, weight: number, from: number, to: number): void {
    const { state } = this.memory;
    const { hidden, eps } = this.shape;
    const offset = from * hidden * 4;
    bank.kernels.rms_norm(state.x + offset, weight, state.xn + offset, to - from, hidden, hidden, eps);
  }

  /** Packs this thread's rows for the products with some matrices, once for each kind of packing. */
  private pack(
    bank: BankView,
    matrices: readonly Placed[],
    x: number,
    stride: number,
    rows: number,
    from: number,
    to: number,
  ): void {
    const { memory } = this;
    for (const format of memory.packings(bank.kernels, matrices, rows)) {
      const region = memory.part(memory.state.packed, bank.kernels, format, rows);
      memory.pack(bank, format, region, x, stride, rows, matrices[0].cols, from, to);
    }
  }

  /** Products of the packed rows with some matrices, each in place in a buffer of its own, split by rows. */
  private project(
    bank: BankView,
    tokens: number,
    products: readonly { matrix: Placed; out: number; stride: number }[],
  ): void {
    const { memory } = this;
    const sizes = products.map(({ matrix }) => memory.unitRows(matrix.rows, tokens, 16));
    const units = products.map(({ matrix }, i) => Math.ceil(matrix.rows / sizes[i]));
    const total = units.reduce((a, b) => a + b, 0);
    this.phases.each(total, (unit) => {
      let i = 0;
      while (unit >= units[i]) unit -= units[i++];
      const { matrix, out, stride } = products[i];
      const from = unit * sizes[i];
      const packed = memory.part(memory.state.packed, bank.kernels, matrix.format, tokens);
      memory.product(
        bank,
        matrix,
        from,
        Math.min(from + sizes[i], matrix.rows),
        packed,
        tokens,
        out + from * 4,
        stride,
      );
    });
  }
}
