// Decides what each step computes. Sequences are its unit: it pulls rows from those that have some pending, the tokens that
// somebody waits for first, then prompts, the oldest first, in the same step where all of it takes no longer than step_ms.
// A longer prompt is read in chunks that pause: while one is on its way, steps of the waiting tokens run in between.
//
//   a chunk of 512 rows takes 2 s, step_ms is 250, A and B wait for tokens:
//   team    | A B | chunk … | A B | … chunk … | A B | … chunk |
//   ms      0    25       250   275         500   525
import type { KvPool } from "../memory/kv_pool.ts";
import { Chunk } from "./chunk.ts";
import { Draft, type DraftPart } from "./draft.ts";
import { type JobRunner, Jobs } from "./jobs.ts";
import { MOST_POSTED, noPages, rank, takeRows } from "./page_room.ts";
import { Removals } from "./removals.ts";
import type { Rotary } from "./rotary.ts";
import type { Sequence } from "./sequence.ts";
import type { Job, Step } from "./step.ts";
import { StepTimes } from "./step_times.ts";

/** A chunk of fewer rows is not worth a pause. */
const PAUSABLE_ROWS = 16;

/** What the scheduler needs of the engine. */
export interface StepRunner extends JobRunner {
  /** Asks the team to pause the chunk. */
  wantPause(wanted: boolean): void;
  /** How much of the chunk on its way is done, 0 to 1. */
  chunkDone(): number;
  /** Called before a step: whatever must be looked at first, or nothing where the step may be posted at once. */
  check(): Promise<void> | undefined;
  /** Calls back when what is ready to run now has run. */
  nextTurn(callback: () => void): void;
}

export interface SchedulerOptions {
  readonly pool: KvPool;
  readonly rotary: Rotary;
  /** Rows of a prompt's chunk at most, and of a step between two parts of it. */
  readonly chunk_rows: number;
  readonly between_rows: number;
  /** How long a step may take while others wait. */
  readonly step_ms: number;
  /** Sequences that are worked on at once; further ones wait. */
  readonly max_sequences: number;
}

export class Scheduler {
  private readonly runner: StepRunner;
  private readonly options: SchedulerOptions;
  /** Sequences that hold pages or may take some, the first in rank first. */
  private active: Sequence[] = [];
  /** Groups of sequences that wait to be let in, the first in rank first. */
  private queue: (readonly Sequence[])[] = [];
  private chunk: Chunk | undefined;
  private ages = 0;
  private pumping = false;
  private closed: unknown;
  private readonly jobs: Jobs;
  private readonly times = new StepTimes();
  private readonly removals = new Removals();

  constructor(runner: StepRunner, options: SchedulerOptions) {
    this.runner = runner;
    this.jobs = new Jobs(runner);
    this.options = options;
  }

  /** Takes in sequences that belong together: all of them at once, or none. */
  add(group: readonly Sequence[]): void {
    if (this.closed !== undefined) {
      for (const sequence of group) sequence.fail(this.closed);
      return;
    }
    for (const sequence of group) sequence.age = ++this.ages;
    const at = this.queue.findIndex(([first]) => rank(group[0], first) < 0);
    this.queue.splice(at < 0 ? this.queue.length : at, 0, group);
    this.wake();
  }

  /**
   * Takes a sequence out. Neither `done` nor `fail` is called any more.
   * @returns when no step that is on its way writes to its pages
   */
  async remove(sequence: Sequence): Promise<void> {
    this.queue = this.queue.map((group) => group.filter((each) => each !== sequence)).filter(({ length }) => length);
    this.active = this.active.filter((each) => each !== sequence);
    if (sequence.posted > 0) await this.leave(sequence);
    this.wake();
  }

  /** Waits until the steps with a sequence are over, or, of a chunk that others want, makes that needless. */
  private leave(sequence: Sequence): Promise<void> {
    const left = this.removals.add(sequence);
    const { chunk } = this;
    if (chunk?.has(sequence)) {
      if (!this.isUnwanted(chunk)) {
        chunk.keep(sequence);
        if (sequence.posted === 1) return Promise.resolve();
      } else if (chunk.posted) this.runner.wantPause(true);
      else this.dropChunk();
    }
    return left;
  }

  /** Rows of a sequence that the chunk on its way has computed, as far as can be told: a share of them is a share of its layers. */
  underway(sequence: Sequence): number {
    const part = this.chunk?.parts.find((each) => each.sequence === sequence);
    return part ? part.count * this.runner.chunkDone() : 0;
  }

  /** Tells that something is pending that was not: the next step is put together soon. */
  wake(): void {
    if (this.pumping) return;
    this.pumping = true;
    queueMicrotask(() => {
      this.pumping = false;
      this.pump();
    });
  }

  /** Fails all sequences, and those that come later. */
  close(error: unknown): void {
    this.closed = error;
    this.failAll(error);
  }

  private failAll(error: unknown): void {
    const left = [...this.queue.flat(), ...this.active];
    this.queue = [];
    this.active = [];
    for (const sequence of left) sequence.fail(error);
  }

  private pump(): void {
    if (this.closed !== undefined) return;
    const looking = this.jobs.posted < MOST_POSTED && this.anythingPending ? this.runner.check() : undefined;
    if (looking) {
      this.pumping = true;
      looking.then(
        () => {
          this.pumping = false;
          this.pump();
        },
        (error) => {
          this.pumping = false;
          this.failAll(error);
        },
      );
      return;
    }
    this.admit();
    while (this.jobs.posted < MOST_POSTED) {
      if (this.chunk?.posted) {
        this.armPause();
        return;
      }
      if (this.postNext()) continue;
      this.failStarved();
      return;
    }
  }

  private get anythingPending(): boolean {
    return this.queue.length > 0 || this.active.some(({ pending }) => pending > 0);
  }

  /** Lets groups in, in rank; nobody overtakes: a group of many is not starved by groups of few. */
  private admit(): void {
    const { max_sequences } = this.options;
    while (this.queue.length > 0) {
      const fits = this.active.length + this.queue[0].length <= max_sequences || this.active.length === 0;
      if (!fits) return;
      this.active.push(...this.queue.shift()!);
      this.active.sort(rank);
    }
  }

  /** Posts the next step, and behind it the chunk that paused. @returns whether there was anything to post */
  private postNext(): boolean {
    const { chunk_rows, between_rows, step_ms } = this.options;
    const ready = this.active.filter((sequence) => sequence.pending > 0 && !this.chunk?.has(sequence));
    const tokens = ready.filter(({ waiting }) => waiting);
    const prompts = ready.filter(({ waiting }) => !waiting);
    const take = (draft: Draft, sequence: Sequence, limit: number) =>
      takeRows(draft, sequence, limit, this.options.pool, this.active);
    const draft = new Draft(this.options.rotary);
    for (const sequence of tokens) take(draft, sequence, between_rows);
    if (this.chunk) {
      // Short prompts need not wait until the long one is read.
      for (const sequence of prompts) {
        const rows = draft.rows + sequence.pending;
        if (rows <= between_rows && this.times.of(rows) <= step_ms) take(draft, sequence, between_rows);
      }
      if (draft.rows > 0) this.post(draft.finish(1, false), draft.parts);
      this.resumeChunk();
      return true;
    }
    const reading = prompts.reduce((sum, { pending }) => sum + pending, 0);
    const rows = Math.min(draft.rows + reading, chunk_rows);
    const together = draft.rows > 0 && this.times.of(rows) <= step_ms;
    if (together || (draft.rows === 0 && rows < PAUSABLE_ROWS)) {
      for (const sequence of prompts) take(draft, sequence, chunk_rows);
      if (draft.rows === 0) return false;
      this.post(draft.finish(draft.rows > between_rows ? 0 : 1, false), draft.parts);
      return true;
    }
    if (draft.rows > 0) this.post(draft.finish(1, false), draft.parts);
    const chunk = new Draft(this.options.rotary);
    for (const sequence of prompts) take(chunk, sequence, chunk_rows);
    if (chunk.rows > 0) this.startChunk(chunk);
    return draft.rows > 0 || chunk.rows > 0;
  }

  /** Nothing is on its way and nothing can be: the first in rank has no pages, and nobody to take them from. */
  private failStarved(): void {
    const starved = this.starved;
    if (!starved) return;
    // A call that has ended may be about to give its pages back.
    this.runner.nextTurn(() => {
      if (this.starved !== starved) return this.wake();
      this.failSequence(starved, noPages(this.options.pool, starved));
      this.wake();
    });
  }

  /** The first in rank that has rows pending, where no step is on its way and the pool has no page for it. */
  private get starved(): Sequence | undefined {
    if (this.closed !== undefined || this.jobs.posted > 0 || this.chunk) return undefined;
    if (this.active.some(({ posted }) => posted > 0)) return undefined;
    const first = this.active.find(({ pending }) => pending > 0);
    return first && first.pages.most(1, this.options.pool.free) === 0 ? first : undefined;
  }

  private failSequence(sequence: Sequence, error: unknown): void {
    this.active = this.active.filter((each) => each !== sequence);
    sequence.fail(error);
  }

  /** Hands a step to the team. */
  private post(step: Step, parts: readonly DraftPart[]): void {
    for (const { sequence } of parts) sequence.posted++;
    this.jobs.run({ type: "step", step }).then(
      ({ ms }) => {
        this.times.add(step.rows, ms);
        this.finish(parts);
      },
      (error) => this.failParts(parts, error),
    );
  }

  private startChunk(draft: Draft): void {
    const step = draft.finish(0, draft.rows >= PAUSABLE_ROWS);
    for (const { sequence } of draft.parts) sequence.posted++;
    this.chunk = new Chunk(draft.parts);
    this.follow(this.chunk, { type: "step", step });
  }

  private resumeChunk(): void {
    if (this.isUnwanted(this.chunk!)) this.dropChunk();
    else this.follow(this.chunk!, { type: "resume" });
  }

  /** Has the team go on with the chunk, and waits for that part of it. */
  private follow(chunk: Chunk, job: Job): void {
    chunk.partBegan();
    this.jobs.run(job).then(
      ({ complete, ms }) => {
        this.endPart(chunk, ms);
        if (!complete) {
          this.pump();
          return;
        }
        this.chunk = undefined;
        chunk.over();
        this.times.add(chunk.rows, chunk.spent);
        this.finish(chunk.parts);
      },
      (error) => {
        this.endPart(chunk, 0);
        this.chunk = undefined;
        chunk.over();
        this.failParts(chunk.parts, error);
      },
    );
  }

  private endPart(chunk: Chunk, ms: number): void {
    chunk.partEnded(ms);
    // The wish may have come too late for this chunk, and would cut the next.
    this.runner.wantPause(false);
  }

  /** Whether all who had rows in a chunk were removed. */
  private isUnwanted(chunk: Chunk): boolean {
    return chunk.parts.every(({ sequence }) => this.removals.has(sequence));
  }

  /** Forgets the chunk that paused. */
  private dropChunk(): void {
    const chunk = this.chunk!;
    const { parts } = chunk;
    this.chunk = undefined;
    this.jobs.run({ type: "drop" }).then(
      () => {
        chunk.over();
        this.finish(parts);
      },
      (error) => this.failParts(parts, error),
    );
  }

  /** Has the chunk pause in time for those who wait. */
  private armPause(): void {
    const chunk = this.chunk!;
    const others = this.active.some((sequence) => sequence.pending > 0 && !chunk.has(sequence));
    if (!others) return;
    // So long that those who wait have their tokens within twice step_ms, and half of step_ms where they are slow themselves.
    const { step_ms } = this.options;
    const part = Math.max(step_ms / 2, Math.min(step_ms, 1.8 * step_ms - this.times.between));
    chunk.pauseAt(Math.max(chunk.began, this.jobs.ended) + part, () => this.runner.wantPause(true));
  }

  /** Tells the sequences that their rows were computed. */
  private finish(parts: readonly DraftPart[]): void {
    let left = false;
    for (const { sequence, count } of parts) {
      if (this.removals.stepOver(sequence)) continue;
      if (!sequence.done(count)) continue;
      this.active = this.active.filter((each) => each !== sequence);
      left = true;
    }
    // Those whose results were just given may ask for more: then they share the next step.
    if (left && !this.pumping) {
      this.pumping = true;
      this.runner.nextTurn(() => {
        this.pumping = false;
        this.pump();
      });
    } else if (!left) this.pump();
  }

  private failParts(parts: readonly DraftPart[], error: unknown): void {
    for (const { sequence } of parts) {
      if (this.removals.stepOver(sequence)) continue;
      if (this.active.includes(sequence)) this.failSequence(sequence, error);
    }
    this.wake();
  }
}
