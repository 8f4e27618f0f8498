// A LoRA adapter's folder, opened: which matrices of the model it changes, and where A and B stand in its file. Shapes are
// checked here against the model that it is for; nothing of the values is read.
//
//   W' = W + scale · B A      or, for a matrix that was saved whole (modules_to_save), W' itself
import type { TensorRef } from "../checkpoint/checkpoint.ts";
import { readJSONObject } from "../checkpoint/json.ts";
import { hasFile, type Repository } from "../checkpoint/repository.ts";
import { readSafetensors } from "../checkpoint/safetensors.ts";
import type { ModelShape } from "../config/shape.ts";
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { formats } from "../quant/formats.ts";
import type { HeadName } from "../weights/weights.ts";
import { type AdapterConfig, readAdapterConfig } from "./adapter_config.ts";
import { bindModule, type ModuleTensors } from "./bind_module.ts";
import { parseKey, type Role } from "./keys.ts";

/** What of a model an adapter must suit. */
export interface AdapterTarget {
  readonly shape: ModelShape;
  readonly head: HeadName | null;
  /** Outputs of the head; 0 without one. */
  readonly head_size: number;
  /** Whether the head's weights are the embedding's. */
  readonly tied: boolean;
}

/** A matrix that stands in a tensor: some of its rows and columns. */
export interface Factor {
  readonly tensor: TensorRef;
  readonly rows: number;
  readonly cols: number;
  /** Value (i, j) is the tensor's (first_row + i, first_col + j · col_step), or with i and j exchanged. */
  readonly first_row: number;
  readonly first_col: number;
  readonly col_step: number;
  readonly transposed: boolean;
}

/** One of the model's matrices. Layer and expert are 0 where there is no choice. */
export interface Place {
  readonly role: Role;
  readonly layer: number;
  readonly expert: number;
}

/** What is added to a matrix: scale · B A. */
export interface LowRank extends Place {
  readonly rank: number;
  readonly scale: number;
  /** (rank, cols) */
  readonly a: Factor;
  /** (rows, rank) */
  readonly b: Factor;
}

/** What stands in a matrix's place. */
export interface Replacement extends Place {
  readonly weight: Factor;
}

export interface Adapter {
  /** Its folder, for messages. */
  readonly path: string;
  readonly config: AdapterConfig;
  readonly low_rank: readonly LowRank[];
  readonly replacements: readonly Replacement[];
  close(): Promise<void>;
}

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";
const pickleName = "adapter_model.bin";
const configLimit = 2 ** 20;

/**
 * Opens an adapter for a model.
 * @param repository - a folder as PEFT writes it
 * @returns what holds its file open, until `close`
 * @throws {@link CheckpointError} when it is none, of a kind that this version does not know, or for another model
 */
export async function openAdapter(repository: Repository, target: AdapterTarget): Promise<Adapter> {
  const path = repository.name;
  if (repository.file !== undefined) throw new CheckpointError(`${path}: ${notAFolder(repository.file)}`);
  const [config_where, where] = [repository.where(configName), repository.where(weightsName)];
  if (!(await hasFile(repository, configName)))
    throw new CheckpointError(`${config_where}: missing; an adapter's folder has it beside ${weightsName}`);
  const config = readAdapterConfig(await readJSONObject(repository, configName, configLimit), config_where);
  if (!(await hasFile(repository, weightsName)))
    throw new CheckpointError(
      (await hasFile(repository, pickleName))
        ? `${repository.where(pickleName)}: PyTorch's pickle format, which runs code when it is read: save the adapter as safetensors`
        : `${where}: missing; an adapter's folder has it beside ${configName}`,
    );
  const file = await repository.open(weightsName);
  try {
    const modules = modulesOf(await tensorsOf(file), where);
    const low_rank: LowRank[] = [];
    const replacements: Replacement[] = [];
    for (const module of modules) {
      const bound = bindModule(module, config, target, path);
      low_rank.push(...bound.low_rank);
      replacements.push(...bound.replacements);
    }
    if (config.ensure_weight_tying && target.tied && target.head === "lm_head") {
      low_rank.push(...headsOf(low_rank));
      replacements.push(...headsOf(replacements));
    }
    refuseTwice(low_rank, where);
    refuseTwice(replacements, where);
    return { path, config, low_rank, replacements, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

const notAFolder = (file: string): string =>
  file.endsWith(".gguf")
    ? `GGUF adapters are not read by this version: give the folder with ${configName} and ${weightsName} that it was converted from`
    : `expected an adapter's folder, with ${configName} and ${weightsName}, found a file`;

async function tensorsOf(file: SourceFile): Promise<TensorRef[]> {
  const { entries } = await readSafetensors(file);
  return entries.map(({ name, dtype, shape, offset, bytes }) => {
    if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16")
      throw new CheckpointError(
        `${showName(name)}: expected F32, F16 or BF16, found ${dtype} [${shape.join(", ")}] in ${fileName(file.path)}`,
      );
    return { name, format: formats[dtype], shape, file, offset, bytes };
  });
}

/** The tensors of each module together. */
function modulesOf(tensors: readonly TensorRef[], where: string): ModuleTensors[] {
  const modules = new Map<string, ModuleTensors>();
  for (const tensor of tensors) {
    const key = parseKey(tensor.name);
    if (!key) throw new CheckpointError(`${showName(tensor.name)}: ${unknownOf(tensor.name)}, in ${where}`);
    const { name, part, module } = key;
    const others = modules.get(name);
    if (others?.[part])
      throw new CheckpointError(
        `${showName(tensor.name)}: expected one tensor of its kind, found ${showName(others[part].name)} beside it in ${where}`,
      );
    modules.set(name, { ...(others ?? { name, module }), [part]: tensor });
  }
  if (modules.size === 0) throw new CheckpointError(`${where}: expected tensors of an adapter, found none`);
  return [...modules.values()];
}

function unknownOf(name: string): string {
  if (name.includes("lora_magnitude_vector")) return "a magnitude of DoRA, which is not known to this version";
  if (name.includes("trainable_tokens")) return "trained embeddings of single tokens are not known to this version";
  if (/\.bias$/.test(name)) return "a bias, which no matrix of this family has";
  return "expected A or B (lora_A, lora_B) of a matrix that this family has (attention, experts, router, embedding, head), or a whole embedding or head";
}

/** What is done to the embedding, for a head that has its matrix, where nothing is said of that one. */
function headsOf<T extends Place>(places: readonly T[]): T[] {
  if (places.some(({ role }) => role === "head")) return [];
  return places.filter(({ role }) => role === "embed_tokens").map((place) => ({ ...place, role: "head" }));
}

/** Two forms of names may mean one matrix. */
function refuseTwice(places: readonly Place[], where: string): void {
  const seen = new Set<string>();
  for (const { role, layer, expert } of places) {
    const id = `${role} ${layer} ${expert}`;
    if (seen.has(id))
      throw new CheckpointError(
        `${where}: expected one pair for each matrix, found two for ${role} of layer ${layer}, expert ${expert} (${show(id)})`,
      );
    seen.add(id);
  }
}
