// The timeline of one sequence in the cache: the pages that hold its keys and values, and how far they are filled.
import { MemoryError } from "../errors.ts";
import { type KvPool, PAGE_POSITIONS } from "../memory/kv_pool.ts";
import { type AdapterSet, noAdapters } from "./adapter_set.ts";

/**
 * Pages that are kept behind a window, so that a few tokens can be taken back (a chat's last answer, drafts that were not
 * accepted): at least 128 tokens always can.
 */
export const KEPT_PAGES = 2;

/**
 * Pages that a sequence of `tokens` tokens holds at most while chunks of up to `chunk_rows` are read: of all its tokens, or
 * of what a window sees and what is kept behind it, the chunk's own, and one more for where pages begin.
 */
export function mostPages(tokens: number, window: number, chunk_rows: number): number {
  const held = window ? window + chunk_rows + (KEPT_PAGES + 1) * PAGE_POSITIONS : Infinity;
  return Math.ceil(Math.min(tokens, held) / PAGE_POSITIONS);
}

/** A page that has to be copied before it is written to, see `PageList.append`. */
export type PageCopy = readonly [from: number, to: number];

export class PageList {
  readonly pool: KvPool;
  /** Block b, positions 64 b to 64 b + 63, is in pages[b − first_block]. */
  readonly pages: number[] = [];
  first_block = 0;
  /** Slots so far: tokens, and the padding between and behind them. The absolute index of the next. */
  length = 0;
  /** The absolute indices of padding, ascending: keys that nobody sees, whatever they hold. What is hidden stays so. */
  hidden_slots: readonly number[] = [];
  /** What its keys and values were computed with, and those to come will be. */
  adapters: AdapterSet = noAdapters;
  private readonly window: number;

  /** @param window - keys that a query sees at most; 0: all */
  constructor(pool: KvPool, window: number) {
    this.pool = pool;
    this.window = window;
  }

  /** Pages that `append` would take. */
  needed(tokens: number): number {
    const last = this.pages.at(-1);
    const shared = tokens > 0 && this.length % PAGE_POSITIONS !== 0 && last !== undefined && this.pool.isShared(last);
    return Math.ceil((this.length + tokens) / PAGE_POSITIONS) - this.first_block - this.pages.length + (shared ? 1 : 0);
  }

  /** Tokens that can be appended with `free` free pages, of `tokens` that are wanted. */
  most(tokens: number, free: number): number {
    const beyond = this.needed(tokens) - free;
    if (beyond <= 0) return tokens;
    const over = (this.length + tokens) % PAGE_POSITIONS || PAGE_POSITIONS;
    return Math.max(0, tokens - over - (beyond - 1) * PAGE_POSITIONS);
  }

  /**
   * Makes room for `tokens` more, and counts them. A last page that others refer to, too, is replaced by a copy.
   * @returns what has to be copied before the tokens' keys are stored
   * @throws EngineError when the pool has no page left: ask `needed` before
   */
  append(tokens: number): PageCopy | undefined {
    const { pool, pages } = this;
    let copy: PageCopy | undefined;
    const last = pages.length - 1;
    if (tokens > 0 && this.length % PAGE_POSITIONS !== 0 && pool.isShared(pages[last])) {
      copy = [pages[last], pool.take()];
      pool.release(copy[0]);
      pages[last] = copy[1];
    }
    this.length += tokens;
    this.fill();
    return copy;
  }

  private fill(): void {
    while ((this.first_block + this.pages.length) * PAGE_POSITIONS < this.length) this.pages.push(this.pool.take());
  }

  /** Hides slots, in any order, some perhaps hidden already. */
  hide(slots: Iterable<number>): void {
    this.hidden_slots = [...new Set([...this.hidden_slots, ...slots])].sort((a, b) => a - b);
  }

  /** Appends hidden slots that nothing is written to. @throws {@link MemoryError} when the pool has not the pages */
  skip(slots: number): void {
    const { pool, length: from } = this;
    const bytes = this.needed(slots) * pool.page_bytes;
    if (bytes > pool.free * pool.page_bytes)
      throw new MemoryError(
        `kv_bytes: ${slots} positions of padding need ${bytes} bytes of cache, ${pool.free * pool.page_bytes} are free`,
        bytes,
        pool.free * pool.page_bytes,
      );
    this.length += slots;
    this.fill();
    this.hide(Array.from({ length: slots }, (_, i) => from + i));
  }

  /** Slots that are not hidden. */
  get visible(): number {
    return this.length - this.hidden_slots.length;
  }

  /** (page, 2 words) a bit for each slot that is hidden; nothing where none is. */
  hiddenBits(): Uint32Array | undefined {
    const from = this.first_block * PAGE_POSITIONS;
    if ((this.hidden_slots.at(-1) ?? -1) < from) return undefined;
    const bits = new Uint32Array((this.pages.length * PAGE_POSITIONS) / 32);
    for (const slot of this.hidden_slots) if (slot >= from) bits[(slot - from) >> 5] |= 1 << ((slot - from) & 31);
    return bits;
  }

  /** Gives back the pages that no position from the present end on will see, but a few. */
  trim(): void {
    if (!this.window) return;
    const seen = Math.max(0, this.length + 1 - this.window);
    const keep = Math.max(0, Math.floor(seen / PAGE_POSITIONS) - KEPT_PAGES);
    while (this.first_block < keep && this.pages.length > 0) {
      this.pool.release(this.pages.shift()!);
      this.first_block++;
    }
  }

  /** The first token whose keys are still there, counted so that the tokens after it could be computed again. */
  get least(): number {
    return this.first_block === 0 ? 0 : this.first_block * PAGE_POSITIONS + this.window - 1;
  }

  /** Forgets all but the first `length` tokens: no fewer than `least`. */
  truncate(length: number): void {
    this.length = length;
    this.hidden_slots = this.hidden_slots.filter((slot) => slot < length);
    const keep = Math.max(0, Math.ceil(length / PAGE_POSITIONS) - this.first_block);
    while (this.pages.length > keep) this.pool.release(this.pages.pop()!);
    if (this.pages.length === 0) this.first_block = Math.floor(length / PAGE_POSITIONS);
  }

  /** A second list that goes on by itself; it refers to the same pages. */
  fork(): PageList {
    const fork = new PageList(this.pool, this.window);
    fork.adopt(this, this.length);
    return fork;
  }

  /** Refers to the pages that another list holds of its first `length` tokens, in place of its own. */
  adopt(other: PageList, length: number): void {
    this.release();
    for (const page of other.pages) this.pool.retain(page);
    this.pages.push(...other.pages);
    this.first_block = other.first_block;
    this.length = other.length;
    this.hidden_slots = other.hidden_slots;
    this.adapters = other.adapters;
    this.truncate(length);
  }

  /** Gives all pages back. */
  release(): void {
    for (const page of this.pages.splice(0)) this.pool.release(page);
    this.first_block = 0;
    this.length = 0;
    this.hidden_slots = [];
  }
}
