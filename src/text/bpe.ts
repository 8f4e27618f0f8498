// Byte-pair encoding: of all neighbours that merge, the pair of the lowest rank is joined first, the leftmost among
// equals, until none is left. A heap of candidates makes that O(n log n), also on 100,000 equal characters.
import { Heap } from "./heap.ts";
import { TEXT_LIMITS } from "./limits.ts";
import type { MergeTable } from "./merges.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Merges one segment of symbols. Its arrays grow to the longest segment seen, up to a bound, and are used again. */
class Merger {
  static readonly KEEP = 1 << 16;
  private readonly table: MergeTable;
  private next = new Int32Array(64);
  private previous = new Int32Array(64);
  private candidate = new Int32Array(64); // the merge of each symbol with its right neighbour, −1 for none
  private heap = new Heap(192); // rank · 2^31 + position: ordered by rank, then leftmost

  constructor(table: MergeTable) {
    this.table = table;
  }

  /** @param symbols - merged in place; @returns how many are left at its front */
  merge(symbols: number[]): number {
    const n = symbols.length;
    if (n > this.next.length || (this.next.length > Merger.KEEP && n <= Merger.KEEP)) {
      const length = Math.max(64, n <= Merger.KEEP ? 2 * n : n);
      this.next = new Int32Array(length);
      this.previous = new Int32Array(length);
      this.candidate = new Int32Array(length);
      this.heap = new Heap(3 * length); // n − 1 at first, and two for each merge
    }
    this.heap.clear();
    for (let i = 0; i < n; i++) {
      this.next[i] = i + 1 < n ? i + 1 : -1;
      this.previous[i] = i - 1;
    }
    for (let i = 0; i < n; i++) this.offer(symbols, i);
    while (this.heap.size > 0) {
      const key = this.heap.pop();
      const i = key % 2 ** 31;
      const merge = this.candidate[i];
      // Stale when a neighbour has changed since it was offered.
      if (merge < 0 || this.table.rank(merge) !== (key - i) / 2 ** 31) continue;
      const right = this.next[i];
      symbols[i] = this.table.result(merge);
      this.candidate[right] = -1;
      const after = (this.next[i] = this.next[right]);
      if (after >= 0) this.previous[after] = i;
      this.offer(symbols, i);
      if (this.previous[i] >= 0) this.offer(symbols, this.previous[i]);
    }
    let count = 0;
    for (let i = 0; i >= 0; i = this.next[i]) symbols[count++] = symbols[i];
    return count;
  }

  private offer(symbols: readonly number[], i: number): void {
    const right = this.next[i];
    const merge = right < 0 ? -1 : this.table.find(symbols[i], symbols[right]);
    this.candidate[i] = merge;
    if (merge >= 0) this.heap.push(this.table.rank(merge) * 2 ** 31 + i);
  }
}

/** Encodes normalized text that holds no literals. */
export class BytePairEncoder {
  private readonly vocabulary: Vocabulary;
  private readonly characters = new Map<number, number>(); // code point → symbol
  private readonly spelled = new Map<number, readonly number[]>(); // symbol that is no id → ids of its bytes
  private readonly merger: Merger;
  private readonly utf8 = new TextEncoder();

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    this.merger = new Merger(vocabulary.merges);
    for (const [token, id] of vocabulary.ids) {
      const point = token.codePointAt(0);
      if (point !== undefined && token.length === (point > 0xffff ? 2 : 1)) this.characters.set(point, id);
    }
    for (const [character, symbol] of vocabulary.characters ?? []) {
      this.characters.set(character.codePointAt(0)!, symbol);
      this.spelled.set(
        symbol,
        Array.from(this.utf8.encode(character), (byte) => vocabulary.byte_ids![byte]),
      );
    }
  }

  /** Appends the ids of `text` to `out`. A surrogate without its other half is read as U+FFFD. */
  encode(text: string, out: number[]): void {
    const { ids, merges, whole_from, byte_ids, unk_id, fuse_unk } = this.vocabulary;
    const id = whole_from !== undefined && text.length <= TEXT_LIMITS.token ? ids.get(text) : undefined;
    if (id !== undefined && id >= whole_from!) {
      out.push(id);
      return;
    }
    let segment: number[] = [];
    let lastUnknown = false;
    const flush = () => {
      const count = segment.length > 1 ? this.merger.merge(segment) : segment.length;
      for (let i = 0; i < count; i++) {
        const bytes = this.spelled.size > 0 ? this.spelled.get(segment[i]) : undefined;
        if (bytes) out.push(...bytes);
        else out.push(segment[i]);
      }
      segment = [];
    };
    const add = (symbol: number) => {
      if (segment.length > 0 && !merges.joins(segment[segment.length - 1], symbol)) flush();
      segment.push(symbol);
    };
    for (let i = 0; i < text.length; i++) {
      let point = text.codePointAt(i)!;
      if (point > 0xffff) i++;
      else if (point >= 0xd800 && point < 0xe000) point = 0xfffd;
      const symbol = this.characters.get(point);
      if (symbol !== undefined) add(symbol);
      else if (byte_ids) for (const byte of this.utf8.encode(String.fromCodePoint(point))) add(byte_ids[byte]);
      else if (unk_id !== undefined && !(fuse_unk && lastUnknown)) add(unk_id);
      lastUnknown = symbol === undefined;
    }
    flush();
  }
}
