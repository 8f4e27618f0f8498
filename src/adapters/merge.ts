// A checkpoint with adapters in its weights, written as another one: a Hugging Face folder, or a GGUF where the base is one.
// Tensors stream through memory, some rows at a time.
import { checkSignal } from "../abort.ts";
import { functionArgument, givenOptions, textArgument } from "../arguments.ts";
import { copyBeside, filesBeside } from "../checkpoint/beside.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readGGUF } from "../checkpoint/gguf.ts";
import { type GGUFPair, writeGGUF } from "../checkpoint/gguf_writer.ts";
import { parseJSONObject } from "../checkpoint/json.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import type { Repository } from "../checkpoint/repository.ts";
import { tensorBytes, writeShards } from "../checkpoint/safetensors_writer.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { CheckpointError, InputError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { loadKernels } from "../kernels/load.ts";
import { saveFile, saveFolder } from "../platform/files.ts";
import { currentPlatform } from "../platform/index.ts";
import type { ByteWriter, Platform } from "../platform/platform.ts";
import { type FileFormat, formats } from "../quant/formats.ts";
import { type Adapter, openAdapter } from "./adapter.ts";
import { checkMergeable, type MergedTensor, type MergePlan, mergeTarget, planMerge } from "./merge_plan.ts";
import { Merger } from "./merger.ts";

/** An adapter to merge: its folder, and what its own scale is multiplied by (1). */
export type MergeAdapter = string | { readonly path: string; readonly scale?: number };

/** The options of `merge`. */
export interface MergeOptions {
  /** In which floats weights are written. @default as the base's are */
  dtype?: "f32" | "f16" | "bf16" | undefined;
  /** Bytes of one safetensors file at most. @default 5_000_000_000 */
  max_shard_bytes?: number | undefined;
  /** Aborts it: the call rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** Told of the bytes that were written. */
  progress_callback?:
    | ((info: {
        status: "progress" | "ready";
        name: string;
        file: string;
        loaded: number;
        total: number;
        progress: number;
      }) => void)
    | undefined;
}

const dtypes: Readonly<Record<string, FileFormat>> = { f32: formats.F32, f16: formats.F16, bf16: formats.BF16 };

const known = namesOf<MergeOptions>({ dtype: true, max_shard_bytes: true, signal: true, progress_callback: true });

/** What torch calls the formats. */
const torchNames: Readonly<Record<string, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** GGUF's general.file_type. */
const fileTypes: Readonly<Record<string, number>> = { F32: 0, F16: 1, BF16: 32 };

const configLimit = 2 ** 20;

/**
 * Writes a checkpoint with LoRA adapters merged into its weights: W + scale · B A for each, and whole matrices (modules_to_save)
 * in place of the base's. Where head and embedding were tied and one of them changes, they are apart in what is written.
 * @param base - a folder or a .gguf file in full precision, by its path or URL, or `owner/name` of a model on a hub
 * @param out - the folder to be made, or the .gguf file where the base is one: nothing stands there before all is written
 * @throws CheckpointError when a file is damaged, of a kind that is not known, or for another model; WriteError when `out`
 *   cannot be written; {@link InputError}; the signal's reason when aborted
 */
export async function merge(
  base: ModelSource,
  adapters: readonly MergeAdapter[],
  out: string,
  options: MergeOptions = {},
): Promise<void> {
  const chosen = givenOptions<MergeOptions>(options, "merge", known);
  const { dtype, signal, max_shard_bytes, progress_callback } = chosen;
  const given = readAdapters(adapters);
  textArgument(out, "merge: out");
  if (dtype !== undefined && !Object.keys(dtypes).includes(dtype))
    throw new InputError(`dtype: expected one of ${Object.keys(dtypes).join(", ")}, found ${show(dtype)}`);
  if (max_shard_bytes !== undefined && !(Number.isInteger(max_shard_bytes) && max_shard_bytes > 0))
    throw new InputError(`max_shard_bytes: expected a whole number above 0, found ${show(max_shard_bytes)}`);
  functionArgument(progress_callback, "progress_callback");
  checkSignal(signal);
  signal?.throwIfAborted();
  const platform = await currentPlatform();
  const repository = await findRepository(platform, base, "model", { signal });
  const checkpoint = await openCheckpoint(repository);
  const opened: Adapter[] = [];
  try {
    checkMergeable(checkpoint);
    const target = mergeTarget(checkpoint);
    for (const { path } of given)
      opened.push(await openAdapter(await findRepository(platform, path, "adapter", { signal }), target.target));
    const scaled = opened.map((adapter, i) => ({ adapter, scale: given[i].scale }));
    const plan = planMerge(checkpoint, target, scaled);
    const merger = new Merger((await loadKernels(platform)).module);
    await new Writing(platform, repository, checkpoint, plan, merger, chosen).write(out);
  } finally {
    await checkpoint.close();
    await Promise.all(opened.map((adapter) => adapter.close()));
  }
}

function readAdapters(adapters: readonly MergeAdapter[]): { path: string; scale: number }[] {
  if (!Array.isArray(adapters) || adapters.length === 0)
    throw new InputError(`merge: expected a list of adapters, found ${show(adapters)}`);
  return adapters.map((given: MergeAdapter, i) => {
    const { path, scale = 1 } = typeof given === "object" && given !== null ? given : { path: given };
    if (typeof scale !== "number" || !Number.isFinite(scale))
      throw new InputError(`adapters[${i}].scale: expected a number, found ${show(scale)}`);
    return { path: textArgument(path, `adapters[${i}]`), scale };
  });
}

class Writing {
  private readonly platform: Platform;
  private readonly repository: Repository;
  private readonly checkpoint: Checkpoint;
  private readonly plan: MergePlan;
  private readonly merger: Merger;
  private readonly options: MergeOptions;
  private written = 0;

  constructor(
    platform: Platform,
    repository: Repository,
    checkpoint: Checkpoint,
    plan: MergePlan,
    merger: Merger,
    options: MergeOptions,
  ) {
    this.platform = platform;
    this.repository = repository;
    this.checkpoint = checkpoint;
    this.plan = plan;
    this.merger = merger;
    this.options = options;
  }

  async write(out: string): Promise<void> {
    const { platform, checkpoint } = this;
    if (checkpoint.kind === "gguf") {
      if (!out.endsWith(".gguf")) throw new InputError(`${out}: expected the name of a .gguf file, as the base is one`);
      await saveFile(platform, out, (file) => this.writeGGUF(file));
    } else await saveFolder(platform, out, (folder) => this.writeFolder(folder));
    this.tell("ready", out);
  }

  private async writeFolder(folder: string): Promise<void> {
    const { platform, repository, plan, options } = this;
    const tensors = plan.tensors.map((tensor) => {
      const format = this.formatOf(tensor);
      const dtype = format.name as "F32" | "F16" | "BF16";
      return { name: tensor.name, dtype, shape: tensor.from.shape, data: () => this.data(tensor, format) };
    });
    this.total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
    await writeShards(platform, folder, tensors, options.max_shard_bytes);
    await copyBeside(platform, repository, await filesBeside(repository), folder, options.signal);
    const config = await this.config();
    await saveFile(platform, platform.join(folder, "config.json"), (file) =>
      file.write(new TextEncoder().encode(config)),
    );
  }

  /** config.json, which says in which floats the weights are, and whether head and embedding are one. */
  private async config(): Promise<string> {
    const { repository, plan, options } = this;
    const name = "config.json";
    const bytes = await repository.read(name, configLimit);
    const config = parseJSONObject(bytes, repository.where(name));
    let text = new TextDecoder().decode(bytes);
    if (plan.untied) text = withField(text, config, "tie_word_embeddings", false);
    if (options.dtype) {
      const field = "torch_dtype" in config ? "torch_dtype" : "dtype";
      text = withField(text, config, field, torchNames[dtypes[options.dtype].name]);
    }
    return text;
  }

  private async writeGGUF(file: ByteWriter): Promise<void> {
    const { checkpoint, plan, options } = this;
    const { files, path } = checkpoint;
    if (files.length > 1)
      throw new CheckpointError(`${path}: a set of ${files.length} files; join them before (llama-gguf-split --merge)`);
    const { metadata, types } = await readGGUF(files[0]);
    const pairs = [...metadata].map(([key, value]): GGUFPair => {
      const type = types.get(key)!;
      return options.dtype && key === "general.file_type"
        ? [key, type, fileTypes[dtypes[options.dtype].name]]
        : [key, type, value];
    });
    const tensors = plan.tensors.map((tensor) => {
      const format = this.formatOf(tensor);
      return {
        name: tensor.name,
        format: format.name,
        shape: tensor.from.shape,
        data: () => this.data(tensor, format),
      };
    });
    this.total = tensors.reduce(
      (sum, { shape, format }) => sum + shape.reduce((a, b) => a * b, formats[format].block_bytes),
      0,
    );
    await writeGGUF(file, pairs, tensors);
  }

  /** The format that a tensor is written in. In a GGUF norms and routers are f32 always. */
  private formatOf({ from }: MergedTensor): FileFormat {
    const { dtype } = this.options;
    const kept = this.checkpoint.kind === "gguf" && (from.shape.length < 2 || /ffn_gate_inp/.test(from.name));
    return dtype === undefined || kept ? from.format : dtypes[dtype];
  }

  private total = 0;

  private async *data(tensor: MergedTensor, format: FileFormat): AsyncGenerator<Uint8Array> {
    for await (const piece of this.merger.bytes(tensor, format, this.options.signal)) {
      yield piece;
      this.written += piece.length;
      this.tell("progress", tensor.name);
    }
  }

  private tell(status: "progress" | "ready", file: string): void {
    const { written: loaded, total, checkpoint } = this;
    const progress = status === "ready" ? 100 : (100 * loaded) / total;
    this.options.progress_callback?.({ status, name: checkpoint.path, file, loaded, total, progress });
  }
}

/** A JSON object's text with another value of a field. Written anew it would have 0 for 0.0, which transformers takes for another type. */
function withField(text: string, config: Record<string, unknown>, field: string, value: unknown): string {
  const json = JSON.stringify(value);
  if (!Object.hasOwn(config, field)) return text.replace("{", `{\n  ${JSON.stringify(field)}: ${json},`);
  const old = `("${field}"\\s*:\\s*)(?:"[^"]*"|true|false|null)`;
  return text.replace(new RegExp(old), (_, start) => `${start}${json}`);
}
