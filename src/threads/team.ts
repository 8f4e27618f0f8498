// The team: workers that all run the same steps in lockstep. The host posts a step to each and awaits them
// all; messages to a thread are handled in the order in which they were posted.
import { EngineError } from "../errors.ts";
import type { TeamWorker, Threads } from "../platform/platform.ts";
import { CONTROL_BYTES, failBarrier } from "./barrier.ts";

/** What a thread tells its host. */
export type Reply =
  | { type: "loaded" }
  | { type: "ready" }
  | { type: "done"; step: number; result?: unknown }
  | { type: "failed"; error: { name: string; message: string; stack?: string } };

/** A message from the host; `init` comes first, with what the team's code needs. */
export type Order =
  | { type: "init"; thread: number; threads: number; control: SharedArrayBuffer; setup: unknown }
  | { type: "tell"; message: unknown }
  | { type: "step"; step: number; work: unknown };

interface Pending {
  step: number;
  waiting: number;
  /** (thread) what each returned. */
  results: unknown[];
  resolve(results: unknown[]): void;
  reject(error: Error): void;
}

export class Team {
  readonly threads: number;
  private readonly workers: TeamWorker[] = [];
  /** Of each thread, whether it has loaded its code, or failed. */
  private readonly started: Promise<void>[] = [];
  private readonly control = new SharedArrayBuffer(CONTROL_BYTES);
  private pending: Pending | undefined;
  private steps = 0;
  private failure: EngineError | undefined;
  private disposed = false;

  private constructor(threads: number) {
    this.threads = threads;
  }

  /**
   * Starts the threads and waits until each has taken its setup.
   * @throws {@link EngineError} when a thread cannot start, the signal's reason when aborted; all are ended then
   */
  static async start(platform: Threads, threads: number, setup: unknown, signal?: AbortSignal): Promise<Team> {
    const team = new Team(threads);
    let aborted = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        aborted = () => reject(signal!.reason);
        signal?.addEventListener("abort", aborted);
        signal?.throwIfAborted();
        let ready = 0;
        for (let thread = 0; thread < threads; thread++) {
          const worker = platform.spawn(`tramontane ${thread}`);
          team.workers.push(worker);
          let begun = () => {};
          team.started.push(new Promise((resolve) => (begun = resolve)));
          worker.on_failure((cause) => {
            begun();
            team.fail(thread, cause);
            reject(team.failure);
          });
          worker.on_message((message) => {
            const reply = message as Reply;
            if (reply.type === "loaded") {
              begun();
              // Not before: a web worker loses what comes while its script still loads.
              if (!team.disposed)
                worker.post({ type: "init", thread, threads, control: team.control, setup } satisfies Order);
            } else if (reply.type === "ready") {
              if (++ready === threads) resolve();
            } else team.receive(thread, reply);
            if (team.failure) reject(team.failure);
          });
        }
      });
    } catch (error) {
      const ended = team.dispose();
      if (!signal?.aborted) await ended; // many threads end slowly: who aborts need not wait for that
      throw error;
    } finally {
      signal?.removeEventListener("abort", aborted);
    }
    for (const worker of team.workers) worker.unref();
    return team;
  }

  /** Sends something that every later step may rely on. */
  tell(message: unknown): void {
    for (const worker of this.workers) worker.post({ type: "tell", message } satisfies Order);
  }

  /**
   * Runs one step on all threads; gives what each returns. One step at a time.
   * @throws {@link EngineError} when a thread dies, with its cause, or the team was disposed
   */
  step(work: unknown): Promise<unknown[]> {
    if (this.disposed) return Promise.reject(new EngineError("the engine was disposed"));
    if (this.failure) return Promise.reject(this.failure);
    if (this.pending) return Promise.reject(new EngineError("a step is running already"));
    const step = ++this.steps;
    return new Promise((resolve, reject) => {
      this.pending = { step, waiting: this.threads, results: [], resolve, reject };
      for (const worker of this.workers) {
        worker.ref();
        worker.post({ type: "step", step, work } satisfies Order);
      }
    });
  }

  /** Whether every thread has done all that it was asked for, and waits. */
  get idle(): boolean {
    return !this.pending && !this.failure;
  }

  private receive(thread: number, reply: Reply): void {
    if (reply.type === "failed") {
      const { name, message, stack } = reply.error;
      this.fail(thread, Object.assign(new Error(message), { name, stack }));
    } else if (reply.type === "done" && this.pending?.step === reply.step) {
      this.pending.results[thread] = reply.result;
      if (--this.pending.waiting > 0) return;
      const { resolve, results } = this.settle();
      resolve(results);
    }
  }

  private settle(): Pending {
    const pending = this.pending!;
    this.pending = undefined;
    for (const worker of this.workers) worker.unref();
    return pending;
  }

  private fail(thread: number, cause: unknown): void {
    // The first cause counts: the others fail because of it.
    this.failure ??= new EngineError(
      `thread ${thread} of the team failed: ${cause instanceof Error ? cause.message : String(cause)}; dispose the model and load it again`,
      { cause },
    );
    failBarrier(this.control);
    if (this.pending) this.settle().reject(this.failure);
  }

  /** Ends the threads; a pending step is rejected. Calling it twice is harmless. */
  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    failBarrier(this.control);
    if (this.pending) this.settle().reject(new EngineError("the engine was disposed during a step"));
    // Not while a thread starts: Deno keeps two handles of each that is ended before it has loaded its code.
    await Promise.all(this.workers.map((worker, thread) => this.started[thread].then(() => worker.terminate())));
  }
}
