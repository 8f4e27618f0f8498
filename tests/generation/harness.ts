// logits.wasm on a memory of the tests' own, and the comparison that fixtures/logits asks for.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LogitsWorkspace, type WorkspaceSizes } from "../../src/generation/logits_module.ts";
import type { AnyProcessor } from "../../src/generation/processors.ts";
import { LogitsProcessorList } from "../../src/generation/processors.ts";
import { type LogitsExports, loadLogits } from "../../src/kernels/logits.ts";
import { type Array_, root } from "../fixtures.ts";

export const module = new WebAssembly.Module(readFileSync(join(root, "wasm", "logits.wasm")));
const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
export const exports: LogitsExports = loadLogits(module, memory);

/** Where the tests' scores are; what follows is the workspace. */
export const scoresAt = 1024;
const workspaceAt = 2 * 1024 * 1024;

/** A workspace on the tests' memory; one at a time. */
export function workspace(sizes: Partial<WorkspaceSizes> & { vocab_size: number }): LogitsWorkspace {
  return new LogitsWorkspace(exports, memory, workspaceAt, { rows: 4, ids: 100_000, ...sizes });
}

export function bytes(at: number, length: number): Uint8Array {
  return new Uint8Array(memory.buffer, at, length);
}

/** Rows of scores after processors have changed them, and a check that they wrote nowhere else. */
export function processed(
  processors: readonly AnyProcessor[],
  input_ids: readonly (readonly number[])[],
  scores: Array_,
): Float32Array {
  const [rows, vocab_size] = scores.shape;
  const w = workspace({ vocab_size, rows });
  const guard = bytes(scoresAt - 64, 64 + scores.data.byteLength + 64).fill(0xa5);
  w.view(scoresAt, rows).set(scores.data as Float32Array);
  const ids = input_ids.map((row) => Int32Array.from(row));
  new LogitsProcessorList(processors).process(w, ids, scoresAt);
  const out = w.view(scoresAt, rows).slice();
  if (![...guard.subarray(0, 64), ...guard.subarray(-64)].every((byte) => byte === 0xa5))
    throw new Error("bytes beside the scores were written");
  return out;
}

export interface Comparison {
  /** Largest relative difference of a kept value. */
  difference: number;
  /** What is wrong, or undefined. */
  wrong?: string;
}

/**
 * Compares a row as fixtures/logits/README.md says: kept and removed entries equal, kept values 2e-6 relative; where a
 * tie is cut only their number; where rounding decides one more or less.
 */
export function compareRow(
  found: Float32Array,
  expected: Float32Array,
  row: { tie?: boolean; sensitive?: boolean },
): Comparison {
  const count = (values: Float32Array) => values.reduce((sum, v) => sum + (v === -Infinity ? 0 : 1), 0);
  if (row.tie || row.sensitive) {
    const off = Math.abs(count(found) - count(expected));
    const wrong = off > (row.sensitive ? 1 : 0) ? `${count(found)} kept, expected ${count(expected)}` : undefined;
    return { difference: 0, wrong };
  }
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    const [f, e] = [found[i], expected[i]];
    if (Object.is(f, e) || (f === 0 && e === 0)) continue;
    const relative = Math.abs(f - e) / Math.abs(e);
    if (!(relative <= 2e-6)) return { difference, wrong: `[${i}] is ${f}, expected ${e}` };
    difference = Math.max(difference, relative);
  }
  return { difference };
}
