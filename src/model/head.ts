// The end of a step: the final norm, and the rows that are wanted of the model's head, a group of them at a time through
// the head's product; then what is kept of each row's results.
import { type LogitsExports, loadLogits } from "../kernels/logits.ts";
import { FEW_ROWS } from "../memory/layout.ts";
import type { Linear } from "../memory/linear.ts";
import type { Lora } from "./lora.ts";
import { LoraTasks, noTasks } from "./lora_tasks.ts";
import { type HeadWants, put } from "./outputs.ts";
import type { Phases } from "./phases.ts";
import type { Products, Unit } from "./products.ts";
import { project } from "./project.ts";
import { drawToken, type TeamSampler } from "./sampling.ts";
import type { Setup } from "./step.ts";
import type { StepView } from "./step_view.ts";
import type { BankView, ThreadMemory } from "./thread_memory.ts";

/** A row of the step that passes through a head, and its place among those that its sequence wants. */
interface WantedRow {
  readonly row: number;
  readonly wants: HeadWants;
  readonly i: number;
}

export class Head {
  /** By id, the samplers that draws name. */
  readonly samplers = new Map<number, TeamSampler>();
  private readonly memory: ThreadMemory;
  private readonly products: Products;
  private readonly phases: Phases;
  private readonly lora: Lora;
  private readonly setup: Setup;
  private readonly exports: LogitsExports;

  constructor(memory: ThreadMemory, products: Products, phases: Phases, lora: Lora, setup: Setup) {
    this.memory = memory;
    this.products = products;
    this.phases = phases;
    this.lora = lora;
    this.setup = setup;
    this.exports = loadLogits(setup.logits, setup.banks[0]);
  }

  *run(view: StepView): Generator<void, void, void> {
    const captured = this.captureNormed(view);
    const { head } = this.setup.model;
    const wanted = head ? wantedOf(view) : [];
    for (let at = 0; at < wanted.length; at += view.lane.head_rows)
      yield* this.group(view, head!, wanted.slice(at, at + view.lane.head_rows));
    // The thread that answers must not be ahead of those that still copy.
    if (captured && wanted.length === 0) this.phases.meetAll();
  }

  private *group(view: StepView, linear: Linear, wanted: readonly WantedRow[]): Generator<void, void, void> {
    const { products, phases, memory, setup, lora } = this;
    const { hidden } = setup.shape;
    const { logits_stride } = setup.state;
    const { lane } = view;
    const home = memory.banks[0];
    const rows = wanted.length;
    const few = rows <= FEW_ROWS;
    const buffers = few ? memory.own.few : lane;
    const input = { region: buffers.packed, tile: 0, tokens: rows, cols: hidden };
    // A thread's own buffers would not survive a step in between.
    const step = { pausable: view.pausable && !few, few, rows };
    yield* phases.rows(step, "head norm", -1, (from, to) => {
      for (let i = from; i < to; i++) this.normed(view, wanted[i].row, buffers.xn + i * hidden * 4);
      products.pack(home, [linear], 0, input, buffers.xn, hidden, from, to);
    });
    const out = { bank: home, address: lane.logits, stride: logits_stride };
    const added = view.adapters.length > 0 ? this.added(view, wanted, hidden) : noTasks;
    if (added.length > 0)
      yield* lora.inner(step, -1, added, hidden, () => ({ bank: home, address: buffers.xn, stride: hidden }));
    const after = (unit: Unit) => lora.outer(added, unit, products.stripStride(unit, rows), out);
    // Not for rows that have another head.
    const skips = added.length > 0 && added.reduce((count, { a, to }) => count + (a ? 0 : to.length), 0) === rows;
    yield* project(
      step,
      products,
      phases,
      "head",
      -1,
      input,
      [{ linear, out }],
      added.length > 0 ? after : undefined,
      skips,
    );
    yield* phases.units(step, "outputs", -1, rows, (i) => {
      const values = memory.floats(home, lane.logits + i * logits_stride * 4, linear.weights.rows);
      if (linear.bias !== undefined) add(values, memory.floats(home, linear.bias, values.length));
      this.keep(wanted[i], home, values);
    });
  }

  /** What adapters make of the rows that pass through the head: another head's outputs, and what is added. */
  private added({ adapters, step }: StepView, wanted: readonly WantedRow[], hidden: number) {
    const tasks = new LoraTasks(step.lane);
    const own = adapters.map((group) => Uint32Array.from(wanted.keys()).filter((i) => group.has[wanted[i].row]));
    for (const [i, group] of adapters.entries())
      if (group.adapter.whole_head) tasks.replace(group, group.adapter.whole_head, hidden, own[i]);
    for (const [i, group] of adapters.entries()) tasks.add(group, group.adapter.head, 0, own[i]);
    return tasks.list;
  }

  /** The final norm of a row of x, into bank 0. */
  private normed(view: StepView, row: number, to: number): void {
    const { memory, setup } = this;
    const { hidden, eps } = setup.shape;
    const home = memory.banks[0];
    const { staged } = memory.own;
    memory.copy(view.home, view.lane.x + row * hidden * 4, home, staged, hidden);
    home.kernels.rms_norm(staged, setup.model.norm, to, 1, hidden, eps);
  }

  /** Copies the thread's share of the normed rows to where they are wanted as the last hidden states, if they are. */
  private captureNormed(view: StepView): boolean {
    const { hidden, layers } = this.setup.shape;
    const at = this.memory.own.staged + hidden * 4;
    view.capture(
      this.phases.own(view.rows, view.few),
      ({ hidden_states }) => hidden_states?.[layers.length],
      (row) => {
        this.normed(view, row, at);
        return this.memory.floats(this.memory.banks[0], at, hidden);
      },
    );
    return view.sequences.some(({ wants }) => wants.hidden_states?.[layers.length]);
  }

  /** Writes what is wanted of one row's results, which stand in the bank; draws change them. */
  private keep({ wants, i }: WantedRow, home: BankView, all: Float32Array): void {
    const { exports } = this;
    const { logits_scratch } = this.memory.own;
    const { byteOffset: values, length: size } = all;
    if (wants.values) put(wants.values, i, all);
    if (wants.argmax) {
      const { data, stride, first } = wants.argmax;
      data[(first + i) * stride] = exports.argmax(values, size);
    }
    if (wants.losses) {
      const { labels, target } = wants.losses;
      if (labels[i] >= 0) {
        exports.log_softmax(values, size, logits_scratch);
        target.data[(target.first + i) * target.stride] = -home.f32[values / 4 + labels[i]];
      }
    }
    if (wants.draws) {
      const { samplers, lengths } = wants.draws;
      // Who has left while its chunk paused has taken its sampler along.
      const sampler = this.samplers.get(samplers[i]);
      if (sampler)
        drawToken(exports, home, sampler, values, lengths[i], logits_scratch, () => {
          if (wants.scores) put(wants.scores, i, all);
        });
    }
  }
}

function add(to: Float32Array, values: Float32Array): void {
  for (let i = 0; i < to.length; i++) to[i] += values[i];
}

function wantedOf(view: StepView): WantedRow[] {
  const wanted: WantedRow[] = [];
  for (const { row, wants } of view.sequences) {
    for (const each of wants.heads ?? []) {
      each.rows.forEach((r, i) => void wanted.push({ row: row + r, wants: each, i }));
    }
  }
  return wanted;
}
