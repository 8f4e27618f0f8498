// What each step computes, with a team that only takes notes: who comes first, what goes together, when a chunk pauses,
// who makes room for whom.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MemoryError } from "../../src/errors.ts";
import { KvPool } from "../../src/memory/kv_pool.ts";
import { PageList } from "../../src/model/pages.ts";
import type { Rotary } from "../../src/model/rotary.ts";
import { Scheduler, type SchedulerOptions } from "../../src/model/scheduler.ts";
import { Reading, Sequence, type TakenRows } from "../../src/model/sequence.ts";
import type { Job, JobResult } from "../../src/model/step.ts";

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

/** A team of which the test answers each job. */
class Notes {
  readonly jobs: Job[] = [];
  pauses = 0;
  /** The share of the chunk on its way that is done. */
  layers = 0;
  private readonly waiting: { resolve(result: JobResult): void; reject(error: unknown): void }[] = [];

  readonly runner = {
    run: (job: Job): Promise<JobResult> => {
      this.jobs.push(job);
      return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
    },
    wantPause: (wanted: boolean) => void (wanted && this.pauses++),
    chunkDone: () => this.layers,
    check: () => undefined,
    nextTurn: (callback: () => void) => void setTimeout(callback),
  };

  /** Rows of each sequence in the steps so far, `…` where a chunk goes on, `×` where it is dropped. */
  get steps(): string[] {
    return this.jobs.map((job) =>
      job.type === "step"
        ? `${job.step.lane}:${job.step.sequences.map(({ rows }) => rows).join("+")}`
        : job.type === "resume"
          ? "…"
          : "×",
    );
  }

  async answer(complete = true): Promise<void> {
    this.waiting.shift()!.resolve({ complete });
    for (let i = 0; i < 3; i++) await turn();
  }

  async fail(error: Error): Promise<void> {
    this.waiting.shift()!.reject(error);
    await turn();
  }
}

function made(options: Partial<SchedulerOptions> & { pages?: number } = {}) {
  const notes = new Notes();
  const layout = { format: "f32", page_bytes: [64], head_bytes: [1], banks: [0], bases: [0] } as const;
  const pool = new KvPool({ ...layout, pages: options.pages ?? 1000 });
  const scheduler = new Scheduler(notes.runner, {
    pool,
    rotary: { limit: Infinity } as Rotary,
    chunk_rows: 512,
    between_rows: 64,
    step_ms: 1e6,
    max_sequences: 64,
    ...options,
  });
  return { notes, pool, scheduler };
}

const reading = (pool: KvPool, rows: number) =>
  new Reading(
    new PageList(pool, 0),
    { positions: new Uint32Array(rows), tokens: new Int32Array(rows), reach: 1 },
    () => ({}),
  );

/** A sequence that always has a next token, like one that generates. */
class Talker extends Sequence {
  readonly pages: PageList;
  computed = 0;
  failure: unknown;
  override readonly priority: number;
  private fed = 0;
  private total: number;

  constructor(pool: KvPool, prompt: number, priority = 0) {
    super();
    this.pages = new PageList(pool, 0);
    this.total = prompt;
    this.priority = priority;
  }
  get pending(): number {
    return this.failure ? 0 : this.total - this.fed;
  }
  take(count: number): TakenRows {
    this.fed += count;
    if (this.fed === this.total) this.total++;
    return {
      tokens: new Int32Array(count),
      positions: new Uint32Array(count),
      reaches: new Uint32Array(count),
      wants: {},
    };
  }
  done(count: number): boolean {
    this.computed += count;
    return false;
  }
  fail(error: unknown): void {
    this.failure = error;
  }
  override get restartable(): boolean {
    return true;
  }
  override restart(): void {
    this.fed = 0;
  }
}

test("sequences that are added together go together; a step begins before the one before is heard of", async () => {
  const { notes, pool, scheduler } = made();
  scheduler.add([new Talker(pool, 1)]);
  scheduler.add([new Talker(pool, 1)]);
  await turn();
  assert.equal(notes.steps, ["1:1+1", "1:1+1"]);
  await notes.answer();
  assert.is(notes.steps.length, 3);
});

test("how far the chunk on its way has come tells how many of a sequence's rows are done", async () => {
  const { notes, pool, scheduler } = made();
  const [long, other] = [reading(pool, 700), reading(pool, 3)];
  scheduler.add([long]);
  await turn();
  notes.layers = 0.25;
  assert.equal([scheduler.underway(long), scheduler.underway(other)], [128, 0]);
  await notes.answer();
  assert.is(scheduler.underway(long), 47, "a quarter of the 188 that remain");
  await notes.answer();
  assert.is(scheduler.underway(long), 0);
});

test("a prompt is cut into chunks, several prompts share one, and short ones do not pause", async () => {
  const { notes, pool, scheduler } = made();
  const long = reading(pool, 700);
  const short = reading(pool, 5);
  scheduler.add([long]);
  scheduler.add([short]);
  await turn();
  assert.equal(notes.steps, ["0:512"]);
  assert.ok(notes.jobs[0].type === "step" && notes.jobs[0].step.pausable);
  await notes.answer();
  assert.equal(notes.steps, ["0:512", "0:188+5"]);
  await notes.answer();
  await long.finished;
  await short.finished;
  scheduler.add([reading(pool, 5)]);
  await turn();
  const last = notes.jobs.at(-1)!;
  assert.ok(last.type === "step" && !last.step.pausable && last.step.lane === 1);
});

test("tokens and a prompt share a step where it is short, once it is known how long steps take", async () => {
  const { notes, pool, scheduler } = made();
  scheduler.add([new Talker(pool, 1)]);
  await turn();
  scheduler.add([reading(pool, 100)]);
  await turn();
  assert.equal(notes.steps, ["1:1", "1:1"], "two on their way");
  await notes.answer();
  assert.equal(notes.steps.slice(2), ["1:1", "0:100"], "nothing is known of long steps: apart");
  for (let i = 0; i < 3; i++) await notes.answer();
  scheduler.add([reading(pool, 100)]);
  await notes.answer();
  assert.is(notes.steps.at(-1), "0:1+100", notes.steps.join(" "));
});

test("a chunk pauses for a token, which goes first; then it goes on", async () => {
  const { notes, pool, scheduler } = made({ step_ms: 20 });
  const long = reading(pool, 500);
  scheduler.add([long]);
  await turn();
  assert.equal(notes.steps, ["0:500"]);
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.is(notes.pauses, 0, "nobody waits");
  scheduler.add([new Talker(pool, 1)]);
  await turn();
  await turn();
  assert.is(notes.pauses, 1, "its time is over: at once");
  await notes.answer(false);
  assert.equal(notes.steps, ["0:500", "1:1", "…"]);
  await notes.answer();
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.is(notes.pauses, 2, "after its time");
  await notes.answer(false);
  assert.equal(notes.steps, ["0:500", "1:1", "…", "1:1", "…"]);
  await notes.answer();
  await notes.answer();
  await long.finished;
});

test("who comes later with a higher priority goes before those that are read already", async () => {
  const { notes, pool, scheduler } = made({ chunk_rows: 64 });
  scheduler.add([reading(pool, 200)]);
  await turn();
  scheduler.add([new Talker(pool, 60, 1)]);
  await notes.answer();
  assert.equal(notes.steps, ["0:64", "0:60+4"]);
});

test("short prompts go with the tokens that a chunk pauses for, once it is known how long such steps take", async () => {
  const { notes, pool, scheduler } = made({ step_ms: 400 });
  scheduler.add([reading(pool, 500)]);
  await turn();
  await new Promise((resolve) => setTimeout(resolve, 410));
  scheduler.add([new Talker(pool, 1)]);
  scheduler.add([reading(pool, 3)]);
  scheduler.add([reading(pool, 70)]);
  await turn();
  await notes.answer(false);
  assert.equal(notes.steps, ["0:500", "1:1", "…"], "nothing is known");
  await notes.answer();
  await new Promise((resolve) => setTimeout(resolve, 410));
  await notes.answer(false);
  assert.equal(notes.steps.slice(3), ["1:1+3", "…"], "the longer one waits until the chunk is read");
});

test("a chunk pauses in time for a prompt that found no room in it", async () => {
  const { notes, pool, scheduler } = made({ step_ms: 20 });
  scheduler.add([reading(pool, 600)]);
  scheduler.add([reading(pool, 5)]);
  await turn();
  assert.equal(notes.steps, ["0:512"]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.is(notes.pauses, 1);
});

test("a chunk that nobody wants any more is dropped, and its pages are free then", async () => {
  const { notes, pool, scheduler } = made();
  const long = reading(pool, 500);
  scheduler.add([long]);
  await turn();
  let left = false;
  const removal = scheduler.remove(long).then(() => {
    left = true;
  });
  await turn();
  assert.is(notes.pauses, 1);
  assert.not(left, "the team still writes to its pages");
  await notes.answer(false);
  assert.equal(notes.steps, ["0:500", "×"]);
  await notes.answer();
  await removal;
  long.pages.release();
  assert.is(pool.bytes, 0);
});

test("who leaves a chunk that others want leaves at once; its pages stay until the chunk is over", async () => {
  const { notes, pool, scheduler } = made();
  const leaves = reading(pool, 200);
  const stays = reading(pool, 100);
  scheduler.add([leaves]);
  scheduler.add([stays]);
  await turn();
  assert.equal(notes.steps, ["0:200+100"]);
  await scheduler.remove(leaves);
  leaves.pages.release();
  assert.is(notes.pauses, 0);
  assert.is(pool.bytes, (4 + 2) * 64, "the team still writes to them");
  await notes.answer();
  await stays.finished;
  assert.is(pool.bytes, 2 * 64);
});

test("higher priority first, then age", async () => {
  const { notes, pool, scheduler } = made({ chunk_rows: 64 });
  scheduler.add([reading(pool, 50)]);
  scheduler.add([new Talker(pool, 60, 1)]);
  await turn();
  assert.equal(notes.steps, ["0:60+4"]);
});

test("more sequences than are let in wait, and nobody overtakes", async () => {
  const { notes, pool, scheduler } = made({ max_sequences: 2 });
  const first = [reading(pool, 3)];
  const pair = [reading(pool, 4), reading(pool, 4)];
  const last = [reading(pool, 5)];
  for (const group of [first, pair, last]) scheduler.add(group);
  await turn();
  assert.equal(notes.steps, ["1:3"], "two do not fit beside one, and the last waits behind them");
  await notes.answer();
  assert.equal(notes.steps, ["1:3", "1:4+4"]);
  await notes.answer();
  assert.equal(notes.steps, ["1:3", "1:4+4", "1:5"]);
});

test("when those who wait in front leave, who stands behind them is let in at once", async () => {
  const { notes, pool, scheduler } = made({ max_sequences: 2 });
  const pair = [reading(pool, 4), reading(pool, 4)];
  for (const group of [[reading(pool, 3)], pair, [reading(pool, 5)]]) scheduler.add(group);
  await turn();
  assert.equal(notes.steps, ["1:3"]);
  await Promise.all(pair.map((sequence) => scheduler.remove(sequence)));
  await turn();
  assert.equal(notes.steps, ["1:3", "1:5"], "beside the first, whose step is still on its way");
});

test("who came later gives its pages up, and is computed again", async () => {
  const { notes, pool, scheduler } = made({ pages: 3, between_rows: 64 });
  const old = new Talker(pool, 128);
  const young = new Talker(pool, 30);
  scheduler.add([old]);
  scheduler.add([young]);
  await turn();
  assert.equal(notes.steps, ["0:128+30"]);
  // The old one wants a third page for its next token, and all three are in use.
  await notes.answer();
  assert.equal(young.pages.pages, []);
  assert.is(old.pages.pages.length, 3);
  assert.equal(notes.steps[1], "1:1");
  await scheduler.remove(young);
  assert.is(young.failure, undefined);
});

test("a sequence that no pages are left for, and nobody to take them from, is told the bytes", async () => {
  const { notes, pool, scheduler } = made({ pages: 2 });
  const only = new Talker(pool, 128);
  scheduler.add([only]);
  await turn();
  await notes.answer();
  await turn();
  assert.instance(only.failure, MemoryError);
  assert.match((only.failure as Error).message, /kv_bytes: a sequence of 129 tokens needs 192 bytes of cache/);
});

test("a step that fails fails those in it, and no others", async () => {
  const { notes, pool, scheduler } = made({ max_sequences: 1 });
  const first = reading(pool, 3);
  const second = reading(pool, 3);
  scheduler.add([first]);
  scheduler.add([second]);
  await turn();
  await notes.fail(new Error("broken"));
  await first.finished.then(
    () => assert.unreachable(),
    (error) => assert.is(error.message, "broken"),
  );
  await notes.answer();
  await second.finished;
});

test.run();
