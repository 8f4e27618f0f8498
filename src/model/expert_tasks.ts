// What adapters add to a layer's experts: which rows of each expert have one, and the gated products that w2's A reads.
import type { Lora } from "./lora.ts";
import { type LoraTask, LoraTasks, type Rows } from "./lora_tasks.ts";
import type { StepView } from "./step_view.ts";
import type { ThreadMemory } from "./thread_memory.ts";

/** The rows of one expert in a step. */
export interface Assignment {
  readonly expert: number;
  /** Index of its first pair in the thread's pairs. */
  readonly start: number;
  readonly tokens: number;
  /** Tiles of 4 rows before its own in the packed regions. */
  readonly first_tile: number;
}

/** Which of an expert's pairs are of rows that have an adapter, counted from its first; and their rows. */
function pairsOf({ home, pairs }: StepView, { start, tokens }: Assignment, has: Uint8Array) {
  const rows = home.u32.subarray(pairs.rows / 4 + start, pairs.rows / 4 + start + tokens);
  const own = Uint32Array.from(rows.keys()).filter((t) => has[rows[t]]);
  return { own, rows: own.map((t) => rows[t]) };
}

/** What adapters add to w1 and w3, for each expert that the router picked. */
export function upTasks(
  view: StepView,
  index: number,
  assignments: readonly Assignment[],
): [w1: LoraTask[], w3: LoraTask[]] {
  const tasks = new LoraTasks(view.step.lane);
  const of = (name: "w1" | "w3") => {
    const before = tasks.list.length;
    for (const group of view.adapters) {
      const pairs = group.adapter.layers[index][name];
      for (const [part, assignment] of pairs ? assignments.entries() : []) {
        const { own, rows } = pairsOf(view, assignment, group.has);
        tasks.add(group, pairs![assignment.expert], part, rows, own);
      }
    }
    return tasks.list.slice(before);
  };
  return [of("w1"), of("w3")];
}

/** And to w2. */
export function downTasks(view: StepView, index: number, assignments: readonly Assignment[]): LoraTask[] {
  const tasks = new LoraTasks(view.step.lane);
  for (const group of view.adapters) {
    const pairs = group.adapter.layers[index].w2;
    for (const [part, assignment] of pairs ? assignments.entries() : []) {
      const { own, rows } = pairsOf(view, assignment, group.has);
      const gated = own.map((t) => assignment.start + t);
      const weights = Float32Array.from(gated, (at) => view.home.f32[view.pairs.weights / 4 + at]);
      tasks.add(group, pairs![assignment.expert], part, gated, rows, weights);
    }
  }
  return tasks.list;
}

/**
 * Copies columns [from, to) of h to where adapters multiply it by A of w2, for the rows that have one.
 * @param strip - the columns of the expert's rows
 */
export function keepGated(
  memory: ThreadMemory,
  lora: Lora,
  view: StepView,
  index: number,
  assignment: Assignment,
  strip: Rows,
  intermediate: number,
  from: number,
  to: number,
): void {
  for (const group of view.adapters) {
    if (!group.adapter.layers[index].w2?.[assignment.expert]) continue;
    const { bank, address } = lora.gated(group, view.step.lane, intermediate);
    for (const t of pairsOf(view, assignment, group.has).own) {
      const at = address + ((assignment.start + t) * intermediate + from) * 4;
      memory.copy(strip.bank, strip.address + t * strip.stride * 4, bank, at, to - from);
    }
  }
}
