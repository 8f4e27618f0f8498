// A barrier of the team's threads in shared memory, and the flag by which a failure frees those who wait at it.
import { EngineError } from "../errors.ts";

/** Words of the control block. */
const ARRIVED = 0;
const GENERATION = 1;
const FAILED = 2;

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
    const { words, threads, spins } = this;
    if (threads === 1) return;
    const generation = Atomics.load(words, GENERATION);
    // After the generation was read: a failure from here on changes it, one before is seen. Else a thread that comes
    // late would wait for siblings that are gone.
    this.check();
    if (Atomics.add(words, ARRIVED, 1) === threads - 1) {
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

  private check(): void {
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

/** Words of the control block that hand out units, one for every fourth phase; on a cache line of their own. */
const TURNS = 16;
const TURN_WORDS = 4;

/**
 * Hands out the units of a phase, one at a time, to whichever thread is free: cores are not equally fast, nor equally
 * free, and experts have unequal numbers of tokens. What a unit computes does not depend on who computes it.
 */
export class Turns {
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
    if (this.thread === 0) Atomics.store(this.words, TURNS + ((this.phase + 2) % TURN_WORDS), 0);
  }

  /** Calls `body` for the units in [0, count) that this thread gets. */
  each(count: number, body: (unit: number) => void): void {
    const word = TURNS + (this.phase % TURN_WORDS);
    for (let unit = Atomics.add(this.words, word, 1); unit < count; unit = Atomics.add(this.words, word, 1)) body(unit);
  }
}

/** Rows or units [from, to) of `count` that fall to a thread: contiguous, in multiples of `grain`, as even as they can be. */
export function share(count: number, thread: number, threads: number, grain = 1): [from: number, to: number] {
  const grains = Math.ceil(count / grain);
  const from = Math.floor((grains * thread) / threads) * grain;
  const to = Math.floor((grains * (thread + 1)) / threads) * grain;
  return [Math.min(from, count), Math.min(to, count)];
}
