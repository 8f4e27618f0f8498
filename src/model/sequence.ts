// Feeds tokens of one sequence to the engine, chunk by chunk, extending its ring.

import type { CachedSequence } from "./cache_store.ts";
import type { Engine } from "./engine.ts";
import type { InputRow } from "./inputs.ts";

/** What to do with the results of one chunk, while they stand in the engine's memory. */
export interface ChunkResults {
  /** Index of the chunk's first token among those fed. */
  readonly start: number;
  readonly tokens: number;
  /** Address of the logits of the chunk's wanted tokens, (wanted, logits_stride). */
  readonly logits: number;
  /** Indices, among all tokens fed, of the wanted ones. */
  readonly wanted: readonly number[];
  readonly hidden_states?: Float32Array; // (layers + 1, tokens, hidden)
  readonly router_logits?: Float32Array; // (layers, tokens, experts)
}

export interface FeedOptions {
  /** Whether the logits of token i are wanted. */
  wants(i: number): boolean;
  hidden_states?: boolean;
  router_logits?: boolean;
  /** Tokens of a chunk at most; the engine's limit where absent. */
  chunk?: number;
  signal?: AbortSignal;
}

/**
 * Runs `row` through the model after what the sequence holds; `read` is called once for each chunk, in order.
 * @throws the signal's reason when aborted between chunks: the sequence then holds the chunks that were done
 */
export async function feed(
  engine: Engine,
  sequence: CachedSequence,
  row: InputRow,
  options: FeedOptions,
  read: (results: ChunkResults) => void,
): Promise<void> {
  const { shape, state } = engine;
  const count = row.columns.length;
  const limit = Math.min(options.chunk ?? state.rows, state.rows);
  for (let start = 0; start < count; ) {
    options.signal?.throwIfAborted();
    const wanted: number[] = [];
    let end = start;
    while (end < count && end - start < limit && wanted.length < state.logit_rows) {
      if (options.wants(end)) wanted.push(end);
      end++;
    }
    const tokens = end - start;
    const hidden_states = options.hidden_states ? shared((shape.layers + 1) * tokens * shape.hidden) : undefined;
    const router_logits = options.router_logits ? shared(shape.layers * tokens * shape.experts) : undefined;
    const from = start;
    await engine.submit(
      {
        rows: tokens,
        tokens: row.tokens?.subarray(start, end),
        embeds: row.embeds?.subarray(start * shape.hidden, end * shape.hidden),
        positions: row.positions.subarray(start, end),
        sequences: [{ row: 0, rows: tokens, first: sequence.length, ring: sequence.ring }],
        logit_rows: Uint32Array.from(wanted, (i) => i - from),
        hidden_states,
        router_logits,
      },
      (logits) => {
        sequence.length += tokens;
        read({ start: from, tokens, logits, wanted, hidden_states, router_logits });
      },
      options.signal,
    );
    start = end;
  }
}

/**
 * Waits until all have settled, then throws the first failure there was: while one of them is in a step, the memory that
 * it writes to must stay.
 */
export async function settled(parts: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(parts);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Floats that all threads write to. */
const shared = (length: number): Float32Array => new Float32Array(new SharedArrayBuffer(length * 4));
