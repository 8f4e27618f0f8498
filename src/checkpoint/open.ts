// Opens a checkpoint: a folder as Hugging Face lays it out (config.json and safetensors), a folder with a GGUF, or a
// .gguf file. All headers are read and checked; of the weights not a byte.
import { GenerationConfig } from "../config/generation_config.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { type BlockFormat, formats } from "../quant/formats.ts";
import type { Checkpoint, TensorRef } from "./checkpoint.ts";
import { ggufConfig, ggufGenerationConfig } from "./gguf_config.ts";
import { ggufCheckpoints, readGGUFSet } from "./gguf_split.ts";
import { readJSONObject } from "./json.ts";
import type { SafetensorsEntry } from "./safetensors.ts";
import { indexName, readShards, singleName } from "./shards.ts";

export interface OpenOptions {
  /** Used instead of config.json or a GGUF's metadata. */
  readonly config?: MixtralConfig | Readonly<Record<string, unknown>>;
}

const configLimit = 2 ** 20;

/**
 * Opens a checkpoint for reading its weights.
 * @param path - a folder, or a .gguf file (any part of a split set)
 * @returns what holds the files open, until `close`
 * @throws {@link CheckpointError} or ConfigError when it is not a Mixtral's checkpoint; all files are closed again then
 * @example
 * const checkpoint = await openCheckpoint(await currentPlatform(), "models/demo");
 * const weights = bind(checkpoint);
 */
export async function openCheckpoint(platform: Platform, path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const files: SourceFile[] = [];
  const close = async () => void (await Promise.all(files.map((file) => file.close())));
  const open = async (name: string) => {
    const file = await platform.open(name);
    files.push(file);
    return file;
  };
  try {
    const { kind, path: found } = await locate(platform, path);
    const read = kind === "gguf" ? readGGUFCheckpoint : readSafetensorsCheckpoint;
    return { kind, path, ...(await read(platform, found, open, options)), files, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Opener = (path: string) => Promise<SourceFile>;
type Contents = Omit<Checkpoint, "kind" | "path" | "files" | "close">;

/** Which form of checkpoint stands at a path. */
async function locate(platform: Platform, path: string): Promise<{ kind: Checkpoint["kind"]; path: string }> {
  const what = await platform.stat(path);
  if (!what) throw new CheckpointError(`${path}: expected a checkpoint's folder or a .gguf file, found nothing`);
  if (what.kind === "file") {
    if (/\.(safetensors|bin|json|pth?)$/.test(path))
      throw new CheckpointError(`${path}: expected a folder with config.json and ${singleName}, or a .gguf file`);
    return { kind: "gguf", path };
  }
  const names = await platform.list(path);
  if (names.includes(singleName) || names.includes(indexName)) return { kind: "safetensors", path };
  const [gguf, ...others] = ggufCheckpoints(names);
  if (others.length)
    throw new CheckpointError(
      `${path}: expected one GGUF, found ${1 + others.length} (${gguf}, ${others[0]}, …): name the file`,
    );
  if (gguf) return { kind: "gguf", path: platform.join(path, gguf) };
  const pickled = names.find((name) => name.endsWith(".bin"));
  const found = pickled ? `${pickled} (PyTorch's pickle format; save the model as safetensors)` : "none of them";
  throw new CheckpointError(`${path}: expected ${singleName}, ${indexName} or a .gguf file, found ${found}`);
}

function givenConfig({ config }: OpenOptions): MixtralConfig | undefined {
  if (config === undefined || config instanceof MixtralConfig) return config;
  return new MixtralConfig(config, { where: "options.config" });
}

async function readGGUFCheckpoint(
  platform: Platform,
  path: string,
  open: Opener,
  options: OpenOptions,
): Promise<Contents> {
  const { header, tensors } = await readGGUFSet(platform, path, open);
  const vocabulary = tensors.get("token_embd.weight")?.shape[0];
  const config = givenConfig(options) ?? ggufConfig(header.metadata, vocabulary, !tensors.has("output.weight"), path);
  const { metadata } = header;
  return {
    config,
    generation_config: ggufGenerationConfig(config),
    tensors,
    foreign: new Map(),
    metadata,
    qk_interleaved: true,
  };
}

async function readSafetensorsCheckpoint(
  platform: Platform,
  folder: string,
  open: Opener,
  options: OpenOptions,
): Promise<Contents> {
  const config = givenConfig(options) ?? (await readConfig(platform, platform.join(folder, "config.json")));
  const { quantization_config: quantization } = config;
  if (quantization)
    throw new CheckpointError(
      `${folder}: quantization_config.quant_method ${show(quantization.quant_method)}: this version reads full-precision safetensors (F32, F16, BF16) and GGUF, not checkpoints quantized this way`,
    );
  const generation_config = await readGenerationConfig(platform, platform.join(folder, "generation_config.json"));
  const tensors = new Map<string, TensorRef>();
  const foreign = new Map<string, string>();
  for (const [name, entry] of await readShards(platform, folder, open)) {
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
  return { config, generation_config, tensors, foreign, metadata: new Map(), qk_interleaved: false };
}

/** F32, F16 and BF16 have the same names and bytes in both kinds of file. */
const formatOf = ({ dtype }: SafetensorsEntry): BlockFormat | undefined =>
  dtype === "F32" || dtype === "F16" || dtype === "BF16" ? formats[dtype] : undefined;

async function readConfig(platform: Platform, path: string): Promise<MixtralConfig> {
  if (!(await platform.stat(path)))
    throw new CheckpointError(`${path}: missing; safetensors need a config beside them`);
  return MixtralConfig.from_dict(await readJSONObject(platform, path, configLimit), path);
}

async function readGenerationConfig(platform: Platform, path: string): Promise<Record<string, unknown>> {
  if (!(await platform.stat(path))) return {};
  return GenerationConfig.from_dict(await readJSONObject(platform, path, configLimit), path).to_dict();
}
