// convert: a checkpoint of any layout becomes a Hugging Face folder, with fewer heads of keys and values where that is asked
// for. Tensor by tensor, so that a model of any size takes little memory.
import { checkSignal } from "../abort.ts";
import { functionArgument, givenOptions, textArgument } from "../arguments.ts";
import { CallerPromises } from "../callbacks.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type SafetensorsTensor, tensorBytes, writeShards } from "../checkpoint/safetensors_writer.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { saveFolder } from "../platform/files.ts";
import { currentPlatform } from "../platform/index.ts";
import { folderConfig, writeFiles } from "./files.ts";
import { type FolderWeights, folderTensors } from "./tensors.ts";

/** What `progress_callback` is told. */
export interface ConvertProgress {
  status: "progress" | "done";
  /** The tensor that is being written. */
  name: string;
  /** Bytes of tensors that were written, and of all. */
  loaded: number;
  total: number;
  /** A percentage. */
  progress: number;
}

/** The options of `convert`. */
export interface ConvertOptions {
  /**
   * Heads of keys and values: each becomes the mean of those of its group. A divisor of what the model has.
   * @default as many as the model has
   */
  num_key_value_heads?: number | undefined;
  /** Bytes of a file's tensors at most, or as Hugging Face writes it: "200MB", "2GiB". @default "5GB" */
  max_shard_size?: number | string | undefined;
  /** Told of each piece. Where it returns promises, the call ends when they are settled. */
  progress_callback?: ((progress: ConvertProgress) => void) | undefined;
  /** Aborts it: the call rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** What `convert` has done. */
export interface Converted {
  /** What was changed, each in a sentence. */
  changes: string[];
  /** The files of the new folder. */
  files: string[];
  /** Bytes of all tensors. */
  bytes: number;
}

/**
 * Makes a Hugging Face folder of a checkpoint: of Mistral's own layout, of a GGUF of plain floats, of a folder whose experts
 * stand in one tensor a layer, or of one with more heads of keys and values than are wanted. Values keep their type, F32, F16
 * or BF16; a mean is computed in double precision and rounded to it, ties to even.
 * @param source - a folder or a .gguf file, by its path or URL, or `owner/name` of a model on a hub
 * @param out - the new folder, where nothing must be but an empty one. It comes into being at the end, whole.
 * @throws InputError for what was passed, or where there is nothing to do; CheckpointError or ConfigError when the source
 *   cannot be read or is quantized; WriteError; the signal's reason when aborted
 * @example
 * const options = { num_key_value_heads: 2, max_shard_size: "2GB" };
 * const { changes } = await convert("tests/fixtures/small/pooled", "build/examples/grouped", options);
 * Source: grouped-query attention, section 2.1, and transformers' documentation of `num_key_value_heads`.
 */
export async function convert(source: ModelSource, out: string, options: ConvertOptions = {}): Promise<Converted> {
  textArgument(out, "out");
  const { num_key_value_heads, max_shard_size, progress_callback, signal } = readOptions(options);
  const platform = await currentPlatform();
  const repository = await findRepository(platform, source, "model", { signal });
  const checkpoint = await openCheckpoint(repository);
  const told = new CallerPromises();
  try {
    const kv_heads = checkHeads(num_key_value_heads, checkpoint);
    const wanted = folderTensors(checkpoint, kv_heads);
    const changes = changesOf(checkpoint, wanted, kv_heads, max_shard_size !== undefined);
    const total = wanted.tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
    checkFiles(total, max_shard_size);
    let loaded = 0;
    const tell = (status: ConvertProgress["status"], name: string) =>
      told.add(progress_callback?.({ status, name, loaded, total, progress: (100 * loaded) / total }));
    const tensors = wanted.tensors.map(
      (tensor): SafetensorsTensor => ({
        ...tensor,
        async *data() {
          for await (const piece of tensor.data()) {
            signal?.throwIfAborted();
            yield piece;
            loaded += piece.length;
            tell("progress", tensor.name);
          }
        },
      }),
    );
    const made = await saveFolder(platform, out, async (folder) => {
      const config = folderConfig(checkpoint, wanted.head, tensors, kv_heads);
      const beside = await writeFiles(platform, folder, repository, checkpoint, config, signal);
      const shards = await writeShards(platform, folder, tensors, max_shard_size);
      tell("done", "");
      await told.settled();
      signal?.throwIfAborted();
      return [...beside, ...shards];
    });
    const files = made.sort();
    const vocabulary = checkpoint.metadata.get("tokenizer.ggml.model");
    if (vocabulary !== undefined && !files.some((name) => /^tokenizer\.(json|model)$/.test(name)))
      changes.push(`the vocabulary, of kind ${show(vocabulary)}, was left out: the folder has no tokenizer`);
    return { changes, files, bytes: total };
  } finally {
    await checkpoint.close();
  }
}

const known = namesOf<ConvertOptions>({
  num_key_value_heads: true,
  max_shard_size: true,
  progress_callback: true,
  signal: true,
});

function readOptions(given: ConvertOptions): Omit<ConvertOptions, "max_shard_size"> & { max_shard_size?: number } {
  const options = givenOptions<ConvertOptions>(given, "convert", known);
  const { max_shard_size, progress_callback, signal } = options;
  functionArgument(progress_callback, "progress_callback");
  checkSignal(signal);
  signal?.throwIfAborted();
  return { ...options, max_shard_size: max_shard_size === undefined ? undefined : readSize(max_shard_size) };
}

const units: Readonly<Record<string, number>> = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** Bytes, as a number or with a unit. @throws {@link InputError} */
function readSize(size: number | string): number {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*$/i.exec(String(size)) ?? [];
  const bytes = typeof size === "number" ? size : Math.floor(Number(digits) * units[unit?.toUpperCase()]);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new InputError(`max_shard_size: expected bytes, or a text such as "5GB" or "200MiB", found ${show(size)}`);
}

/** Files that a folder may have: readers open them all. */
const MOST_FILES = 1000;

/** @throws {@link InputError} when there would be too many; twice as many as bytes ask for may be needed */
function checkFiles(total: number, most_bytes = Infinity): void {
  const least = Math.ceil((2 * total) / MOST_FILES);
  if (most_bytes < least)
    throw new InputError(
      `max_shard_size: expected at least ${least} bytes, so that ${total} bytes are in no more than ${MOST_FILES} files, found ${most_bytes}`,
    );
}

/** The heads that are wanted; those that there are where nothing is said. @throws {@link InputError} */
function checkHeads(wanted: number | undefined, { config }: Checkpoint): number {
  const { num_key_value_heads: heads } = config;
  if (wanted === undefined) return heads;
  if (Number.isInteger(wanted) && wanted > 0 && heads % wanted === 0) return wanted;
  throw new InputError(
    `num_key_value_heads: expected a divisor of ${heads}, which the model has, found ${show(wanted)}`,
  );
}

/** In words. @throws {@link InputError} when nothing would be changed */
function changesOf(
  { layout, path, config, tensors }: Checkpoint,
  { weights }: FolderWeights,
  kv_heads: number,
  cut: boolean,
): string[] {
  const changes: string[] = [];
  if (layout === "mistral")
    changes.push("Mistral's layout became Hugging Face's: names, config, order of rows in q and k");
  if (layout === "gguf") changes.push("GGUF became Hugging Face's layout: names, config, order of rows in q and k");
  const [{ router, experts }] = weights.layers;
  const first = experts[0].w2.name;
  if (router && !tensors.has(first)) changes.push("tensors of all experts of a layer became one for each expert");
  else if (layout === "huggingface" && first.includes(".mlp.experts."))
    changes.push("names of experts became those that checkpoints have");
  const { num_key_value_heads: heads } = config;
  if (kv_heads < heads)
    changes.push(`${heads} heads of keys and values became ${kv_heads}, each the mean of ${heads / kv_heads}`);
  if (changes.length === 0 && cut) changes.push("tensors were put in files of another size");
  if (changes.length === 0)
    throw new InputError(
      `${path}: expected something to convert; its layout is Hugging Face's, each expert has tensors of its own, and it keeps its ${heads} heads of keys and values unless num_key_value_heads says fewer`,
    );
  return changes;
}
