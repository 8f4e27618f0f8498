// What page and engine worker say to each other. Messages are taken in the order in which they were sent.
import type { CacheRow } from "../model/cache_rules.ts";

/** A connection's end: a Worker, a worker's own scope, a MessagePort. */
export interface Channel {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

/** From the page. */
export type Request =
  /** Calls a method of an object, or of the library (0). With `call` 0 nobody waits for the result. */
  | {
      readonly type: "call";
      readonly call: number;
      readonly target: number;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  /** What a function of the page's has answered. */
  | { readonly type: "answer"; readonly answer: number; readonly value?: unknown; readonly error?: unknown }
  | { readonly type: "abort"; readonly signal: number }
  /** What an object of the page's says of itself that the engine looks at: whether it was interrupted. */
  | { readonly type: "state"; readonly id: number; readonly value: unknown }
  /** The page has forgotten objects. */
  | { readonly type: "forget"; readonly ids: readonly number[] };

/** From the engine. */
export type Reply =
  | {
      readonly type: "result";
      readonly call: number;
      readonly value?: unknown;
      readonly error?: unknown;
      /** What is new about objects that the call had to do with. */
      readonly states: readonly (readonly [id: number, state: unknown])[];
    }
  /** Calls a function of the page's, which answers. */
  | { readonly type: "callback"; readonly id: number; readonly answer: number; readonly args: readonly unknown[] }
  /** What is new about an object, apart from any call. */
  | { readonly type: "fault"; readonly id: number; readonly error: unknown };

/** What the page knows of a cache without asking. */
export interface CacheState {
  readonly columns: number;
  readonly rows: readonly CacheRow[];
  readonly incomplete: boolean;
}
