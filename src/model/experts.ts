// The mixture of experts of a step: x[t] += Σ_k weight[t,k] · w2·(act(w1·xn[t]) ⊙ w3·xn[t]) over the experts that the
// router picked. Rows are grouped by expert, so each expert's weights are read once for all of them; a row's experts are
// added in ascending order, as in Hugging Face.
import type { ModelShape } from "../config/shape.ts";
import { STRIP, TILE_FROM } from "../memory/layout.ts";
import type { BankedLayer } from "../memory/plan.ts";
import type { Pager } from "../paging/pager.ts";
import { DOWN, UP } from "../paging/table.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { share } from "../threads/barrier.ts";
import { type Assignment, downTasks, keepGated, upTasks } from "./expert_tasks.ts";
import type { Lora } from "./lora.ts";
import { type LoraTask, noTasks } from "./lora_tasks.ts";
import type { Norm } from "./norm.ts";
import type { Phases } from "./phases.ts";
import type { PackedRows, Products, Unit } from "./products.ts";
import type { Squares } from "./squares.ts";
import type { StepView } from "./step_view.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

export class Experts {
  private readonly memory: ThreadMemory;
  private readonly products: Products;
  private readonly phases: Phases;
  private readonly norm: Norm;
  private readonly lora: Lora;
  private readonly squares: Squares;
  private readonly pager: Pager | undefined;
  private readonly hidden: number;

  constructor(
    memory: ThreadMemory,
    products: Products,
    phases: Phases,
    norm: Norm,
    lora: Lora,
    squares: Squares,
    pager: Pager | undefined,
    shape: ModelShape,
  ) {
    this.memory = memory;
    this.products = products;
    this.phases = phases;
    this.norm = norm;
    this.lora = lora;
    this.squares = squares;
    this.pager = pager;
    this.hidden = shape.hidden;
  }

  *run(view: StepView, layer: BankedLayer, index: number): Generator<void, void, void> {
    const assignments = this.assign(view, layer);
    this.squares.rows(view, "router", index, view.home, view.buffers.xn, this.hidden, this.hidden);
    this.squares.experts(view, index, assignments);
    const { pager } = this;
    if (!pager) return yield* this.compute(view, layer, index, assignments, assignments);
    const { lane } = view.step;
    const waves = pager.waves(lane, index, assignments);
    const expertsOf = (some: readonly Assignment[]) => some.map(({ expert }) => expert);
    for (const [i, wave] of waves.entries()) {
      const after = expertsOf(waves.slice(i + 1).flat());
      const picks = view.rows * layer.shape.experts_per_token;
      yield* this.phases.shared(view, "experts wanted", index, () =>
        pager.want(lane, index, expertsOf(wave), after, picks),
      );
      yield* this.compute(view, layer, index, wave, pager.turns(lane, wave));
    }
  }

  /**
   * @param assignments - ascending by expert
   * @param turns - the same in the order in which they are begun
   */
  private *compute(
    view: StepView,
    layer: BankedLayer,
    index: number,
    assignments: readonly Assignment[],
    turns: readonly Assignment[],
  ): Generator<void, void, void> {
    if (view.few) yield* this.phases.rows(view, "experts pack", index, () => this.packFew(view, layer, assignments));
    else yield* this.phases.shared(view, "experts pack", index, () => this.packTiles(view, layer, assignments));
    yield* this.gateAndUp(view, layer, index, turns);
    if (layer.w2.weights.formats.some((_, expert) => wantsWholeRows(layer, expert)))
      yield* this.phases.shared(view, "experts pack", index, () => this.packGated(view, layer, assignments));
    yield* this.down(view, layer, index, assignments);
  }

  /** Sorts the step's (row, expert) pairs by expert; every thread does so for itself. */
  private assign({ home: bank, rows, buffers, pairs }: StepView, { shape }: BankedLayer): Assignment[] {
    const k = shape.experts_per_token;
    const picked = bank.u32.subarray(buffers.picked / 4, buffers.picked / 4 + rows * k);
    const counts = new Uint32Array(shape.experts);
    for (const expert of picked) counts[expert]++;
    const assignments: Assignment[] = [];
    const next = new Uint32Array(shape.experts);
    let start = 0;
    let first_tile = 0;
    for (const [expert, tokens] of counts.entries()) {
      next[expert] = start;
      if (tokens > 0) assignments.push({ expert, start, tokens, first_tile });
      start += tokens;
      first_tile += Math.ceil(tokens / 4);
    }
    for (const [i, expert] of picked.entries()) {
      const at = next[expert]++;
      bank.u32[pairs.rows / 4 + at] = Math.floor(i / k);
      bank.f32[pairs.weights / 4 + at] = bank.f32[buffers.weights / 4 + i];
    }
    return assignments;
  }

  /** Packs every row, once for each bank and packing: few rows stand in their own order, an expert's one after the other. */
  private packFew(view: StepView, layer: BankedLayer, assignments: readonly Assignment[]): void {
    const { home, buffers, rows } = view;
    const { w1, w3 } = layer;
    const { xn } = buffers;
    const apart = reordered(layer);
    let packed: { bank: BankView; formats: readonly BlockFormat[] } | undefined;
    for (const { expert, first_tile } of assignments) {
      const bank = this.products.bankOf(w1.weights, expert);
      const formats = [w1, w3].map(({ weights }) => weights.formats[expert]);
      if (!apart && packed?.bank === bank && formats.every((format, i) => format === packed!.formats[i])) continue;
      this.memory.copyToBank(home, bank, xn, rows * this.hidden);
      const target = { ...view.packed(this.hidden), tile: apart ? first_tile : 0 };
      this.products.pack(bank, [w1, w3], expert, target, xn, this.hidden, 0, rows);
      packed = { bank, formats };
    }
  }

  /** Packs each expert's rows into its bank, split by tile. */
  private packTiles(view: StepView, layer: BankedLayer, assignments: readonly Assignment[]): void {
    const { memory, products, hidden } = this;
    const { staged } = memory.own;
    for (const { assignment, first, end } of this.shared(assignments)) {
      const { expert, start } = assignment;
      const bank = products.bankOf(layer.w1.weights, expert);
      for (let t = first; t < end; t++) {
        const row = view.home.u32[view.pairs.rows / 4 + start + t];
        memory.copy(view.home, view.buffers.xn + row * hidden * 4, bank, staged + (t - first) * hidden * 4, hidden);
      }
      // The staged rows are rows `first` to `end` of the expert's: the address is taken back to where row 0 would be.
      const input = this.input(view, assignment);
      products.pack(bank, [layer.w1, layer.w3], expert, input, staged - first * hidden * 4, hidden, first, end);
    }
  }

  /** This thread's share of the experts' rows [first, end), in tiles of 4, or one by one where an expert has few. */
  private *shared(
    assignments: readonly Assignment[],
  ): Generator<{ assignment: Assignment; first: number; end: number }, void, void> {
    const units = assignments.map(({ tokens }) => (tokens < TILE_FROM ? tokens : Math.ceil(tokens / 4)));
    const total = units.reduce((a, b) => a + b, 0);
    const [from, to] = share(total, this.phases.thread, this.phases.threads);
    let before = 0;
    for (const [i, assignment] of assignments.entries()) {
      const { tokens } = assignment;
      const width = tokens < TILE_FROM ? 1 : 4;
      for (let unit = Math.max(from - before, 0); unit < Math.min(to - before, units[i]); unit++)
        yield { assignment, first: unit * width, end: Math.min((unit + 1) * width, tokens) };
      before += units[i];
    }
  }

  /** Where an expert's packed inputs are. */
  private input(view: StepView, { tokens, first_tile }: Assignment): PackedRows {
    return { region: view.buffers.packed, tile: first_tile, tokens, cols: this.hidden };
  }

  /** h = act(w1·x) ⊙ w3·x, packed for w2; split by expert and strip of rows. */
  private *gateAndUp(
    view: StepView,
    layer: BankedLayer,
    index: number,
    assignments: readonly Assignment[],
  ): Generator<void, void, void> {
    const { memory, products, lora, hidden } = this;
    const { strip, strip2 } = memory.own;
    const { intermediate, act } = layer.shape;
    // Few rows take few experts, each with few of them: then all have the same form.
    const most = Math.max(...assignments.map(({ tokens }) => tokens));
    const units = products.units(
      assignments.map(() => intermediate),
      most,
      STRIP,
    );
    const adapted = view.adapters.length > 0;
    const [w1, w3] = adapted ? upTasks(view, index, assignments) : [noTasks, noTasks];
    if (w1.length + w3.length > 0) {
      const x = { bank: view.home, address: view.buffers.xn, stride: hidden };
      yield* lora.inner(view, index, [...w1, ...w3], hidden, () => x);
    }
    yield* this.phases.units(view, "experts w1, w3", index, units.length, (unit) => {
      const { part, from, to } = units[unit];
      const assignment = assignments[part];
      const { expert, tokens } = assignment;
      this.pager?.wait(index, expert, UP);
      const bank = products.bankOf(layer.w1.weights, expert);
      const stride = products.stripStride(units[unit], most);
      const input = view.few ? this.fewInput(view, layer, assignment) : this.input(view, assignment);
      products.multiply(layer.w1, expert, input, from, to, { address: strip, stride });
      products.multiply(layer.w3, expert, input, from, to, { address: strip2, stride });
      if (adapted) {
        // The strips hold columns `from` on: their addresses are taken back to where column 0 would be.
        lora.outer(w1, units[unit], stride, { bank, address: strip - from * 4, stride });
        lora.outer(w3, units[unit], stride, { bank, address: strip2 - from * 4, stride });
      }
      const gate = act === "gelu" ? bank.kernels.gelu_mul : bank.kernels.silu_mul;
      gate(strip, strip2, tokens, to - from, stride);
      this.squares.gated(view, index, assignment, bank, strip, stride, from, to);
      if (adapted)
        keepGated(
          memory,
          lora,
          view,
          index,
          assignment,
          { bank, address: strip, stride },
          layer.shape.intermediate,
          from,
          to,
        );
      if (wantsWholeRows(layer, expert)) this.keepStrip(view, bank, assignment, intermediate, units[unit], stride);
      else {
        // The strip holds columns `from` to `to` of h: its address is taken back to where column 0 would be.
        const h = this.gated(view, layer, assignment);
        products.pack(bank, [layer.w2], expert, h, strip - from * 4, stride, 0, tokens, from, to);
      }
    });
  }

  /** Copies a strip of h to its place in whole rows. */
  private keepStrip(
    { lane }: StepView,
    bank: BankView,
    { start, tokens }: Assignment,
    intermediate: number,
    { from, to }: Unit,
    stride: number,
  ): void {
    const { strip } = this.memory.own;
    for (let t = 0; t < tokens; t++) {
      const target = lane.gated + ((start + t) * intermediate + from) * 4;
      this.memory.copy(bank, strip + t * stride * 4, bank, target, to - from);
    }
  }

  /** Packs whole rows of h, split by tile. */
  private packGated(view: StepView, layer: BankedLayer, assignments: readonly Assignment[]): void {
    const { weights } = layer.w2;
    const { intermediate } = layer.shape;
    for (const { assignment, first, end } of this.shared(assignments)) {
      const { expert, start } = assignment;
      if (!wantsWholeRows(layer, expert)) continue;
      const x = view.lane.gated + start * intermediate * 4;
      const h = this.gated(view, layer, assignment);
      this.products.pack(this.products.bankOf(weights, expert), [layer.w2], expert, h, x, intermediate, first, end);
    }
  }

  /** The rows of an expert, of few that stand packed in their own order: once, or where experts differ for each. */
  private fewInput(view: StepView, layer: BankedLayer, { start, tokens, first_tile }: Assignment): PackedRows {
    const first = view.home.u32[view.pairs.rows / 4 + start];
    return { ...view.packed(this.hidden), tokens, first, tile: reordered(layer) ? first_tile : 0 };
  }

  /** Where an expert's gated products are. */
  private gated(view: StepView, layer: BankedLayer, { tokens, first_tile }: Assignment): PackedRows {
    return { region: view.lane.expert_h, tile: first_tile, tokens, cols: layer.shape.intermediate };
  }

  /** x += weight · w2·h; split by rows, so that a row's experts are added by one thread, in order. */
  private *down(
    view: StepView,
    layer: BankedLayer,
    index: number,
    assignments: readonly Assignment[],
  ): Generator<void, void, void> {
    const { memory, products, hidden, lora } = this;
    const { strip } = memory.own;
    const { home, lane, pairs, rows } = view;
    const { intermediate } = layer.shape;
    const added = view.adapters.length > 0 ? downTasks(view, index, assignments) : noTasks;
    if (added.length > 0) {
      const gated = ({ group }: LoraTask) => lora.gated(group, view.step.lane, intermediate);
      yield* lora.inner(view, index, added, intermediate, gated);
    }
    const units = products.units([hidden], rows, 16);
    yield* this.phases.units(view, "experts w2", index, units.length, (unit) => {
      const { from, to } = units[unit];
      const stride = products.stripStride(units[unit], rows);
      for (const [part, assignment] of assignments.entries()) {
        const { expert, start, tokens } = assignment;
        this.pager?.wait(index, expert, DOWN);
        const h = this.gated(view, layer, assignment);
        products.multiply(layer.w2, expert, h, from, to, { address: strip, stride });
        memory.copyToBank(products.bankOf(layer.w2.weights, expert), home, strip, tokens * stride);
        const [targets, scale] = [pairs.rows + start * 4, pairs.weights + start * 4];
        this.norm.addRows(home, lane.x + from * 4, targets, strip, stride, scale, tokens, to - from);
        if (added.length > 0)
          lora.outer(added, { part, from, to }, stride, { bank: home, address: lane.x, stride: hidden });
      }
    });
  }
}

/** Whether an expert's w2 meets rows of h that are packed as wholes: with a scale for each, or in another order. */
const wantsWholeRows = ({ w2: { weights } }: BankedLayer, expert: number): boolean =>
  weights.formats[expert].row_head !== undefined || weights.orders[expert] !== 0;

/** Whether experts want the columns of x in orders of their own. */
const reordered = ({ w1, w3 }: BankedLayer): boolean =>
  [w1, w3].some(({ weights }) => weights.orders.some((order) => order !== 0));
