// Mutants of what quantize is given beside a checkpoint: importance matrices in both forms, and patterns of names.
import { importanceOf, readImatrix } from "../../src/checkpoint/imatrix.ts";
import { TramontaneError } from "../../src/errors.ts";
import { memoryFile } from "../../src/platform/files.ts";
import { NamePattern } from "../../src/quantize/name_pattern.ts";
import { type ImatrixForm, imatrixWriters } from "../../src/quantize/sums.ts";
import { mutateBytes } from "./mutate.ts";
import type { Target } from "./targets.ts";

const names = ["blk.0.attn_q.weight", "blk.0.ffn_down_exps.weight"];

async function goodMatrix(form: ImatrixForm): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const entry = (name: string, experts: number) => ({
    name,
    sums: Float64Array.from({ length: 8 * experts }, (_, i) => i + 0.5),
    counts: Float64Array.from({ length: experts }, (_, i) => 3 * i),
  });
  const file = { write: async (bytes: Uint8Array) => void parts.push(bytes.slice()) };
  const entries = [entry(names[0], 1), entry(names[1], 3)];
  await imatrixWriters[form](file, { entries, dataset: "text.txt", chunk_count: 2, chunk_size: 4 });
  return new Uint8Array(Buffer.concat(parts)); // whose slices are copies, as mutations need them
}

/** What is read must be what encoders may be given. */
async function open(bytes: Uint8Array): Promise<string | null> {
  try {
    const imatrix = await readImatrix({ open: async (path) => memoryFile(path, bytes) }, "matrix");
    for (const [name, { values }] of imatrix.entries) {
      if (values.some((value) => !(value >= 0 && value < Infinity))) throw new Error(`${name}: no mean squares`);
      importanceOf(imatrix, name, name === names[1] ? 3 : 1, 8);
    }
    return null;
  } catch (error) {
    if (error instanceof TramontaneError) return error.message;
    throw error;
  }
}

function search(pattern: string): string | null {
  try {
    const compiled = new NamePattern(pattern, "tensor_types");
    for (const name of [...names, "a".repeat(200)]) compiled.test(name);
    return null;
  } catch (error) {
    if (error instanceof TramontaneError) return error.message;
    throw error;
  }
}

const pattern = new TextEncoder().encode(
  "^blk\\.([0-9]|1[0-9]|31)\\.(attn_(?:q|k)|(ffn_\\w+)*){1,3}_exps?.+$|a*b+?[^.]{2,}",
);

const matrix = async (form: ImatrixForm, header: number): Promise<Target> => {
  const good = await goodMatrix(form);
  return {
    name: `importance matrix, ${form}`,
    mutant: (draw) => mutateBytes(good, header, draw),
    open: (mutant) => open(mutant as Uint8Array),
  };
};

export const quantizeTargets: readonly Target[] = [
  await matrix("gguf", 400),
  await matrix("dat", 140),
  {
    name: "pattern of names",
    mutant: (draw) => new TextDecoder().decode(mutateBytes(pattern, pattern.length, draw)),
    open: async (mutant) => search(mutant as string),
  },
];
