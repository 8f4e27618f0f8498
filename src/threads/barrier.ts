// A barrier of the team's threads in shared memory, the flag by which a failure frees those who wait at it, the one by
// which the host asks them to pause, and how far they are.
import { EngineError } from "../errors.ts";

/** Words of the control block. */
const ARRIVED = 0;
const GENERATION = 1;
const FAILED = 2;
const PAUSE_WANTED = 3;
const PAUSED = 4;
const LAYERS = 5;

/** Bytes of the control block that all threads and the host share. */
export const CONTROL_BYTES = 128;

/**
 * Looks this often before it waits. Spinning meets the others 200 times faster than waiting (0.15 against 35 µs and more),
 * so it goes on for as long as the short phases take that one thread does alone (20 µs). Where threads outnumber cores it
 * burns the core that a late sibling needs: 1,000 looks keep both small.
 */
const SPINS = { threads_with_cores: 10_000, threads_without: 1000 };

export class Barrier {
  private readonly words: Int32Array;
  private readonly threads: number;
  private readonly spins: number;

  /** @param cores - that the threads run on */
  constructor(control: SharedArrayBuffer, threads: number, cores: number) {
    this.words = new Int32Array(control);
    this.threads = threads;
    this.spins = threads <= cores ? SPINS.threads_with_cores : SPINS.threads_without;
  }

  /**
   * Returns when every thread has come here.
   * @throws {@link EngineError} when the team has failed
   */
  wait(): void {
    this.meet(false);
  }

  /** The same; tells whether the host wants a pause. All threads get the same answer. */
  waitOrPause(): boolean {
    this.meet(true);
    return Atomics.load(this.words, PAUSED) === 1;
  }

  /** Whether the host wants a pause by now. Threads may see it at different times: `waitOrPause` decides. */
  get pauseWanted(): boolean {
    return Atomics.load(this.words, PAUSE_WANTED) === 1;
  }

  /** Whether a phase is to end now, its work done or not. @param pausable - whether the step may pause */
  stops(pausable: boolean): boolean {
    return pausable && this.pauseWanted;
  }

  /** Ends a phase, with the others. @returns whether the step stops here, to go on later */
  end(pausable: boolean): boolean {
    if (pausable) return this.waitOrPause();
    this.wait();
    return false;
  }

  /** Tells the host how many layers of a prompt's chunk are done. */
  passed(layers: number): void {
    Atomics.store(this.words, LAYERS, layers);
  }

  /** @param decide - whether the last to come takes the host's wish for a pause, for all */
  private meet(decide: boolean): void {
    const { words, threads, spins } = this;
    const last = () => {
      if (decide) Atomics.store(words, PAUSED, Atomics.exchange(words, PAUSE_WANTED, 0));
    };
    if (threads === 1) {
      last();
      return;
    }
    const generation = Atomics.load(words, GENERATION);
    // After the generation was read: a failure from here on changes it, one before is seen. Else a thread that comes
    // late would wait for siblings that are gone.
    this.check();
    if (Atomics.add(words, ARRIVED, 1) === threads - 1) {
      last();
      Atomics.store(words, ARRIVED, 0);
      Atomics.add(words, GENERATION, 1);
      Atomics.notify(words, GENERATION);
      return;
    }
    for (let i = 0; i < spins; i++) {
      if (Atomics.load(words, GENERATION) === generation) continue;
      this.check();
      return;
    }
    while (Atomics.load(words, GENERATION) === generation) Atomics.wait(words, GENERATION, generation);
    this.check();
  }

  /** @throws {@link EngineError} when the team has failed */
  check(): void {
    if (Atomics.load(this.words, FAILED)) throw new EngineError("another thread of the team has failed");
  }
}

/** Marks the team as failed and frees every thread that waits at the barrier. */
export function failBarrier(control: SharedArrayBuffer): void {
  const words = new Int32Array(control);
  Atomics.store(words, FAILED, 1);
  Atomics.add(words, GENERATION, 1);
  Atomics.notify(words, GENERATION);
}

/** Asks the threads to pause where they may, or takes that back. */
export function wantPause(control: SharedArrayBuffer, wanted: boolean): void {
  Atomics.store(new Int32Array(control), PAUSE_WANTED, wanted ? 1 : 0);
}

/** Layers of the chunk on its way that are done; 0 where there is none. */
export const layersPassed = (control: SharedArrayBuffer): number => Atomics.load(new Int32Array(control), LAYERS);

/** Words of the control block that hand out units, one for every fourth phase; on a cache line of their own. */
const COUNTERS = 16;
const COUNTER_WORDS = 4;

/**
 * Hands out the units of a phase, one at a time, to whichever thread is free: cores are not equally fast, nor equally
 * free, and experts have unequal numbers of tokens. What a unit computes does not depend on who computes it.
 */
export class WorkCounter {
  private readonly words: Int32Array;
  private readonly thread: number;
  private phase = 0;

  constructor(control: SharedArrayBuffer, thread: number) {
    this.words = new Int32Array(control);
    this.thread = thread;
  }

  /**
   * Begins the next phase; every thread does so after the same barrier. The counter of the phase after the next is made
   * ready: it was last used two phases ago, which everybody has left.
   */
  begin(): void {
    this.phase++;
    if (this.thread === 0) Atomics.store(this.words, COUNTERS + ((this.phase + 2) % COUNTER_WORDS), 0);
  }

  /** The next unit for this thread. */
  next(): number {
    return Atomics.add(this.words, COUNTERS + (this.phase % COUNTER_WORDS), 1);
  }

  /** How many units were asked for. */
  get taken(): number {
    return Atomics.load(this.words, COUNTERS + (this.phase % COUNTER_WORDS));
  }
}

/** Rows or units [from, to) of `count` that fall to a thread: contiguous, in multiples of `grain`, as even as they can be. */
export function share(count: number, thread: number, threads: number, grain = 1): [from: number, to: number] {
  const grains = Math.ceil(count / grain);
  const from = Math.floor((grains * thread) / threads) * grain;
  const to = Math.floor((grains * (thread + 1)) / threads) * grain;
  return [Math.min(from, count), Math.min(to, count)];
}
