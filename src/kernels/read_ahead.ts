// Chooses between the two builds of each format's one-token loop, with bursts of reading ahead and without, by timing real
// work: bursts double the speed on a processor whose prefetcher sees little, and cost a quarter on another. Each thread
// chooses for itself, as it goes; the bits are the same.

/** Calls of one round of timing, taking turns; and calls from a round to the next, which is soon and then seldom. */
const ROUND = 16;
const FIRST_ROUNDS = 6;
const PAUSE = 2000;

/** A shorter call tells too little, and is not counted: bytes of weights. */
const LEAST_BYTES = 1 << 15;

/** By how much the other build must be faster: what is measured scatters. */
const CLEARLY = 0.97;

interface Timing {
  chosen: 0 | 1;
  calls: number;
  /** (build) the least time of a byte in this round. */
  least: [number, number];
}

/** Words of a table in which a thread tells what it chose: by format id. */
export const CHOICE_WORDS = 64;

/** What the table says of a format. */
export const chosenOf = (table: Int32Array, format: number): boolean | undefined =>
  table[format] === 0 ? undefined : table[format] === 2;

export class ReadAheadChoice {
  /** (format id) */
  private readonly timings: Timing[] = [];
  private readonly table: Int32Array | undefined;

  /** @param table - CHOICE_WORDS words in shared memory, of the thread that tells: 0 unknown, 1 without, 2 with */
  constructor(table: Int32Array | undefined) {
    this.table = table;
  }

  /** Calls `multiply` with the build to use: 1 reads ahead. @param bytes - of weights that it reads */
  run(format: number, bytes: number, multiply: (read_ahead: 0 | 1) => void): void {
    this.timings[format] ??= { chosen: 1, calls: 0, least: [Infinity, Infinity] };
    const timing = this.timings[format];
    const place = timing.calls < ROUND * FIRST_ROUNDS ? timing.calls % ROUND : timing.calls % PAUSE;
    if (bytes < LEAST_BYTES || place >= ROUND) {
      if (bytes >= LEAST_BYTES) timing.calls++;
      multiply(timing.chosen);
      return;
    }
    const build = (place & 1) as 0 | 1;
    const start = performance.now();
    multiply(build);
    timing.least[build] = Math.min(timing.least[build], (performance.now() - start) / bytes);
    timing.calls++;
    if (place < ROUND - 1) return;
    const other = (1 - timing.chosen) as 0 | 1;
    if (timing.least[other] < timing.least[timing.chosen] * CLEARLY) timing.chosen = other;
    timing.least = [Infinity, Infinity];
    if (this.table) this.table[format] = 1 + timing.chosen;
  }

  /** The build that is used now, for a format by its id; undefined while no token was multiplied with it. */
  chosen(format: number): 0 | 1 | undefined {
    return this.timings[format]?.chosen;
  }
}
