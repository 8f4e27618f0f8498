// Gathers what several calls want computed into shared steps: each step takes whatever is waiting, up to the rows and
// logits that a step holds. A call's results do not depend on what else was in its steps.
import type { Step } from "./step.ts";

/** A part of a step: the rows of one call. Row numbers count from the part's own start. */
export interface Request {
  readonly part: Step;
  /** Called when the step is done, before the next begins, with the number of its first logits row. */
  readonly read: (first_logits: number) => void;
  readonly fail: (error: unknown) => void;
}

export class Scheduler {
  private readonly queue: Request[] = [];
  private running = false;
  private readonly rows: number;
  private readonly logit_rows: number;
  private readonly execute: (step: Step) => Promise<unknown>;

  /** @param rows - of a step at most; @param logit_rows - likewise */
  constructor(rows: number, logit_rows: number, execute: (step: Step) => Promise<unknown>) {
    this.rows = rows;
    this.logit_rows = logit_rows;
    this.execute = execute;
  }

  /**
   * Runs a part in one of the next steps.
   * @param read - reads the results in place; what it returns is the promise's value
   * @throws whatever makes the step fail, and the signal's reason where it is aborted before the step begins
   */
  submit<T>(part: Step, read: (first_logits: number) => T, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        const at = this.queue.indexOf(request);
        if (at < 0) return; // it is being computed: a step is never cut
        this.queue.splice(at, 1);
        reject(signal!.reason);
      };
      const settled = () => signal?.removeEventListener("abort", abort);
      const request: Request = {
        part,
        read: (first_logits) => {
          settled();
          try {
            resolve(read(first_logits));
          } catch (error) {
            reject(error);
          }
        },
        fail: (error) => {
          settled();
          reject(error);
        },
      };
      signal?.addEventListener("abort", abort);
      this.queue.push(request);
      if (!this.running) void this.drain();
    });
  }

  private async drain(): Promise<void> {
    this.running = true;
    while (this.queue.length > 0) {
      const taken = this.take();
      try {
        await this.execute(merge(taken.map(({ part }) => part)));
      } catch (error) {
        for (const { fail } of taken) fail(error);
        continue;
      }
      let logits = 0;
      for (const { part, read } of taken) {
        read(logits);
        logits += part.logit_rows.length;
      }
      await nextTurn();
    }
    this.running = false;
  }

  /** The requests of the next step: the oldest, and those behind it that fit with it. */
  private take(): Request[] {
    const taken = [this.queue.shift()!];
    let { rows } = taken[0].part;
    let logits = taken[0].part.logit_rows.length;
    if (isAlone(taken[0].part)) return taken;
    for (let i = 0; i < this.queue.length; ) {
      const { part } = this.queue[i];
      const fits = rows + part.rows <= this.rows && logits + part.logit_rows.length <= this.logit_rows;
      if (!fits || isAlone(part)) {
        i++;
        continue;
      }
      rows += part.rows;
      logits += part.logit_rows.length;
      taken.push(...this.queue.splice(i, 1));
    }
    return taken;
  }
}

/** Embeddings and captured states are laid out for the whole step, so such a part has a step of its own. */
const isAlone = (part: Step): boolean => !!(part.embeds || part.hidden_states || part.router_logits);

/** Joins parts into one step. */
function merge(parts: readonly Step[]): Step {
  if (parts.length === 1) return parts[0];
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const tokens = new Int32Array(rows);
  const positions = new Uint32Array(rows);
  const sequences: Step["sequences"][number][] = [];
  const logit_rows: number[] = [];
  let row = 0;
  for (const part of parts) {
    tokens.set(part.tokens!, row);
    positions.set(part.positions, row);
    for (const sequence of part.sequences) sequences.push({ ...sequence, row: sequence.row + row });
    for (const r of part.logit_rows) logit_rows.push(r + row);
    row += part.rows;
  }
  return { rows, tokens, positions, sequences, logit_rows: Uint32Array.from(logit_rows) };
}

/**
 * Lets the calls whose results were just given take them and ask for their next step, so that they share it. They do so
 * within a few promise turns; a timer would cost a millisecond a token.
 */
async function nextTurn(): Promise<void> {
  for (let i = 0; i < 16; i++) await undefined;
}
