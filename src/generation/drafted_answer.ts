// A row of an assisted generation, as the scheduler sees it: its prompt, its tokens, and behind them drafts of those to come,
// all of which are computed in one step; what was drafted wrong is taken back.
import { nothing, type Target, type Wants } from "../model/outputs.ts";
import type { PageList } from "../model/pages.ts";
import { type KnownRows, lastToken, rowCount, rowsOf, Sequence, type TakenRows } from "../model/sequence.ts";
import type { RowSequence } from "./generation.ts";

/** What a row asks of its generation. */
export interface DraftedAnswerOwner {
  /** Where scores go: those after which the first new token is chosen are row 0, the next one's row 1, and so on. */
  readonly target: Target;
  /** The scores are there: one row for the last token, and one for each draft. */
  ready(answer: DraftedAnswer): void;
  fail(error: unknown): void;
}

export class DraftedAnswer extends Sequence implements RowSequence {
  readonly pages: PageList;
  readonly row = 0;
  readonly tokens: number[] = [];
  /** Of the tokens to come. */
  drafts: readonly number[] = [];
  private readonly owner: DraftedAnswerOwner;
  private readonly prompt: KnownRows;
  /** The prompt's last row that is no padding. */
  private readonly last: number;
  private readonly fresh: boolean;
  computed = 0;
  private taken = 0;
  /** Whether what is to be computed is known: between two steps drafts may be long in coming. */
  private proposed = true;
  private stopped = false;

  /** @param fresh - whether the prompt is all that the pages will hold, so that it can be read again */
  constructor(owner: DraftedAnswerOwner, pages: PageList, prompt: KnownRows, fresh: boolean) {
    super();
    this.owner = owner;
    this.pages = pages;
    this.prompt = prompt;
    this.last = lastToken(prompt);
    this.fresh = fresh;
  }

  private get rows(): number {
    return rowCount(this.prompt) + this.tokens.length + this.drafts.length;
  }

  get pending(): number {
    return this.stopped || !this.proposed ? 0 : this.rows - this.taken;
  }

  override get waiting(): boolean {
    return this.taken >= rowCount(this.prompt);
  }

  take(count: number): TakenRows {
    const from = this.taken;
    this.taken += count;
    const { tokens, drafts } = this;
    const rows = rowsOf(this.prompt, from, this.taken, (i) => tokens[i] ?? drafts[i - tokens.length]);
    return { ...rows, wants: this.wants(from, this.taken) };
  }

  private wants(from: number, to: number): Wants {
    const first = this.tokens.length === 0 ? this.last : rowCount(this.prompt) + this.tokens.length - 1;
    const rows = Array.from({ length: this.drafts.length + 1 }, (_, i) => first + i).filter((r) => r >= from && r < to);
    if (rows.length === 0) return nothing;
    const { target } = this.owner;
    const values = { ...target, first: rows[0] - first };
    return { heads: [{ rows: Uint32Array.from(rows, (r) => r - from), values }] };
  }

  done(count: number): boolean {
    this.computed += count;
    if (this.computed === this.rows) {
      this.proposed = false;
      this.owner.ready(this);
    }
    return false;
  }

  /** Says what comes after the tokens that are known now; what was drafted before and was wrong is taken back. */
  propose(drafts: readonly number[]): void {
    const right = rowCount(this.prompt) + this.tokens.length - 1;
    const extra = this.computed - right;
    if (extra > 0) this.pages.truncate(this.pages.length - extra);
    this.taken = this.computed = Math.min(this.computed, right);
    this.drafts = drafts;
    this.proposed = true;
  }

  fail(error: unknown): void {
    this.owner.fail(error);
  }

  stop(): void {
    this.stopped = true;
  }

  override get restartable(): boolean {
    return this.fresh;
  }

  override restart(): void {
    this.taken = this.computed = 0;
  }
}
