// A hash table from pairs of integers to integers, for tables of a million entries. A Map keyed by numbers over 2^31 is
// five times slower.

/** Keys are mixed with these, drawn anew for every process: a file cannot aim at one slot. The order of entries shows nowhere. */
const [SEED, STEP] = crypto.getRandomValues(new Uint32Array(2));

/** A table as plain data, with what its keys are mixed with. */
export interface PairMapData {
  readonly entries: Int32Array<ArrayBuffer>;
  readonly count: number;
  readonly seed: number;
  readonly step: number;
}

/** Pairs of integers in [0, 2^31) → an integer ≥ 0, open addressing. */
export class PairMap {
  private entries: Int32Array<ArrayBuffer>; // left, right, value
  private mask: number;
  private count: number;
  private readonly seed: number;
  private readonly step: number;

  /** An empty one, or one that `data` gave. */
  constructor(data: PairMapData = { entries: new Int32Array(3 * 64).fill(-1), count: 0, seed: SEED, step: STEP }) {
    this.entries = data.entries;
    this.mask = data.entries.length / 3 - 1;
    this.count = data.count;
    this.seed = data.seed;
    this.step = data.step;
  }

  get data(): PairMapData {
    const { entries, count, seed, step } = this;
    return { entries, count, seed, step };
  }

  private slot(left: number, right: number): number {
    let h = left ^ this.seed;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul((h ^ (h >>> 13)) + right, this.step | 1);
    h = Math.imul(h ^ (h >>> 16), 0xc2b2ae35);
    h ^= h >>> 15;
    for (let at = h & this.mask; ; at = (at + 1) & this.mask) {
      const i = 3 * at;
      if (this.entries[i] < 0 || (this.entries[i] === left && this.entries[i + 1] === right)) return i;
    }
  }

  /** @returns the value of a pair, −1 where there is none */
  get(left: number, right: number): number {
    return this.entries[this.slot(left, right) + 2];
  }

  set(left: number, right: number, value: number): void {
    const i = this.slot(left, right);
    if (this.entries[i] < 0 && ++this.count * 2 > this.mask) {
      const old = this.entries;
      this.entries = new Int32Array(old.length * 2).fill(-1);
      this.mask = this.mask * 2 + 1;
      this.count = 0;
      for (let k = 0; k < old.length; k += 3) if (old[k] >= 0) this.set(old[k], old[k + 1], old[k + 2]);
      this.set(left, right, value);
      return;
    }
    this.entries[i] = left;
    this.entries[i + 1] = right;
    this.entries[i + 2] = value;
  }
}
