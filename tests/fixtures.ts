// Where the fixtures are: the full sets beside the project (../shared) where they exist, else the copies of the small
// ones in tests/fixtures. TRAMONTANE_FIXTURES=copy forces the copies. run.ts prints which was used.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's root: this file runs as dist/tests/fixtures.js. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const full = join(root, "..", "shared");
const copies = join(root, "tests", "fixtures");

export const fixturesFrom =
  existsSync(join(full, "fixtures")) && process.env.TRAMONTANE_FIXTURES !== "copy" ? "../shared" : "tests/fixtures";

/**
 * Path of a fixture file or folder, named as in ../shared: `fixtures/hf/base`, `tokenizers/mixtral/encode.json`. What is in
 * `small` is nowhere else, and tested with in any case.
 */
export function fixture(name: string): string {
  if (name.startsWith("small/")) return join(copies, name);
  return fixturesFrom === "../shared" ? join(full, name) : join(copies, name.replace(/^fixtures\//, ""));
}

/** Whether a fixture is there: the copies leave out the largest. */
export const hasFixture = (name: string): boolean => existsSync(fixture(name));

/** The blocks of a quantized format: one of the two sets has them, of IQ4_NL and IQ4_XS both. */
export const blocksOf = (format: string): string => {
  const [all, below4] = ["gguf", "gguf_iq"].map((set) => `fixtures/${set}/blocks/${format}.safetensors`);
  return fixture(hasFixture(below4) ? below4 : all);
};

export const json = (name: string): any => JSON.parse(readFileSync(fixture(name), "utf8"));

/** The demo model that ships with the project. */
export const demo = join(root, "models", "demo");

/** A float, int or byte array of a safetensors file, with its shape: a reader of the tests' own, independent of src. */
export interface Array_ {
  shape: number[];
  data: Float32Array | Int32Array | Uint8Array | BigInt64Array;
}

/** Every tensor of a safetensors file, and the metadata. */
export function safetensors(path: string): { tensors: Record<string, Array_>; metadata: Record<string, string> } {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors: Record<string, Array_> = {};
  for (const [name, entry] of Object.entries<any>(entries)) {
    const copy = bytes.buffer.slice(
      bytes.byteOffset + 8 + length + entry.data_offsets[0],
      bytes.byteOffset + 8 + length + entry.data_offsets[1],
    ) as ArrayBuffer;
    const data =
      entry.dtype === "F32"
        ? new Float32Array(copy)
        : entry.dtype === "I32"
          ? new Int32Array(copy)
          : entry.dtype === "I64"
            ? new BigInt64Array(copy)
            : new Uint8Array(copy);
    tensors[name] = { shape: entry.shape, data };
  }
  return { tensors, metadata };
}
