// The team: workers that all run the same jobs in lockstep. The host posts a job to each; they are run in the order in
// which they were posted, and several may be on their way.

import { onAbort } from "../abort.ts";
import { EngineError } from "../errors.ts";
import type { TeamWorker, Threads } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { CONTROL_BYTES, failBarrier, layersPassed, wantPause } from "./barrier.ts";

/** What a thread tells its host. */
export type Reply<Result> =
  | { readonly type: "loaded" }
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly job: number; readonly result: Result }
  | { readonly type: "failed"; readonly error: { name: string; message: string; stack?: string; code?: string } };

/** A message from the host; `init` comes first, with what the team's code needs. */
export type Order<Setup, Job, Notice> =
  | {
      readonly type: "init";
      readonly thread: number;
      readonly threads: number;
      readonly control: SharedArrayBuffer;
      readonly setup: Setup;
    }
  | { readonly type: "notice"; readonly notice: Notice }
  | { readonly type: "job"; readonly job: number; readonly work: Job };

interface Pending<Result> {
  readonly job: number;
  /** Threads that have yet to answer. */
  waiting: number;
  readonly results: Result[]; // (thread)
  resolve(results: Result[]): void;
  reject(error: Error): void;
}

/** How many threads a team has. @param wanted - as many as there are cores where it is absent */
export const teamSize = (platform: Threads, wanted?: number): number =>
  platform.alone === undefined ? (wanted ?? platform.cores()) : 1;

export class Team<Setup, Job, Notice, Result> {
  readonly threads: number;
  /** Threads that answer each job: the first alone, whose last barrier is everybody's, or all. */
  private readonly answers: number;
  private readonly workers: TeamWorker[] = [];
  /** Of each thread, whether it has loaded its code, or failed. */
  private readonly started: Promise<void>[] = [];
  private readonly control = sharedBuffer(CONTROL_BYTES);
  private readonly pending: Pending<Result>[] = [];
  private jobs = 0;
  private failure: EngineError | undefined;
  private disposed = false;

  private constructor(threads: number, answers: number) {
    this.threads = threads;
    this.answers = answers;
  }

  /**
   * Starts the threads and waits until each has taken its setup.
   * @param all_answer - whether the result of a job is wanted of each thread, not of the first alone
   * @throws {@link EngineError} when a thread cannot start, the signal's reason when aborted; all are ended then
   */
  static async start<Setup, Job, Notice, Result>(
    platform: Threads,
    threads: number,
    setup: Setup,
    all_answer: boolean,
    signal?: AbortSignal,
  ): Promise<Team<Setup, Job, Notice, Result>> {
    const team = new Team<Setup, Job, Notice, Result>(threads, all_answer ? threads : 1);
    let forget = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        signal?.throwIfAborted();
        forget = onAbort(signal, () => reject(signal!.reason));
        team.spawnAll(platform, setup, resolve, reject);
      });
    } catch (error) {
      const ended = team.dispose();
      if (!signal?.aborted) await ended; // many threads end slowly: who aborts need not wait for that
      throw error;
    } finally {
      forget();
    }
    for (const worker of team.workers) worker.unref();
    return team;
  }

  /** Starts the threads, two at a time for each core: all together they would keep the host from hearing an abort. */
  private spawnAll(platform: Threads, setup: Setup, ready: () => void, failed: (error: unknown) => void): void {
    let count = 0;
    const next = () => {
      const thread = this.workers.length;
      if (thread === this.threads || this.disposed || this.failure) return;
      let worker: TeamWorker;
      try {
        worker = platform.spawn(`tramontane ${thread}`);
      } catch (cause) {
        this.fail(thread, cause); // no right to start threads, or none to be had
        failed(this.failure);
        return;
      }
      this.workers.push(worker);
      let begun = () => {};
      this.started.push(new Promise((resolve) => (begun = resolve)));
      worker.on_failure((cause) => {
        begun();
        this.fail(thread, cause);
        failed(this.failure);
      });
      worker.on_message((message) => {
        const reply = message as Reply<Result>;
        if (reply.type === "loaded") {
          begun();
          // Not before: a web worker loses what comes while its script still loads.
          const { threads, control } = this;
          if (!this.disposed) this.post(worker, { type: "init", thread, threads, control, setup });
          next();
        } else if (reply.type === "ready") {
          if (++count === this.threads) ready();
        } else this.receive(thread, reply);
        if (this.failure) failed(this.failure);
      });
    };
    for (let first = Math.min(this.threads, 2 * platform.cores()); first > 0; first--) next();
  }

  private post(worker: TeamWorker, order: Order<Setup, Job, Notice>): void {
    worker.post(order);
  }

  /** Sends something that every later job may rely on. */
  notify(notice: Notice): void {
    for (const worker of this.workers) this.post(worker, { type: "notice", notice });
  }

  /**
   * Has all threads run a job after those before it; gives what each that answers returns.
   * @throws {@link EngineError} when a thread dies, with its cause, or the team was disposed
   */
  run(work: Job): Promise<Result[]> {
    if (this.disposed) return Promise.reject(new EngineError("the model was disposed"));
    if (this.failure) return Promise.reject(this.failure);
    const job = ++this.jobs;
    return new Promise((resolve, reject) => {
      this.pending.push({ job, waiting: this.answers, results: [], resolve, reject });
      for (const worker of this.workers) {
        if (this.pending.length === 1) worker.ref();
        this.post(worker, { type: "job", job, work });
      }
    });
  }

  /** Asks the threads to stop in the midst of a job that may, or takes that back. */
  wantPause(wanted: boolean): void {
    wantPause(this.control, wanted);
  }

  /** Layers that are done of the prompt's chunk on its way; 0 where there is none. */
  get layersPassed(): number {
    return layersPassed(this.control);
  }

  /** Whether every thread has done all that it was asked for, and waits. */
  get idle(): boolean {
    return this.pending.length === 0 && !this.failure;
  }

  private receive(thread: number, reply: Reply<Result>): void {
    if (reply.type === "failed") {
      const { name, message, stack, code } = reply.error;
      this.fail(thread, Object.assign(new Error(message), { name, stack, ...(code ? { code } : {}) }));
    } else if (reply.type === "done") {
      const pending = this.pending.find(({ job }) => job === reply.job);
      if (!pending) return;
      pending.results[thread] = reply.result;
      if (--pending.waiting > 0) return;
      this.pending.splice(this.pending.indexOf(pending), 1);
      if (this.pending.length === 0) for (const worker of this.workers) worker.unref();
      pending.resolve(pending.results);
    }
  }

  private rejectAll(error: EngineError): void {
    for (const { reject } of this.pending.splice(0)) reject(error);
    for (const worker of this.workers) worker.unref();
  }

  private fail(thread: number, cause: unknown): void {
    // A thread that was still leaving its last barrier when the team was ended.
    if (this.disposed) return;
    // The first cause counts: the others fail because of it.
    this.failure ??= new EngineError(
      `thread ${thread} of the team failed: ${cause instanceof Error ? cause.message : String(cause)}; dispose the model and load it again`,
      { cause },
    );
    failBarrier(this.control);
    this.rejectAll(this.failure);
  }

  /** Ends the threads; pending jobs are rejected. Calling it twice is harmless. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    failBarrier(this.control);
    this.rejectAll(new EngineError("the model was disposed during a step"));
    // Until they have ended, or a program that has nothing else to wait for would end before it hears of this.
    for (const worker of this.workers) worker.ref();
    // Not while a thread starts: Deno keeps two handles of each that is ended before it has loaded its code.
    await Promise.all(this.workers.map((worker, thread) => this.started[thread].then(() => worker.terminate())));
  }
}
