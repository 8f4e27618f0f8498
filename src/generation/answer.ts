// One row of a generation, as the scheduler sees it: its prompt, then its tokens one by one. Where the threads draw the
// tokens, the next one can be computed before the host has heard of the one before.
import { nothing, type Wants } from "../model/outputs.ts";
import type { PageList } from "../model/pages.ts";
import { type KnownRows, lastToken, rowCount, rowsOf, Sequence, type TakenRows } from "../model/sequence.ts";

/** What a row asks of its generation. */
export interface AnswerOwner {
  /** What is wanted of the row, counted from the first of those taken, after which token `index` is chosen. */
  wants(answer: Answer, index: number, row: number): Wants;
  /** What stands for token `index` while the host does not know it; undefined where it has to. */
  placeholder(answer: Answer): number | undefined;
  /** The results after which a token is chosen are there: one more of the row. */
  ready(answer: Answer): void;
  fail(error: unknown): void;
}

export class Answer extends Sequence {
  readonly pages: PageList;
  /** The row of the batch. */
  readonly row: number;
  /** The tokens chosen so far. */
  readonly tokens: number[] = [];
  /** How many times the results for a token were given. */
  results = 0;
  /** Rows that were computed. */
  computed = 0;
  private readonly owner: AnswerOwner;
  private readonly prompt: KnownRows;
  /** Tokens that are fed at most: of what is chosen last nothing follows. */
  private readonly most_fed: number;
  private readonly chunk: number;
  /** Rows taken, of the prompt and the tokens; and tokens that results were asked for. */
  private taken = 0;
  private asked = 0;
  /** Tokens that results were wanted for: one more than were asked for where padding follows the prompt's last token. */
  private wanted = 0;
  /** The prompt's last row that is no padding. */
  private readonly last: number;
  /** Of the steps on their way, whether the results for a token come of them. */
  private readonly steps: boolean[] = [];
  private stopped = false;
  /** Whether the prompt is being read by another row, whose pages will be its own. */
  private waits: boolean;
  private readonly fresh: boolean;

  /**
   * @param fresh - whether the prompt is all that the pages will hold, so that it can be read again
   * @param leader - false for a row whose prompt another one reads for it
   * @param chunk - rows of the prompt that are taken at once
   */
  constructor(
    owner: AnswerOwner,
    row: number,
    pages: PageList,
    prompt: KnownRows,
    most_tokens: number,
    chunk: number,
    fresh: boolean,
    leader: boolean,
  ) {
    super();
    this.owner = owner;
    this.row = row;
    this.pages = pages;
    this.prompt = prompt;
    this.last = lastToken(prompt);
    this.most_fed = most_tokens - 1;
    this.chunk = chunk;
    this.fresh = fresh;
    this.waits = !leader;
  }

  get pending(): number {
    if (this.stopped || this.waits) return 0;
    const prompt = rowCount(this.prompt);
    const ahead = this.owner.placeholder(this) !== undefined;
    const tokens = Math.min(this.most_fed, ahead ? this.asked : this.tokens.length);
    const left = prompt + tokens - this.taken;
    return this.taken < prompt ? Math.min(left, this.chunk) : left;
  }

  override get waiting(): boolean {
    return this.pending === 1;
  }

  take(count: number): TakenRows {
    const from = this.taken;
    const to = from + count;
    this.taken = to;
    // Results are wanted of the last row there is: those before had theirs.
    const { asked } = this;
    const asks = to === rowCount(this.prompt) + asked;
    const row = asked === 0 ? this.last : to - 1;
    const wants =
      (asks || asked === 0) && this.wanted === asked && from <= row && row < to
        ? this.owner.wants(this, this.wanted++, row - from)
        : nothing;
    if (asks) this.asked++;
    this.steps.push(asks);
    return { ...this.rows(from, to), wants };
  }

  /** Rows [from, to) of the prompt and the tokens after it. */
  private rows(from: number, to: number): Omit<TakenRows, "wants"> {
    return rowsOf(this.prompt, from, to, (i) => this.tokens[i] ?? this.owner.placeholder(this)!);
  }

  done(count: number): boolean {
    this.computed += count;
    if (this.steps.shift()) {
      this.results++;
      this.owner.ready(this);
    }
    return false;
  }

  fail(error: unknown): void {
    this.owner.fail(error);
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.stopped = true;
  }

  /** Goes on from where `leader` was when it had read the prompt; the results for the first token are there, too. */
  follow(leader: Answer): void {
    const length = rowCount(this.prompt);
    this.pages.adopt(leader.pages, length);
    this.waits = false;
    this.taken = this.computed = length;
    this.asked = this.wanted = 1;
    this.results = 1;
    this.owner.ready(this);
  }

  override get restartable(): boolean {
    return this.fresh && !this.waits;
  }

  override restart(): void {
    this.taken = this.computed = 0;
  }
}
