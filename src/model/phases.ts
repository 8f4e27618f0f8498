// A step's phases: what a thread does between two barriers. Where the engine profiles, each is timed, with the weight bytes
// read and the products multiplied in it. Phases are generators: a step that may pause yields where it does, with all that
// it was about in its own variables, and goes on when it is resumed.
import { type Barrier, share, type WorkCounter } from "../threads/barrier.ts";
import type { Counter } from "./products.ts";

export const phaseNames = [
  "embed",
  "adapters",
  "attention norm",
  "q, k, v",
  "keys",
  "attention",
  "attention pack",
  "o",
  "router",
  "experts wanted",
  "experts pack",
  "experts w1, w3",
  "experts w2",
  "head norm",
  "head",
  "outputs",
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

/** What of a step its phases need to know. */
export interface PhasedStep {
  readonly pausable: boolean;
  /** Whether the rows are so few that every thread does for itself what comes before a product, instead of waiting. */
  readonly few: boolean;
  readonly rows: number;
}

/** Rows in a grain of `share` where rows are packed in tiles. */
const TILE = 4;

export class Phases {
  readonly thread: number;
  readonly threads: number;
  private readonly barrier: Barrier;
  private readonly work: WorkCounter;
  private readonly counter: Counter;
  private records: PhaseRecord[] | undefined;
  private readonly profiling: boolean;

  constructor(
    thread: number,
    threads: number,
    barrier: Barrier,
    work: WorkCounter,
    counter: Counter,
    profiling: boolean,
  ) {
    this.thread = thread;
    this.threads = threads;
    this.barrier = barrier;
    this.work = work;
    this.counter = counter;
    this.profiling = profiling;
  }

  /** The rows, of `count`, that this thread has to look after: whole tiles of 4 where they are packed in tiles. */
  own(count: number, few: boolean): [from: number, to: number] {
    return share(count, this.thread, this.threads, few ? 1 : TILE);
  }

  /**
   * Work on rows that a product comes after. Few rows every thread works on, each for itself and without a barrier: they
   * take less than waiting for another to do them. Of many each thread has a share.
   */
  *rows(
    step: PhasedStep,
    phase: PhaseName,
    layer: number,
    body: (from: number, to: number) => void,
  ): Generator<void, void, void> {
    if (step.few) this.timed(phase, layer, () => body(0, step.rows), undefined);
    else yield* this.shared(step, phase, layer, () => body(...this.own(step.rows, false)));
  }

  /** Work that every thread does its share of, whatever that is. */
  *shared(step: PhasedStep, phase: PhaseName, layer: number, body: () => void): Generator<void, void, void> {
    this.work.begin();
    if (this.timed(phase, layer, body, () => this.barrier.end(step.pausable))) yield;
  }

  /** Calls `body` for the units in [0, count) that this thread gets. */
  *units(
    step: PhasedStep,
    phase: PhaseName,
    layer: number,
    count: number,
    body: (unit: number) => void,
  ): Generator<void, void, void> {
    for (let done = 0; ; ) {
      this.work.begin();
      const from = done;
      const work = () => {
        while (!this.barrier.stops(step.pausable)) {
          const unit = from + this.work.next();
          if (unit >= count) return;
          body(unit);
        }
      };
      if (!this.timed(phase, layer, work, () => this.barrier.end(step.pausable))) return;
      // What was handed out is done: the rest is for later.
      done = Math.min(count, from + this.work.taken);
      yield;
    }
  }

  /** Waits for the others, outside any phase. */
  meetAll(): void {
    this.barrier.wait();
  }

  private timed(phase: PhaseName, layer: number, work: () => void, meet: (() => boolean) | undefined): boolean {
    if (!this.profiling) {
      work();
      return meet?.() ?? false;
    }
    const { bytes, macs } = this.counter;
    const start = performance.now();
    work();
    const done = performance.now();
    const pause = meet?.() ?? false;
    this.records ??= [];
    this.records.push({
      phase,
      layer,
      start: performance.timeOrigin + start,
      busy: done - start,
      waited: performance.now() - done,
      bytes: this.counter.bytes - bytes,
      macs: this.counter.macs - macs,
    });
    return pause;
  }

  /** The records since the last call; undefined where nothing is profiled. */
  take(): PhaseRecord[] | undefined {
    const { records } = this;
    this.records = undefined;
    return records;
  }
}
