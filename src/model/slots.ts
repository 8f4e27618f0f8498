// A bounded number of sequences that are generated at once: those beyond it wait their turn, first come, first served.
import { InputError } from "../errors.ts";

interface Waiting {
  readonly count: number;
  readonly take: () => void;
}

export class Slots {
  readonly limit: number;
  private free: number;
  private readonly queue: Waiting[] = [];

  constructor(limit: number) {
    this.limit = limit;
    this.free = limit;
  }

  /**
   * Waits for `count` slots. Nobody overtakes: a call for many is not starved by calls for few.
   * @returns what gives them back, to be called once
   * @throws {@link InputError} when there are not that many at all, the signal's reason when it aborts the wait
   */
  async acquire(count: number, signal?: AbortSignal): Promise<() => void> {
    if (count > this.limit)
      throw new InputError(`${count} sequences at once were asked for, max_sequences allows ${this.limit}`);
    if (this.queue.length > 0 || count > this.free) await this.wait(count, signal);
    else this.free -= count;
    return () => {
      this.free += count;
      this.serve();
    };
  }

  private wait(count: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.queue.splice(this.queue.indexOf(waiting), 1);
        reject(signal!.reason);
        this.serve(); // those behind may fit where this one did not
      };
      const waiting: Waiting = {
        count,
        take: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.queue.push(waiting);
    });
  }

  private serve(): void {
    while (this.queue.length > 0 && this.queue[0].count <= this.free) {
      const { count, take } = this.queue.shift()!;
      this.free -= count;
      take();
    }
  }
}
