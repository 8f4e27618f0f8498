// A step's phases: what a thread does between two barriers. Every phase ends with one. Where the engine profiles, each is
// timed, with the weight bytes read and the products multiplied in it.
import type { Barrier, Turns } from "../threads/barrier.ts";

export const phaseNames = [
  "embed",
  "attention norm",
  "q, k, v",
  "attention",
  "attention pack",
  "o",
  "router",
  "experts pack",
  "experts w1, w3",
  "experts w2",
  "head norm",
  "head",
] as const;
export type PhaseName = (typeof phaseNames)[number];

/** One phase of one thread. Times are milliseconds since the epoch, and milliseconds. */
export interface PhaseRecord {
  readonly phase: PhaseName;
  /** -1 outside the layers. */
  readonly layer: number;
  readonly start: number;
  /** Until the thread's own share was done. */
  readonly busy: number;
  /** At the barrier, for the others. */
  readonly waited: number;
  /** Weight bytes that the thread read. */
  readonly bytes: number;
  /** Multiply-accumulates of products with weights. */
  readonly macs: number;
}

/** What products count as they run. */
export class Counter {
  bytes = 0;
  macs = 0;
}

export class Phases {
  private readonly barrier: Barrier;
  private readonly turns: Turns;
  private readonly counter: Counter;
  private records: PhaseRecord[] | undefined;
  private readonly profiling: boolean;

  constructor(barrier: Barrier, turns: Turns, counter: Counter, profiling: boolean) {
    this.barrier = barrier;
    this.turns = turns;
    this.counter = counter;
    this.profiling = profiling;
  }

  /** Calls `body` for the units of the running phase, [0, count), that this thread gets. Once in a phase. */
  each(count: number, body: (unit: number) => void): void {
    this.turns.each(count, body);
  }

  run(phase: PhaseName, layer: number, work: () => void): void {
    this.turns.begin();
    if (!this.profiling) {
      work();
      this.barrier.wait();
      return;
    }
    const { counter } = this;
    const { bytes, macs } = counter;
    const start = performance.now();
    work();
    const done = performance.now();
    this.barrier.wait();
    this.records ??= [];
    this.records.push({
      phase,
      layer,
      start: performance.timeOrigin + start,
      busy: done - start,
      waited: performance.now() - done,
      bytes: counter.bytes - bytes,
      macs: counter.macs - macs,
    });
  }

  /** The records since the last call; undefined where nothing is profiled. */
  take(): PhaseRecord[] | undefined {
    const { records } = this;
    this.records = undefined;
    return records;
  }
}
