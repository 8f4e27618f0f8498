// Abort signals as calls use them. Many calls may share one: each hears of the abort through one listener on the signal,
// none leaves anything on it behind, and what a call has done so far goes on an error of its own.
import { show } from "./config/show.ts";
import { AbortError, InputError } from "./errors.ts";

/** What runs when a signal is aborted: one listener a signal, since runtimes warn of more than ten. */
const callbacks = new WeakMap<AbortSignal, { readonly all: Set<() => void>; readonly listener: () => void }>();

/** @throws {@link InputError} when it is neither absent nor an AbortSignal */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | null | undefined {
  if (signal === undefined || signal === null) return;
  const { aborted, addEventListener } = signal as AbortSignal;
  if (typeof signal !== "object" || typeof aborted !== "boolean" || typeof addEventListener !== "function")
    throw new InputError(
      `signal: expected an AbortSignal, found ${show(signal)}${"signal" in Object(signal) ? ": pass its signal" : ""}`,
    );
}

/**
 * Calls back when a signal is aborted that is not aborted yet.
 * @returns forgets the callback; nothing stays on the signal once all are forgotten
 */
export function onAbort(signal: AbortSignal | null | undefined, callback: () => void): () => void {
  if (!signal || signal.aborted) return () => {};
  let entry = callbacks.get(signal);
  if (!entry) {
    const all = new Set<() => void>();
    const listener = () => {
      callbacks.delete(signal);
      for (const each of all) each();
    };
    entry = { all, listener };
    callbacks.set(signal, entry);
    signal.addEventListener("abort", listener, { once: true });
  }
  const { all, listener } = entry;
  const own = () => callback(); // a callback of its own, should two calls pass the same function
  all.add(own);
  return () => {
    all.delete(own);
    if (all.size > 0 || callbacks.get(signal)?.all !== all) return;
    callbacks.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}

/** Waits a time, in milliseconds. @throws the signal's reason when aborted before it is over */
export async function pause(ms: number, signal: AbortSignal | null | undefined): Promise<void> {
  signal?.throwIfAborted();
  let forget = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve, reject) => {
    timer = setTimeout(resolve, ms);
    forget = onAbort(signal, () => reject(signal!.reason));
  }).finally(() => {
    clearTimeout(timer);
    forget();
  });
}

/**
 * Runs a job for each thing, `most` at once, begun in their order; after a failure or an abort no more begin, and those under
 * way are stopped.
 * @throws what the first job that fails does; the signal's reason when aborted
 */
export async function eachOf<T>(
  things: readonly T[],
  most: number,
  signal: AbortSignal | undefined,
  job: (thing: T, i: number, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted();
  const stop = new AbortController();
  const forget = onAbort(signal, () => stop.abort(signal!.reason));
  let next = 0;
  const worker = async () => {
    while (next < things.length) {
      stop.signal.throwIfAborted();
      const i = next++;
      await job(things[i], i, stop.signal).catch((error) => {
        stop.abort(error);
        throw error;
      });
    }
  };
  try {
    await Promise.allSettled(Array.from({ length: most }, worker));
    stop.signal.throwIfAborted();
  } finally {
    forget();
  }
}

/**
 * The error of a call that was aborted: a copy of the signal's reason, which other calls may share, with what this call had
 * done. Its `cause` is the reason itself. What is no Error, a string say, becomes an AbortError.
 * @param partial - what was generated so far
 */
export function abortedWith(reason: unknown, partial: unknown): Error {
  const error = copyOf(reason);
  for (const [key, value] of Object.entries({ cause: reason, partial }))
    Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: key === "partial" });
  return error;
}

function copyOf(reason: unknown): Error {
  if (typeof DOMException !== "undefined" && reason instanceof DOMException)
    return new DOMException(reason.message, reason.name);
  if (!(reason instanceof Error)) return new AbortError(`the call was aborted: ${show(reason)}`);
  const error = new Error(reason.message);
  Object.setPrototypeOf(error, Object.getPrototypeOf(reason));
  for (const key of Reflect.ownKeys(reason)) {
    const { enumerable } = Object.getOwnPropertyDescriptor(reason, key)!;
    // Not its descriptor: a frozen reason's would freeze the copy.
    const value = Reflect.get(reason, key);
    Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable });
  }
  return error;
}
