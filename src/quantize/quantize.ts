// quantize: a checkpoint of any size becomes a GGUF of another type, tensor by tensor, in threads and in bounded memory.
import { textArgument } from "../arguments.ts";
import { CallerPromises } from "../callbacks.ts";
import { type GGUFPair, writeGGUF } from "../checkpoint/gguf_writer.ts";
import { type Imatrix, readImatrix } from "../checkpoint/imatrix.ts";
import { show } from "../config/show.ts";
import { Converters } from "../convert/converters.ts";
import { InputError, WriteError } from "../errors.ts";
import type { ModelSource } from "../hub/find.ts";
import { currentPlatform } from "../platform/index.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { rowBytes } from "../quant/formats.ts";
import { teamSize } from "../threads/team.ts";
import { BlockMemory, blocksOf, isCopied, slicesOf } from "./blocks.ts";
import { type CheckedOptions, checkQuantizeOptions, type QuantizeOptions } from "./options.ts";
import { type PlannedTensor, planTensors, type QuantizePlan } from "./plan.ts";
import { openSource, type QuantizeSource } from "./source.ts";

/** What `quantize` has done. */
export interface QuantizeResult {
  /** The files that were written, or would be: one, or those of a split set. */
  files: string[];
  /** Their bytes. */
  bytes: number;
  /** Bytes of the source's tensors. */
  source_bytes: number;
  /** Bits a weight, of all tensors. */
  bits_per_weight: number;
  tensors: { name: string; shape: number[]; from: string; to: string }[];
  /** Bytes that a run which was cut had written, and this one has gone on from. */
  kept_bytes: number;
  /** Fallbacks, names that matched nothing, and beginnings of other files that were not gone on with. */
  warnings: string[];
}

/**
 * Quantizes a checkpoint into a GGUF file, which llama.cpp and this engine read.
 * @param source - a Hugging Face folder of any layout, or a GGUF, in full precision, by its path or URL, or `owner/name` of a
 *   model on a hub
 * @param out - the .gguf file, or with `keep_split` the set whose parts are OUT-00001-of-0000N.gguf. It stands there when it
 *   is whole: until then `OUT.partial` grows beside it, which the same call goes on with after a cut
 * @throws {@link InputError} when a tensor cannot become what was asked for, or `out` is there already; CheckpointError when
 *   the source is damaged; {@link WriteError} when `out` cannot be written; the signal's reason when aborted
 * @example
 * await quantize("models/demo", "build/examples/demo.Q4_K_M.gguf", { type: "Q4_K_M", overwrite: true });
 */
export async function quantize(source: ModelSource, out: string, options: QuantizeOptions): Promise<QuantizeResult> {
  const checked = checkQuantizeOptions(options);
  textArgument(out, "out");
  const platform = await currentPlatform();
  const imatrix = checked.imatrix === undefined ? undefined : await readImatrix(platform, checked.imatrix);
  const opened = await openSource(platform, source, checked.signal);
  try {
    return await run(platform, opened, out, checked, imatrix);
  } finally {
    await opened.close();
  }
}

/** One file that is written. */
interface Output {
  readonly path: string;
  readonly metadata: readonly GGUFPair[];
  readonly tensors: readonly PlannedTensor[];
}

async function run(
  platform: Platform,
  source: QuantizeSource,
  out: string,
  options: CheckedOptions,
  imatrix: Imatrix | undefined,
): Promise<QuantizeResult> {
  const plan = planTensors(source, options, imatrix);
  const { tensors, warnings } = plan;
  const metadata = metadataOf(source, options, imatrix, plan);
  const outputs = outputsOf(source, out, metadata, tensors, options);
  const result: QuantizeResult = {
    files: outputs.map(({ path }) => path),
    bytes: sum(tensors.map(bytesOf)),
    source_bytes: sum(tensors.map(sourceBytes)),
    bits_per_weight: (8 * sum(tensors.map(bytesOf))) / sum(tensors.map(valuesOf)),
    tensors: tensors.map(({ name, shape, from, to }) => ({ name, shape: [...shape], from: from.name, to: to.name })),
    kept_bytes: 0,
    warnings: [...warnings],
  };
  if (options.dry_run) return result;
  for (const { path } of outputs) await checkPlace(platform, source, path, options);
  await checkRoom(platform, outputs, result.bytes);
  const slices = tensors.filter((tensor) => !isCopied(tensor)).flatMap(slicesOf);
  const threads = teamSize(platform, options.threads);
  const converters = slices.length ? await Converters.start(platform, threads, slices, options.signal) : undefined;
  try {
    await writeAll(platform, source, outputs, options, converters, imatrix, result);
    return result;
  } finally {
    await converters?.dispose();
  }
}

async function writeAll(
  platform: Platform,
  source: QuantizeSource,
  outputs: readonly Output[],
  options: CheckedOptions,
  converters: Converters | undefined,
  imatrix: Imatrix | undefined,
  result: QuantizeResult,
): Promise<void> {
  const { signal, progress_callback } = options;
  const told = new CallerPromises();
  const total = sum(outputs.flatMap(({ tensors }) => tensors.map(sourceBytes)));
  let loaded = 0;
  const tell = (name: string, status: "progress" | "done" = "progress") =>
    told.add(progress_callback?.({ status, name, loaded, total, progress: total ? (100 * loaded) / total : 100 }));
  const memory = new BlockMemory();
  result.bytes = 0;
  for (const output of outputs) {
    const sink = await platform.resume(output.path, await identityOf(source, output, imatrix));
    result.kept_bytes += sink.kept;
    if (sink.replaced)
      result.warnings.push(`${output.path}.partial: begun of another source, type or option: it was begun anew`);
    try {
      let done = 0;
      const tensors = output.tensors.map((tensor) => ({
        name: tensor.name,
        format: tensor.to.name,
        shape: tensor.shape,
        async *data() {
          // Those before it that were there already are done, too.
          const at = output.tensors.indexOf(tensor);
          loaded += sum(output.tensors.slice(done, at).map(sourceBytes));
          done = at + 1;
          const before = loaded;
          let made = 0;
          for await (const piece of blocksOf(tensor, converters, memory, signal)) {
            signal?.throwIfAborted();
            yield piece;
            made += piece.length;
            loaded = before + (made / bytesOf(tensor)) * sourceBytes(tensor);
            tell(tensor.name);
          }
          loaded = before + sourceBytes(tensor);
        },
      }));
      result.bytes += await writeGGUF(sink, output.metadata, tensors, sink);
      loaded += sum(output.tensors.slice(done).map(sourceBytes));
      await checkUnchanged(source);
      await sink.close();
    } catch (error) {
      await sink.abort();
      throw error;
    }
  }
  tell(outputs[outputs.length - 1].path, "done");
  await told.settled();
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const valuesOf = ({ shape }: PlannedTensor): number => shape.reduce((a, b) => a * b, 1);
const sourceBytes = ({ matrices }: PlannedTensor): number => sum(matrices.map(({ bytes }) => bytes));
const bytesOf = ({ shape, to }: PlannedTensor): number =>
  shape.slice(0, -1).reduce((a, b) => a * b, 1) * rowBytes(to, shape[shape.length - 1]);

/** The source's metadata with what quantizing adds, last. */
function metadataOf(
  source: QuantizeSource,
  { override_kv = [], prune_layers = [] }: CheckedOptions,
  imatrix: Imatrix | undefined,
  { entries, file_type }: QuantizePlan,
): GGUFPair[] {
  const pairs = new Map(source.metadata.map((pair) => [pair[0], pair]));
  const set = (...pair: GGUFPair) => void pairs.set(pair[0], pair);
  const add = (...pair: GGUFPair) => {
    pairs.delete(pair[0]);
    set(...pair);
  };
  if (file_type !== undefined) {
    add("general.quantization_version", "u32", 2);
    add("general.file_type", "u32", file_type);
  }
  if (imatrix) {
    add("quantize.imatrix.file", "string", imatrix.file);
    if (imatrix.datasets.length) add("quantize.imatrix.dataset", "string", imatrix.datasets[0]);
    add("quantize.imatrix.entries_count", "u32", entries);
    if (imatrix.chunk_count !== undefined) add("quantize.imatrix.chunks_count", "u32", imatrix.chunk_count);
  }
  if (prune_layers.length) set("llama.block_count", "u32", source.shape.layers - new Set(prune_layers).size);
  for (const pair of override_kv) set(...pair);
  return [...pairs.values()];
}

function outputsOf(
  source: QuantizeSource,
  out: string,
  metadata: readonly GGUFPair[],
  tensors: readonly PlannedTensor[],
  { keep_split }: CheckedOptions,
): Output[] {
  const count = source.files.length;
  if (!keep_split || source.tensors.every(({ part }) => part === 0)) return [{ path: out, metadata, tensors }];
  const number = (n: number) => String(n).padStart(5, "0");
  return Array.from({ length: count }, (_, no) => ({
    path: `${out.replace(/\.gguf$/, "")}-${number(no + 1)}-of-${number(count)}.gguf`,
    metadata: [
      ...(no === 0 ? metadata : []),
      ["split.no", "u16", no],
      ["split.count", "u16", count],
      ["split.tensors.count", "i32", tensors.length],
    ],
    tensors: tensors.filter(({ part }) => part === no),
  }));
}

/** @throws {@link InputError} when there is something already, or it is the source itself */
async function checkPlace(platform: Platform, source: QuantizeSource, path: string, { overwrite }: CheckedOptions) {
  const there = await platform.stat(path);
  if (!there) return;
  if (there.kind === "folder") throw new InputError(`${path}: expected the name of a file, found a folder`);
  const same = await platform.open(path);
  await same.close();
  for (const file of source.files)
    if (fileIdentity(file) === fileIdentity(same))
      throw new InputError(`${path}: expected another file than the source, found the same`);
  if (!overwrite) throw new InputError(`${path}: it is there already: give another name, or overwrite: true`);
}

/** By what a file is known under whatever path; a page's files have one path alone. */
const fileIdentity = ({ path, handle }: SourceFile): string =>
  "blob" in handle ? path : JSON.stringify(handle).replace(JSON.stringify(path), "");

/** @throws {@link WriteError} when the disk has not enough room for what is not there yet */
async function checkRoom(platform: Platform, outputs: readonly Output[], bytes: number): Promise<void> {
  let needed = bytes;
  for (const { path } of outputs) needed -= (await platform.stat(`${path}.partial`))?.size ?? 0;
  const [{ path }] = outputs;
  const free = await platform.free_space(path);
  if (free !== undefined && free < needed)
    throw new WriteError(`${path}: needs ${needed} bytes on its disk, ${free} are free`);
}

/** @throws InputError when a source file was changed while it was read */
async function checkUnchanged({ files }: QuantizeSource): Promise<void> {
  for (const file of files) {
    const state = (await file.state?.()) ?? "same";
    if (state !== "same") throw new InputError(`${file.path}: the file was ${state} while it was being quantized`);
  }
}

/** What a file that was begun must have been meant to be to be gone on with: the same tensors of the same source. */
async function identityOf(source: QuantizeSource, output: Output, imatrix: Imatrix | undefined): Promise<string> {
  const values = [...(imatrix?.entries ?? [])].map(([name, { values }]) => [name, sum([...values])]);
  const text = JSON.stringify([
    "tramontane 1",
    source.files.map(({ handle }) => handle),
    output.tensors.map(({ name, shape, from, to }) => [name, shape, from.name, to.name]),
    output.metadata.map(([key, type, value]) => [key, type, typeof value === "bigint" ? show(value) : value]),
    values,
  ]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
