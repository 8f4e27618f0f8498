// The merges of a BPE vocabulary as one hash table over pairs of symbols, and which symbols can ever grow together.
// A symbol is a token id.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { wrong } from "./fields.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { PairMap, type PairMapData } from "./pair_map.ts";
import { PieceCuts } from "./piece_cuts.ts";

/** Two tokens and a space. */
const LONGEST_MERGE = 2 * TEXT_LIMITS.token + 1;

/** Merges are written `"a b"`, or `["a", "b"]` since tokenizers 0.20. @throws {@link TokenizerError} */
export function readMerge(merge: unknown, where: string): [string, string] {
  const parts = typeof merge === "string" && merge.length <= LONGEST_MERGE ? merge.split(" ") : merge;
  if (!Array.isArray(parts) || parts.length !== 2 || parts.some((part) => typeof part !== "string" || part === ""))
    return wrong(where, "two tokens", merge);
  return parts as [string, string];
}

/** A table as plain data. */
export interface MergeTableData {
  readonly pairs: PairMapData;
  /** (merge) */
  readonly ranks: Int32Array<ArrayBuffer>;
  readonly results: Int32Array<ArrayBuffer>;
  readonly joinable: PairMapData | undefined;
}

export class MergeTable {
  private readonly pairs: PairMap;
  private ranks = new Int32Array(1024);
  private results = new Int32Array(1024);
  private count = 0;
  private readonly joinable: PairMap | undefined;
  private readonly ids: ReadonlyMap<string, number>;

  /** @param joinable - where {@link joins} is to know more than that any two symbols may join */
  private constructor(ids: ReadonlyMap<string, number>, joinable: PairMap | undefined, pairs = new PairMap()) {
    this.ids = ids;
    this.joinable = joinable;
    this.pairs = pairs;
  }

  /** The table that `data` gave, of the same tokens. */
  static fromData({ pairs, ranks, results, joinable }: MergeTableData, ids: ReadonlyMap<string, number>): MergeTable {
    const table = new MergeTable(ids, joinable && new PairMap(joinable), new PairMap(pairs));
    table.ranks = ranks;
    table.results = results;
    table.count = ranks.length;
    return table;
  }

  get data(): MergeTableData {
    const { pairs, ranks, results, joinable, count } = this;
    return {
      pairs: pairs.data,
      ranks: ranks.slice(0, count),
      results: results.slice(0, count),
      joinable: joinable?.data,
    };
  }

  /** How many pairs merge. */
  get size(): number {
    return this.count;
  }

  /**
   * From the merges of a tokenizer.json: the earlier, the sooner.
   * @param where - what to call the merges, and `vocab` the tokens, in messages
   * @param segments - false where the text is cut into stretches anyway
   * @throws {@link TokenizerError} when a part or the result of a merge is no token
   */
  static fromList(
    merges: readonly (readonly [string, string])[],
    ids: ReadonlyMap<string, number>,
    where: string,
    vocab: string,
    segments = true,
  ): MergeTable {
    const table = new MergeTable(ids, segments ? new PairMap() : undefined);
    merges.forEach(([left, right], rank) => {
      for (const piece of [left, right, left + right])
        if (!ids.has(piece))
          throw new TokenizerError(`${where}[${rank}] needs the token ${show(piece)}, which ${vocab} lacks`);
      table.add(left, right, ids.get(left + right)!, rank);
    });
    return table;
  }

  /**
   * From SentencePiece scores: two neighbours join when their union is a piece, the best score first. Pieces of equal
   * score have equal rank, so that the leftmost pair wins, as in SentencePiece.
   * @param scored - the pieces that text can be made of, with their scores
   * @throws {@link TokenizerError} when a piece is too long, or far more ways to make pieces of others than vocabularies have
   */
  static fromScores(
    scored: ReadonlyMap<string, number>,
    ids: ReadonlyMap<string, number>,
    source: string,
    segments = true,
  ): MergeTable {
    const table = new MergeTable(ids, segments ? new PairMap() : undefined);
    const ranks = new Map([...new Set(scored.values())].sort((a, b) => b - a).map((score, rank) => [score, rank]));
    const most = scored.size * TEXT_LIMITS.merges_of_piece + TEXT_LIMITS.more_merges;
    for (const piece of scored.keys())
      if (piece.length > TEXT_LIMITS.token)
        throw new TokenizerError(
          `${source}: piece ${ids.get(piece)}: expected at most ${TEXT_LIMITS.token} characters, found ${piece.length}`,
        );
    const cuts = new PieceCuts(scored, TEXT_LIMITS.token);
    for (const [piece, score] of scored) {
      const [result, rank] = [ids.get(piece)!, ranks.get(score)!];
      for (const [left, right] of cuts.of(piece)) table.add(left, right, result, rank);
      if (table.count > most)
        throw new TokenizerError(
          `${source}: expected at most ${most} ways to make a piece of two others, found more in its ${scored.size} pieces`,
        );
    }
    return table;
  }

  private add(left: string, right: string, result: number, rank: number): void {
    const [l, r] = [this.ids.get(left)!, this.ids.get(right)!];
    if (this.count === this.ranks.length) {
      this.ranks = doubled(this.ranks);
      this.results = doubled(this.results);
    }
    this.pairs.set(l, r, this.count);
    this.ranks[this.count] = rank;
    this.results[this.count++] = result;
    if (this.joinable === undefined) return;
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
    return this.joinable === undefined || this.joinable.get(left, right) >= 0;
  }
}

function doubled(values: Int32Array): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(2 * values.length);
  copy.set(values);
  return copy;
}
