// What the team and the readers of experts share: which expert is in which slot, what is still to be read of it, and the
// reads that are asked for. All of it is in shared memory.
import { sharedBuffer } from "../platform/shared_buffer.ts";

/** An expert's matrices are waited for in two parts: w1 with w3, which are multiplied first, and w2. */
export const UP = 0;
export const DOWN = 1;
export type Part = typeof UP | typeof DOWN;

/** Bytes of one read: enough that a disk is busy with a few of them, few enough that several threads share an expert. */
export const PIECE_BYTES = 1 << 21;

/** Words of `control`. */
const POSTED = 0;
const TAKEN = 1;
const CLOSED = 2;
const FAILED = 3;
const MESSAGE_BYTES = 1024;

/** Words of a read that is asked for: which matrix, which piece of it, into which slot. */
const READ_WORDS = 3;

/** Places of `counts`; behind them the milliseconds that each thread has waited. */
const HITS = 0;
const MISSES = 1;
const READ_BYTES = 2;
const WAITED = 3;

/** Plain data: sent to the threads. */
export interface PagingWords {
  /** (expert of all layers) its slot, or −1. */
  readonly slot_of: Int32Array;
  /** (slot, part) pieces that have yet to come. */
  readonly left: Int32Array;
  /** (lane, expert of a layer) whether its read was asked for only when it was wanted. */
  readonly late: Uint8Array;
  readonly control: Int32Array;
  /** A ring; its length is a power of two. */
  readonly reads: Int32Array;
  /** Why a reader failed, in UTF-8. */
  readonly message: Uint8Array;
  readonly counts: Float64Array;
}

/** How often experts were there when they were wanted, and what reading the others took. */
export interface PagingCounts {
  readonly hits: number;
  readonly misses: number;
  readonly read_bytes: number;
  /** Of all threads. */
  readonly wait_ms: number;
}

/**
 * @param experts - of all layers
 * @param width - experts of a layer at most
 * @param pieces - of an expert at most
 */
export function pagingWords(
  experts: number,
  width: number,
  slots: number,
  pieces: number,
  threads: number,
): PagingWords {
  const reads = 2 ** Math.ceil(Math.log2(slots * pieces + 1));
  return {
    slot_of: new Int32Array(sharedBuffer(experts * 4)).fill(-1),
    left: new Int32Array(sharedBuffer(slots * 8)),
    late: new Uint8Array(sharedBuffer(2 * width)),
    control: new Int32Array(sharedBuffer(16)),
    reads: new Int32Array(sharedBuffer(reads * READ_WORDS * 4)),
    message: new Uint8Array(sharedBuffer(MESSAGE_BYTES)),
    counts: new Float64Array(sharedBuffer((WAITED + threads) * 8)),
  };
}

/** A piece of a matrix that is to be read into a slot. */
export interface Read {
  readonly matrix: number;
  readonly piece: number;
  readonly slot: number;
}

export class PagingTable {
  readonly words: PagingWords;
  private readonly mask: number;

  constructor(words: PagingWords) {
    this.words = words;
    this.mask = words.reads.length / READ_WORDS - 1;
  }

  /** Asks for a read, of which `left` counts already. There is room for what all slots want together. */
  post({ matrix, piece, slot }: Read): void {
    const { control, reads } = this.words;
    const posted = Atomics.load(control, POSTED);
    reads.set([matrix, piece, slot], (posted & this.mask) * READ_WORDS);
    Atomics.store(control, POSTED, (posted + 1) | 0);
    Atomics.notify(control, POSTED, 1);
  }

  /** Waits for a read that is asked for, which is then the caller's alone. Undefined at the end. */
  take(): Read | undefined {
    const { control } = this.words;
    for (;;) {
      if (Atomics.load(control, CLOSED) || Atomics.load(control, FAILED)) return undefined;
      const posted = Atomics.load(control, POSTED);
      const read = this.takeNow();
      if (read) return read;
      Atomics.wait(control, POSTED, posted);
    }
  }

  /** A read that is asked for now, if one is. */
  takeNow(): Read | undefined {
    const { control, reads } = this.words;
    for (;;) {
      const taken = Atomics.load(control, TAKEN);
      if (taken === Atomics.load(control, POSTED)) return undefined;
      // Looked at before it is taken: afterwards its place may be another's.
      const at = (taken & this.mask) * READ_WORDS;
      const [matrix, piece, slot] = [reads[at], reads[at + 1], reads[at + 2]];
      if (Atomics.compareExchange(control, TAKEN, taken, (taken + 1) | 0) === taken) return { matrix, piece, slot };
    }
  }

  /** A piece has come. */
  done(slot: number, part: Part): void {
    const { left } = this.words;
    if (Atomics.sub(left, slot * 2 + part, 1) === 1) Atomics.notify(left, slot * 2 + part);
  }

  isThere(slot: number, part: Part): boolean {
    return Atomics.load(this.words.left, slot * 2 + part) === 0;
  }

  /**
   * Waits until a part of what a slot is to hold has come.
   * @param gone - throws where there is no use in waiting any more
   * @param read - does one of the reads that are asked for, where no other thread does
   */
  wait(slot: number, part: Part, thread: number, gone: () => void, read?: () => boolean): void {
    const { left, counts } = this.words;
    let start = 0;
    for (;;) {
      const pieces = Atomics.load(left, slot * 2 + part);
      if (pieces === 0) break;
      start ||= performance.now();
      const failure = this.failure();
      if (failure !== undefined) throw new Error(failure);
      gone();
      if (read?.()) continue;
      // Who brings the last piece wakes us; a failure is looked for now and then.
      Atomics.wait(left, slot * 2 + part, pieces, 100);
    }
    if (start) counts[WAITED + thread] += performance.now() - start;
  }

  /** Why a reader failed, if one did. */
  failure(): string | undefined {
    const { control, message } = this.words;
    if (!Atomics.load(control, FAILED)) return undefined;
    return new TextDecoder().decode(message.slice(0, message.indexOf(0)));
  }

  /** Ends all reading. The first failure counts. */
  fail(error: Error): void {
    const { control, message } = this.words;
    if (Atomics.load(control, FAILED)) return;
    const { written } = new TextEncoder().encodeInto(error.message, new Uint8Array(MESSAGE_BYTES - 1));
    message.set(new TextEncoder().encode(error.message).subarray(0, written));
    Atomics.store(control, FAILED, 1);
    Atomics.notify(control, POSTED);
  }

  close(): void {
    Atomics.store(this.words.control, CLOSED, 1);
    Atomics.notify(this.words.control, POSTED);
  }

  /** By the first thread alone. */
  count(hits: number, misses: number, read_bytes: number): void {
    const { counts } = this.words;
    counts[HITS] += hits;
    counts[MISSES] += misses;
    counts[READ_BYTES] += read_bytes;
  }

  counts(): PagingCounts {
    const [hits, misses, read_bytes, ...waited] = this.words.counts;
    return { hits, misses, read_bytes, wait_ms: waited.reduce((a, b) => a + b, 0) };
  }
}
