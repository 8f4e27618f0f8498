// How many tokens are worth drafting: from how often drafts were right, and what steps of so many rows took. A Mixture's
// experts make a step of several rows dear, since each row has experts of its own: where drafts are often wrong none is best.

/** What drafts of one kind came to, the newest weighing most. */
interface Record {
  right: number;
  wrong: number;
}

/** How much of what was seen before counts beside a new observation. */
const MEMORY = 0.9;

/** A plain step is timed again after so many with drafts. A dear draft is tried again after twice as many without, and so on. */
const REFRESH = 64;

/** What is gained must be more than measurements scatter. */
const WORTH = 1.05;

/** What a row more costs where nothing is known, as a share of a step of one row. */
const GUESS = 0.3;

export class DraftLength {
  private readonly most: number;
  private readonly records = new Map<number, Record>();
  /** (rows) milliseconds of a step; undefined where none was seen. */
  private readonly times: (number | undefined)[] = [];
  /** Milliseconds of drafting a token. */
  private draft_ms = 0;
  private since_drafts = 0;
  private since_single = 0;
  private patience = 2 * REFRESH;
  /** Whether the last step's draft was one that was due. */
  private tried = false;

  /** @param most - tokens that are drafted at most */
  constructor(most: number) {
    this.most = most;
  }

  /** How many of up to `available` tokens of a kind to draft. */
  choose(kind: number, available: number): number {
    const most = Math.min(this.most, available);
    // First what a plain step takes; later now and then again.
    if (this.times[1] === undefined || this.since_single > REFRESH) return 0;
    const right = this.rightOf(kind);
    let [best, best_rate] = [0, WORTH / this.timeOf(1)];
    let tokens = 1;
    for (let count = 1, chance = right; count <= most; count++, chance *= right) {
      tokens += chance;
      const rate = tokens / (this.timeOf(count + 1) + count * this.draft_ms);
      if (rate > best_rate) [best, best_rate] = [count, rate];
    }
    return best;
  }

  /** Whether drafting, which costs something, is to be tried though it did not pay. */
  get due(): boolean {
    return this.since_drafts >= this.patience;
  }

  /** @param drafted - tokens; `right` of them were, one after the other */
  observe(kind: number, drafted: number, right: number): void {
    if (drafted === 0) return;
    const record = this.records.get(kind) ?? { right: 0, wrong: 0 };
    if (right > 0) this.patience = 2 * REFRESH;
    else if (this.tried) this.patience *= 2;
    record.right = record.right * MEMORY + right;
    record.wrong = record.wrong * MEMORY + (right < drafted ? 1 : 0);
    this.records.set(kind, record);
  }

  /** A step of so many rows took so long; told before what its drafts came to. */
  observeStep(rows: number, ms: number): void {
    const before = this.times[rows];
    this.times[rows] = before === undefined ? ms : before * 0.8 + ms * 0.2;
    this.since_single = rows === 1 ? 0 : this.since_single + 1;
    this.tried = rows > 1 && this.due;
    this.since_drafts = rows === 1 ? this.since_drafts + 1 : 0;
  }

  observeDraft(tokens: number, ms: number): void {
    if (tokens > 0) this.draft_ms = this.draft_ms === 0 ? ms / tokens : this.draft_ms * 0.8 + (ms / tokens) * 0.2;
  }

  /** The chance of a token to be right. What is not known of a kind is taken from the one below, which is no better. */
  private rightOf(kind: number): number {
    const before = kind === 0 ? 0.5 : this.rightOf(kind - 1);
    const { right, wrong } = this.records.get(kind) ?? { right: 0, wrong: 0 };
    return (right + 2 * before) / (right + wrong + 2);
  }

  /**
   * Of a length that was not seen: on the line between those about it. Beyond them hopefully, since only steps of that length
   * can tell: rows share weights, and each costs less than the one before.
   */
  private timeOf(rows: number): number {
    const { times } = this;
    if (times[rows] !== undefined) return times[rows];
    const known = times.flatMap((time, at) => (time === undefined ? [] : [{ at, time }]));
    const above = known.findIndex(({ at }) => at > rows);
    const each = ([a, b]: typeof known) => Math.max(0, (b.time - a.time) / (b.at - a.at));
    if (above > 0) {
      const between = known.slice(above - 1, above + 1);
      return between[0].time + each(between) * (rows - between[0].at);
    }
    const last = known.slice(-2);
    const guess = GUESS * times[1]!;
    const { at, time } = last[last.length - 1];
    return time + (last.length < 2 ? guess : Math.min(guess, each(last) / 2)) * (rows - at);
  }
}
