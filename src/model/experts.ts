// The mixture of experts of a step: x[t] += Σ_k weight[t,k] · w2·(act(w1·xn[t]) ⊙ w3·xn[t]) over the experts that the
// router picked. Tokens are grouped by expert, so each expert's weights are read once for all of them; a token's experts
// are added in ascending order, as in Hugging Face.
import type { ModelShape } from "../config/shape.ts";
import { STRIP, TILE_FROM } from "../memory/layout.ts";
import type { Placed, PlacedExpert, PlacedLayer } from "../memory/plan.ts";
import { share } from "../threads/barrier.ts";
import type { Phases } from "./phases.ts";
import type { BankView, ThreadMemory } from "./product.ts";

/** The tokens of one expert in a step. */
interface Assignment {
  readonly expert: PlacedExpert;
  /** Index of its first pair in the thread's pair_rows and pair_weights. */
  readonly start: number;
  readonly tokens: number;
  /** Slots (of 4 tokens) before its own in the packed regions. */
  readonly slot: number;
}

export class Experts {
  private readonly memory: ThreadMemory;
  private readonly shape: ModelShape;
  private readonly phases: Phases;
  private readonly thread: number;
  private readonly threads: number;

  constructor(memory: ThreadMemory, shape: ModelShape, phases: Phases, thread: number, threads: number) {
    this.memory = memory;
    this.shape = shape;
    this.phases = phases;
    this.thread = thread;
    this.threads = threads;
  }

  /** @param layer_bank - holds xn, the router's picks and x, which is added to */
  run(layer: PlacedLayer, index: number, layer_bank: BankView, rows: number): void {
    const assignments = this.assign(layer, layer_bank, rows);
    this.phases.run("experts pack", index, () => this.packInputs(assignments, layer_bank));
    this.phases.run("experts w1, w3", index, () => this.gate(assignments));
    this.phases.run("experts w2", index, () => this.down(assignments, layer_bank, rows));
  }

  /** Sorts the step's (row, expert) pairs by expert; every thread does so for itself. */
  private assign(layer: PlacedLayer, bank: BankView, rows: number): Assignment[] {
    const { state, own } = this.memory;
    const pairs = rows * this.shape.experts_per_token;
    const picked = bank.u32.subarray(state.picked / 4, state.picked / 4 + pairs);
    const counts = new Uint32Array(this.shape.experts);
    for (let i = 0; i < pairs; i++) counts[picked[i]]++;
    const assignments: Assignment[] = [];
    const next = new Uint32Array(this.shape.experts);
    let start = 0;
    let slot = 0;
    for (let e = 0; e < counts.length; e++) {
      const tokens = counts[e];
      next[e] = start;
      if (tokens > 0) assignments.push({ expert: layer.experts[e], start, tokens, slot });
      start += tokens;
      slot += Math.ceil(tokens / 4);
    }
    for (let i = 0; i < pairs; i++) {
      const at = next[picked[i]]++;
      bank.u32[own.pair_rows / 4 + at] = Math.floor(i / this.shape.experts_per_token);
      bank.f32[own.pair_weights / 4 + at] = bank.f32[state.weights / 4 + i];
    }
    return assignments;
  }

  /** Packs each expert's tokens into its bank, split by tile. */
  private packInputs(assignments: Assignment[], layer_bank: BankView): void {
    const { memory } = this;
    const { state, own } = memory;
    const { hidden } = this.shape;
    const units = assignments.map(({ tokens }) => (tokens < TILE_FROM ? tokens : Math.ceil(tokens / 4)));
    const [from, to] = share(
      units.reduce((a, b) => a + b, 0),
      this.thread,
      this.threads,
    );
    let before = 0;
    for (const [i, { expert, start, tokens, slot }] of assignments.entries()) {
      const bank = memory.banks[expert.w1.bank];
      const { kernels } = bank;
      const formats = memory.packings(kernels, [expert.w1, expert.w3], tokens);
      for (let unit = Math.max(from - before, 0); unit < Math.min(to - before, units[i]); unit++) {
        const width = tokens < TILE_FROM ? 1 : 4;
        const first = unit * width;
        const count = Math.min(width, tokens - first);
        for (let t = 0; t < count; t++) {
          const row = layer_bank.u32[own.pair_rows / 4 + start + first + t];
          memory.copy(layer_bank, state.xn + row * hidden * 4, bank, own.staged + t * hidden * 4, hidden);
        }
        for (const format of formats) {
          const region = memory.part(state.expert_x, kernels, format, tokens) + slot * state.expert_x.slot;
          if (tokens < TILE_FROM) {
            const kind = kernels.vec_kind(format.id);
            kernels.pack_vec(kind, own.staged, region + first * kernels.vec_bytes(kind, hidden), hidden, 0, hidden);
          } else {
            const kind = kernels.tile_kind(format.id);
            const tile = region + unit * kernels.tile_bytes(kind, hidden, 4);
            kernels.pack_tile(kind, own.staged, hidden, 0, count, tile, hidden, 0, hidden, 0, 1);
          }
        }
      }
      before += units[i];
    }
  }

  /** h = act(w1·x) ⊙ w3·x, packed for w2; split by expert and strip of rows. */
  private gate(assignments: Assignment[]): void {
    const { memory } = this;
    const { state, own } = memory;
    const { intermediate, act } = this.shape;
    // Few tokens take few experts, each with few of them: then all have the same form.
    const most = Math.max(...assignments.map(({ tokens }) => tokens));
    const size = memory.unitRows(intermediate * assignments.length, most, STRIP);
    const units = Math.ceil(intermediate / size);
    this.phases.each(assignments.length * units, (unit) => {
      const { expert, tokens, slot } = assignments[Math.floor(unit / units)];
      const { w1, w2, w3 } = expert;
      const bank = memory.banks[w1.bank];
      const { kernels } = bank;
      const row0 = (unit % units) * size;
      const row1 = Math.min(row0 + size, intermediate);
      const stride = memory.stripStride(size, most);
      const input = slot * state.expert_x.slot;
      const packed = (matrix: Placed) => memory.part(state.expert_x, kernels, matrix.format, tokens) + input;
      memory.product(bank, w1, row0, row1, packed(w1), tokens, own.gate, stride);
      memory.product(bank, w3, row0, row1, packed(w3), tokens, own.up, stride);
      const gate = act === "gelu" ? kernels.gelu_mul : kernels.silu_mul;
      gate(own.gate, own.up, tokens, row1 - row0, stride);
      // The buffer holds columns row0 … row1 of h: its address is taken back to where column 0 would be.
      const region = memory.part(state.expert_h, kernels, w2.format, tokens) + slot * state.expert_h.slot;
      memory.pack(bank, w2.format, region, own.gate - row0 * 4, stride, tokens, intermediate, 0, tokens, row0, row1);
    });
  }

  /** x += weight · w2·h; split by rows, so that a token's experts are added by one thread, in order. */
  private down(assignments: Assignment[], layer_bank: BankView, rows: number): void {
    const { memory } = this;
    const { state, own } = memory;
    const { hidden } = this.shape;
    const size = memory.unitRows(hidden, rows, 16);
    const stride = memory.stripStride(size, rows);
    this.phases.each(Math.ceil(hidden / size), (unit) => {
      const row0 = unit * size;
      const row1 = Math.min(row0 + size, hidden);
      for (const { expert, start, tokens, slot } of assignments) {
        const { w2 } = expert;
        const bank = memory.banks[w2.bank];
        const packed = memory.part(state.expert_h, bank.kernels, w2.format, tokens) + slot * state.expert_h.slot;
        memory.product(bank, w2, row0, row1, packed, tokens, own.gate, stride);
        memory.carry(bank, layer_bank, own.gate, tokens * stride);
        layer_bank.kernels.add_rows(
          state.x + row0 * 4,
          hidden,
          own.pair_rows + start * 4,
          own.gate,
          stride,
          own.pair_weights + start * 4,
          tokens,
          row1 - row0,
        );
      }
    });
  }
}
