// Where pieces can be cut into two other pieces, in time that grows with their length and not with its square: hashes of
// all beginnings and ends of a piece take one pass over it, and only those that some piece has are looked up.

/** A prime below 2^24: products of hashes are exact, and a bit for each hash takes 2 MiB. */
const PRIME = 16_777_213;

/** Drawn anew for every process: a file cannot aim at it. Cuts are looked up in the end, so it shows nowhere. */
const BASE = 65_537 + (crypto.getRandomValues(new Uint32Array(1))[0] % (PRIME - 2 * 65_537));

const modulo = (x: number): number => x - Math.floor(x / PRIME) * PRIME;

export class PieceCuts {
  private readonly pieces: { has(piece: string): boolean };
  /** A bit for each hash that a piece has. */
  private readonly hashes = new Uint32Array(2 ** 19);
  /** Of the piece at hand: the hash of its first units. */
  private readonly first: Float64Array;
  /** BASE to the power of i. */
  private readonly powers: Float64Array;

  /** @param longest - units of a piece at most */
  constructor(pieces: ReadonlyMap<string, unknown>, longest: number) {
    this.pieces = pieces;
    this.first = new Float64Array(longest + 1);
    this.powers = new Float64Array(longest + 1).fill(1);
    for (let i = 1; i <= longest; i++) this.powers[i] = modulo(this.powers[i - 1] * BASE);
    for (const piece of pieces.keys()) {
      const hash = this.hash(piece);
      this.hashes[hash >>> 5] |= 1 << (hash & 31);
    }
  }

  /** The hash of a piece; leaves those of its beginnings in `first`. */
  private hash(piece: string): number {
    let hash = 0;
    for (let i = 0; i < piece.length; i++) this.first[i + 1] = hash = modulo(hash * BASE + piece.charCodeAt(i) + 1);
    return hash;
  }

  private maybe(hash: number): boolean {
    return (this.hashes[hash >>> 5] & (1 << (hash & 31))) !== 0;
  }

  /** The parts that a piece can be cut into so that both are pieces, the shortest beginning first. */
  of(piece: string): [left: string, right: string][] {
    const { first, powers, pieces } = this;
    const whole = this.hash(piece);
    const cuts: [string, string][] = [];
    for (let cut = 1; cut < piece.length; cut++) {
      if (!this.maybe(first[cut])) continue;
      const rest = modulo(whole - first[cut] * powers[piece.length - cut] + PRIME * PRIME);
      if (!this.maybe(rest)) continue;
      const parts: [string, string] = [piece.slice(0, cut), piece.slice(cut)];
      if (pieces.has(parts[0]) && pieces.has(parts[1])) cuts.push(parts);
    }
    return cuts;
  }
}
