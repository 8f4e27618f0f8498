// What functions of the caller's give back. Some may take their time and return promises: the call that they belong to
// waits for these before it ends, and fails with the first that does. Others have to answer at once.
import { InputError } from "./errors.ts";

/** What is there at once, or later. */
export type Awaitable<T> = T | PromiseLike<T>;

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

/** Functions whose answers come later: they stand for others that are somewhere else, and give promises. */
const later = new WeakSet<object>();

/** Marks a function: where it is asked, its promise is waited for. The type is that of the function that it stands for. */
export function laterAnswer<Given extends unknown[], T>(
  ask: (...given: Given) => PromiseLike<T>,
): (...given: Given) => T {
  later.add(ask);
  return ask as unknown as (...given: Given) => T;
}

/** Whether it was marked by {@link laterAnswer}. */
export const isLater = (asked: object): boolean => later.has(asked);

/** What may have to wait: it yields the promises of functions that were marked, and is given what they come to. */
export type Waiting<T> = Generator<PromiseLike<unknown>, T, unknown>;

/**
 * What a function has answered: at once, or where it was marked, later.
 * @throws as `atOnce`
 */
export function* answerOf<T>(asked: object, answer: T, what: string): Waiting<T> {
  return isPromise(answer) && isLater(asked) ? ((yield answer) as T) : atOnce(answer, what);
}

/** Comes to the end of what may not wait. @throws {@link InputError} where it has to */
export function withoutWaiting<T>(steps: Waiting<T>, what: string): T {
  const { done, value } = steps.next();
  if (done) return value;
  steps.return(undefined as T);
  return atOnce(value as T, what);
}

/** Who runs what may have to wait. */
export interface Waiter {
  /** Whether it is to go on once an answer is there. */
  wanted(): boolean;
  /** Is told when the waiting begins, and when it ends. */
  waits(waiting: boolean): void;
  failed(error: unknown): void;
}

/** Runs it: to its end, unless it has to wait. Then it goes on by itself with each answer, as long as that is wanted. */
export function proceed(steps: Waiting<void>, waiter: Waiter): void {
  advance(() => steps.next());

  function advance(step: () => IteratorResult<PromiseLike<unknown>, void>): void {
    try {
      const { done, value } = step();
      if (done) return;
      waiter.waits(true);
      const resume = (next: () => IteratorResult<PromiseLike<unknown>, void>) => {
        waiter.waits(false);
        advance(waiter.wanted() ? next : () => steps.return());
      };
      Promise.resolve(value).then(
        (answer) => resume(() => steps.next(answer)),
        (error) => resume(() => steps.throw(error)),
      );
    } catch (error) {
      waiter.failed(error);
    }
  }
}
