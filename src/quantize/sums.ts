// What an importance matrix is made of: for each weight, sums of squares of its inputs and how many rows were added, by
// expert. Written in both forms that llama.cpp reads: GGUF, and the older one of plain lists.
// Source: fixtures/quantize's README.
import { type GGUFPair, type GGUFTensor, writeGGUF } from "../checkpoint/gguf_writer.ts";
import type { ByteWriter } from "../platform/platform.ts";

/** Of one weight. */
export interface InputSums {
  /** GGUF's name. */
  readonly name: string;
  /** (experts, columns) */
  readonly sums: Float64Array;
  /** (experts) rows that were added. */
  readonly counts: Float64Array;
}

export interface ImatrixSums {
  readonly entries: readonly InputSums[];
  /** What the text is called. */
  readonly dataset: string;
  readonly chunk_count: number;
  /** Tokens of a chunk. */
  readonly chunk_size: number;
}

/** The two forms, as llama-imatrix names them. */
export type ImatrixForm = "gguf" | "dat";

export const imatrixWriters: { readonly [F in ImatrixForm]: typeof writeTensors } = {
  gguf: writeTensors,
  dat: writeLists,
};

const byName = (entries: readonly InputSums[]): InputSums[] => entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));

/** @returns bytes of the file */
async function writeTensors(
  file: ByteWriter,
  { entries, dataset, chunk_count, chunk_size }: ImatrixSums,
): Promise<number> {
  const metadata: GGUFPair[] = [
    ["general.type", "string", "imatrix"],
    ["imatrix.datasets", "string[]", [dataset]],
    ["imatrix.chunk_count", "u32", chunk_count],
    ["imatrix.chunk_size", "u32", chunk_size],
  ];
  const tensor = (name: string, values: Float64Array, experts: number): GGUFTensor => ({
    name,
    format: "F32",
    // Of one expert there is no dimension.
    shape: experts > 1 ? [experts, values.length / experts] : [values.length],
    data: () => [new Uint8Array(Float32Array.from(values).buffer)],
  });
  const tensors = byName(entries).flatMap(({ name, sums, counts }) => [
    tensor(`${name}.in_sum2`, sums, counts.length),
    tensor(`${name}.counts`, counts, counts.length),
  ]);
  return writeGGUF(file, metadata, tensors);
}

/** Values are mean squares times "calls", by which readers divide them: chunks that would have had so many rows. */
async function writeLists(
  file: ByteWriter,
  { entries, dataset, chunk_count, chunk_size }: ImatrixSums,
): Promise<number> {
  const encoder = new TextEncoder();
  let length = 0;
  const write = async (bytes: Uint8Array) => {
    length += bytes.length;
    await file.write(bytes);
  };
  const integers = (...values: number[]) => write(new Uint8Array(Int32Array.from(values).buffer));
  const text = async (value: string) => {
    const bytes = encoder.encode(value);
    await integers(bytes.length);
    await write(bytes);
  };
  await integers(entries.length);
  for (const { name, sums, counts } of byName(entries)) {
    const calls = Math.ceil(Math.max(...counts) / chunk_size);
    const columns = sums.length / counts.length;
    const values = Float32Array.from(sums, (sum, i) => {
      const count = counts[Math.floor(i / columns)];
      return (count > 0 ? sum / count : 1) * calls;
    });
    await text(name);
    await integers(calls, values.length);
    await write(new Uint8Array(values.buffer));
  }
  await integers(chunk_count);
  await text(dataset);
  return length;
}
