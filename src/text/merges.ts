// The merges of a BPE vocabulary as one hash table over pairs of symbols, and which symbols can ever grow together.
// A symbol is a token id.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";

/** Pairs of 32-bit integers → an integer ≥ 0, open addressing. A Map keyed by numbers over 2^31 is five times slower. */
class PairMap {
  private entries = new Int32Array(3 * 1024).fill(-1); // left, right, value
  private mask = 1023;
  private count = 0;

  private slot(left: number, right: number): number {
    let h = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
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
    this.entries.set([left, right, value], i);
  }
}

/** Longest piece that may take part in merges, in UTF-16 units; trained vocabularies stop at 16 to 64. */
export const MAX_PIECE = 1024;

export class MergeTable {
  private readonly pairs = new PairMap();
  private readonly ranks: number[] = [];
  private readonly results: number[] = [];
  private readonly joinable = new PairMap();
  private readonly ids: ReadonlyMap<string, number>;

  private constructor(ids: ReadonlyMap<string, number>) {
    this.ids = ids;
  }

  /**
   * From the merges of a tokenizer.json: the earlier, the sooner.
   * @throws {@link TokenizerError} when a part or the result of a merge is no token
   */
  static fromList(
    merges: readonly (readonly [string, string])[],
    ids: ReadonlyMap<string, number>,
    source: string,
  ): MergeTable {
    const table = new MergeTable(ids);
    merges.forEach(([left, right], rank) => {
      for (const piece of [left, right, left + right])
        if (!ids.has(piece))
          throw new TokenizerError(
            `${source}: model.merges[${rank}] needs the token ${show(piece)}, which model.vocab lacks`,
          );
      table.add(left, right, rank);
    });
    return table;
  }

  /**
   * From SentencePiece scores: two neighbours join when their union is a piece, the best score first. Pieces of equal
   * score have equal rank, so that the leftmost pair wins, as in SentencePiece.
   * @param scored - the pieces that text can be made of, with their scores
   */
  static fromScores(scored: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>, source: string): MergeTable {
    const table = new MergeTable(ids);
    const ranks = new Map([...new Set(scored.values())].sort((a, b) => b - a).map((score, rank) => [score, rank]));
    for (const [piece, score] of scored) {
      if (piece.length > MAX_PIECE)
        throw new TokenizerError(
          `${source}: piece ${ids.get(piece)}: expected at most ${MAX_PIECE} characters, found ${piece.length}`,
        );
      for (let cut = 1; cut < piece.length; cut++) {
        const [left, right] = [piece.slice(0, cut), piece.slice(cut)];
        if (scored.has(left) && scored.has(right)) table.add(left, right, ranks.get(score)!);
      }
    }
    return table;
  }

  private add(left: string, right: string, rank: number): void {
    const [l, r] = [this.ids.get(left)!, this.ids.get(right)!];
    this.pairs.set(l, r, this.ranks.length);
    this.ranks.push(rank);
    this.results.push(this.ids.get(left + right)!);
    for (const a of this.ends(left, l, -1)) for (const b of this.ends(right, r, 0)) this.joinable.set(a, b, 1);
  }

  /** The symbols that a piece can begin (`at` 0) or end (−1) with: its outer character, and itself. */
  private ends(piece: string, id: number, at: 0 | -1): number[] {
    const character = this.ids.get(
      at === 0 ? String.fromCodePoint(piece.codePointAt(0)!) : [...piece.slice(-2)].at(-1)!,
    );
    return character === undefined || character === id ? [id] : [id, character];
  }

  /** @returns an index for {@link rank} and {@link result}, −1 when the pair does not merge */
  find(left: number, right: number): number {
    return this.pairs.get(left, right);
  }

  rank(merge: number): number {
    return this.ranks[merge];
  }

  result(merge: number): number {
    return this.results[merge];
  }

  /**
   * Whether any merge can ever span the place between two neighbouring symbols of the text. Where none can, the text
   * falls apart into segments that are merged on their own, with the same result: nearly every space is such a place.
   */
  joins(left: number, right: number): boolean {
    return this.joinable.get(left, right) >= 0;
  }
}
