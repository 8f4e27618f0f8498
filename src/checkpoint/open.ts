// Opens a checkpoint: a repository as Hugging Face lays it out (config.json and safetensors) or as Mistral does (params.json
// and consolidated safetensors), one with a GGUF, or a named .gguf file. All headers are read and checked; of the weights not a byte.
import { GenerationConfig } from "../config/generation_config.ts";
import { PreTrainedConfig } from "../config/pretrained_config.ts";
import { type ConfigClass, readConfig } from "../config/read_config.ts";
import { CheckpointError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { type FileFormat, formats } from "../quant/formats.ts";
import type { Checkpoint, TensorRef } from "./checkpoint.ts";
import { ggufConfig, ggufGenerationConfig, type RopeDivisors } from "./gguf_config.ts";
import { ggufCheckpoints, readGGUFSet } from "./gguf_split.ts";
import { configLimit, readJSONObject } from "./json.ts";
import { consolidatedParts, mistralConfig, paramsName } from "./mistral_native.ts";
import { packedReader } from "./quantization.ts";
import { hasFile, type Opener, type Repository } from "./repository.ts";
import type { SafetensorsEntry } from "./safetensors.ts";
import { indexName, readShards, type Shards, singleName } from "./shards.ts";

export interface OpenOptions {
  /** Used instead of config.json or a GGUF's metadata. */
  readonly config?: PreTrainedConfig | Readonly<Record<string, unknown>>;
  /** What a config without a model_type is. */
  readonly config_class?: ConfigClass;
}

/**
 * Opens a checkpoint for reading its weights.
 * @param repository - one with a model, or with a .gguf file named in it (any part of a split set)
 * @returns what holds the files open, until `close`
 * @throws {@link CheckpointError} or ConfigError when it is neither a Mixtral's checkpoint nor a Mistral's; all files are closed again then
 * @example
 * const checkpoint = await openCheckpoint(await openRepository(await currentPlatform(), "models/demo"));
 * const weights = bind(checkpoint, headOf(checkpoint));
 */
export async function openCheckpoint(repository: Repository, options: OpenOptions = {}): Promise<Checkpoint> {
  const files: SourceFile[] = [];
  const close = async () => void (await Promise.all(files.map((file) => file.close())));
  const open: Opener = async (name) => {
    const file = await repository.open(name);
    files.push(file);
    return file;
  };
  try {
    const contents = await readContents(repository, open, options);
    return { ...contents, path: repository.name, files, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The config alone: of a folder of safetensors, its config.json, whatever else lacks. @throws as {@link openCheckpoint} */
export async function openConfig(repository: Repository): Promise<PreTrainedConfig> {
  const names = repository.file === undefined ? (await repository.list()).map(({ name }) => name) : [];
  const weights = [singleName("model"), indexName("model")].some((name) => names.includes(name));
  // Beside a GGUF it is seldom whole.
  if (names.includes("config.json") && (weights || ggufCheckpoints(names).length === 0)) return configOf(repository);
  const { config, close } = await openCheckpoint(repository);
  await close();
  return config;
}

type Contents = Omit<Checkpoint, "path" | "files" | "close">;

/** What there is: a GGUF, Hugging Face's layout, or Mistral's. */
async function readContents(repository: Repository, open: Opener, options: OpenOptions): Promise<Contents> {
  const { name: path, file } = repository;
  const [single, index] = [singleName("model"), indexName("model")];
  if (file !== undefined) {
    if (/\.(safetensors|bin|json|pth?)$/.test(file))
      throw new CheckpointError(`${path}: expected a folder with config.json and ${single}, or a .gguf file`);
    return readGGUFCheckpoint(repository, file, open, options);
  }
  const names = (await repository.list()).map(({ name }) => name);
  if (names.includes(single) || names.includes(index)) return readSafetensorsCheckpoint(repository, open, options);
  // Behind Hugging Face's: many of Mistral's own repositories have both.
  if (names.includes(paramsName)) return readMistralCheckpoint(repository, names, open, options);
  const [gguf, ...others] = ggufCheckpoints(names);
  if (others.length)
    throw new CheckpointError(
      `${path}: expected one GGUF, found ${1 + others.length} (${gguf}, ${others[0]}, …): name the file`,
    );
  if (gguf) return readGGUFCheckpoint(repository, gguf, open, options);
  const pickled = names.find((name) => name.endsWith(".bin"));
  const found = pickled ? `${pickled} (PyTorch's pickle format; save the model as safetensors)` : "none of them";
  throw new CheckpointError(`${path}: expected ${single}, ${index} or a .gguf file, found ${found}`);
}

function givenConfig({ config, config_class }: OpenOptions): PreTrainedConfig | undefined {
  if (config === undefined || config instanceof PreTrainedConfig) return config;
  return readConfig(config, "options.config", config_class);
}

async function readGGUFCheckpoint(
  repository: Repository,
  name: string,
  open: Opener,
  options: OpenOptions,
): Promise<Contents> {
  const { header, tensors } = await readGGUFSet(repository, name, open);
  const vocabulary = tensors.get("token_embd.weight")?.shape[0];
  const given = givenConfig(options);
  const config =
    given ??
    ggufConfig(
      header.metadata,
      vocabulary,
      !tensors.has("output.weight"),
      await ropeDivisors(tensors, repository.where(name)),
      repository.where(name),
    );
  return {
    kind: "gguf",
    layout: "gguf",
    config,
    generation_config: given ? {} : ggufGenerationConfig(header.metadata, repository.where(name)),
    tensors,
    packed: new Map(),
    foreign: new Map(),
    metadata: header.metadata,
    qk_interleaved: true,
  };
}

/** More pairs than any head has. */
const MOST_DIVISORS = 2 ** 15;

/** The divisors of rotary frequencies, which llama.cpp keeps in tensors. */
async function ropeDivisors(tensors: ReadonlyMap<string, TensorRef>, where: string): Promise<RopeDivisors | undefined> {
  const read = async (name: string): Promise<number[] | undefined> => {
    const tensor = tensors.get(name);
    if (!tensor) return undefined;
    const { format, shape, bytes, file, offset } = tensor;
    if (format !== formats.F32 || shape.length !== 1 || shape[0] > MOST_DIVISORS)
      throw new CheckpointError(
        `${name}: expected F32 of one dimension, at most ${MOST_DIVISORS}, found ${format.name} [${shape.join(", ")}] in ${where}`,
      );
    const values = new Uint8Array(bytes);
    await file.read(offset, values);
    return [...new Float32Array(values.buffer)];
  };
  const one = await read("rope_freqs.weight");
  if (one) return { short: one, long: one };
  const [short, long] = [await read("rope_factors_short.weight"), await read("rope_factors_long.weight")];
  if (!short !== !long)
    throw new CheckpointError(
      `rope_factors_${short ? "long" : "short"}.weight: missing; expected it beside the other in ${where}`,
    );
  return short && long && { short, long };
}

async function readSafetensorsCheckpoint(
  repository: Repository,
  open: Opener,
  options: OpenOptions,
): Promise<Contents> {
  const config = givenConfig(options) ?? (await configOf(repository));
  const read = await packedReader(config, repository);
  const shards = await readShards(repository, open, "model");
  const { tensors, foreign } = tensorsOf(shards);
  const packed = (await read?.(shards.entries)) ?? new Map();
  // Codes may be stored as any type.
  for (const name of packed.keys()) tensors.delete(name);
  return {
    kind: "safetensors",
    layout: "huggingface",
    config,
    generation_config: await readGenerationConfig(repository),
    tensors,
    packed,
    foreign,
    metadata: new Map(),
    qk_interleaved: false,
  };
}

/** Mistral's own layout. */
async function readMistralCheckpoint(
  repository: Repository,
  names: readonly string[],
  open: Opener,
  options: OpenOptions,
): Promise<Contents> {
  const where = repository.where(paramsName);
  const parts = consolidatedParts(names);
  if (parts.length === 0)
    throw new CheckpointError(
      `${where}: expected ${singleName("consolidated")} beside it, in one file or parts, found none`,
    );
  const given = givenConfig(options);
  const params = given ? {} : await readJSONObject(repository, paramsName, configLimit);
  const shards = await readShards(repository, open, "consolidated", parts);
  return {
    kind: "safetensors",
    layout: "mistral",
    config: given ?? mistralConfig(params, !shards.entries.has("output.weight"), where),
    generation_config: await readGenerationConfig(repository),
    ...tensorsOf(shards),
    packed: new Map(),
    metadata: new Map(),
    qk_interleaved: true,
  };
}

/** The tensors that the engine computes with, and the others. */
function tensorsOf({ entries, absent }: Shards): { tensors: Map<string, TensorRef>; foreign: Map<string, string> } {
  const tensors = new Map<string, TensorRef>();
  const foreign = new Map(absent);
  for (const [name, entry] of entries) {
    const format = formatOf(entry);
    if (format)
      tensors.set(name, {
        name,
        format,
        shape: entry.shape,
        file: entry.file,
        offset: entry.offset,
        bytes: entry.bytes,
      });
    else foreign.set(name, `${entry.dtype} [${entry.shape.join(", ")}]`);
  }
  return { tensors, foreign };
}

/** F32, F16 and BF16 have the same names and bytes in both kinds of file. */
const formatOf = ({ dtype }: SafetensorsEntry): FileFormat | undefined =>
  dtype === "F32" || dtype === "F16" || dtype === "BF16" ? formats[dtype] : undefined;

async function configOf(repository: Repository): Promise<PreTrainedConfig> {
  const [name, where] = ["config.json", repository.where("config.json")];
  if (!(await hasFile(repository, name)))
    throw new CheckpointError(`${where}: missing; safetensors need a config beside them`);
  return readConfig(await readJSONObject(repository, name, configLimit), where);
}

async function readGenerationConfig(repository: Repository): Promise<Record<string, unknown>> {
  const name = "generation_config.json";
  if (!(await hasFile(repository, name))) return {};
  const json = await readJSONObject(repository, name, configLimit);
  return GenerationConfig.from_dict(json, repository.where(name)).to_dict();
}
