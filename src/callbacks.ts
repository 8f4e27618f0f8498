// What functions of the caller's give back. Some may take their time and return promises: the call that they belong to
// waits for these before it ends, and fails with the first that does. Others have to answer at once.
import { InputError } from "./errors.ts";

/** Whether it is a promise, of whatever kind. */
export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  (typeof value === "object" || typeof value === "function") &&
  typeof (value as PromiseLike<unknown>)?.then === "function";

/** The promises that the callbacks of one call have returned. */
export class CallerPromises {
  private readonly pending = new Set<Promise<void>>();
  private readonly failed: (error: unknown) => void;

  /** @param failed - is told when one of them rejects */
  constructor(failed: (error: unknown) => void = () => {}) {
    this.failed = failed;
  }

  /** @param returned - what a callback has returned, a promise or not */
  add(returned: unknown): void {
    if (!isPromise(returned)) return;
    const promise = Promise.resolve(returned).then(() => void this.pending.delete(promise));
    promise.catch(this.failed); // and stays among those that are waited for
    this.pending.add(promise);
  }

  /** Waits for all of them, and for those that come meanwhile. @throws what the first that rejects was rejected with */
  async settled(): Promise<void> {
    while (this.pending.size > 0) await Promise.all(this.pending);
  }
}

/**
 * What a function that has to answer at once has answered.
 * @throws {@link InputError} where it is a promise, whose own failure is then nobody's to handle
 */
export function atOnce<T>(answer: T, what: string): T {
  if (!isPromise(answer)) return answer;
  Promise.resolve(answer).catch(() => {});
  throw new InputError(`${what}: expected a function that answers at once, found one that returns a promise`);
}
