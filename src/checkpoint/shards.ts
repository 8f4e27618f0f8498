// A folder's safetensors: model.safetensors, or the shards that model.safetensors.index.json names.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { readJSONObject } from "./json.ts";
import { hasFile, type Opener, type Repository } from "./repository.ts";
import { readSafetensors, type SafetensorsEntry } from "./safetensors.ts";

export const singleName = "model.safetensors";
export const indexName = "model.safetensors.index.json";
const indexLimit = 2 ** 24;
/** Tensors of all shards together; the largest checkpoints in use have some ten thousand. */
const mostTensors = 2 ** 18;
/** Every shard is an open file. */
const mostShards = 1000;

/** The tensors of all files by name; and what the index promises and no file has, in words. */
export interface Shards {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly absent: ReadonlyMap<string, string>;
}

/**
 * Every tensor of a repository's safetensors, by name. What a stale index promises beyond them is an error where the model
 * needs it.
 * @param open - opens a file, which the caller closes if this throws
 * @throws {@link CheckpointError} when the index is damaged, names what is not a plain file name, or has a tensor in
 *   another shard than it stands in
 */
export async function readShards(repository: Repository, open: Opener): Promise<Shards> {
  if (await hasFile(repository, singleName)) {
    const { entries } = await readSafetensors(await open(singleName));
    return { entries: new Map(entries.map((entry) => [entry.name, entry])), absent: new Map() };
  }
  const index = repository.where(indexName);
  const weightMap = readWeightMap(await readJSONObject(repository, indexName, indexLimit), index);
  const shards = [...new Set(weightMap.values())].sort();
  if (shards.length > mostShards)
    throw new CheckpointError(`${index}: expected at most ${mostShards} files, found ${shards.length}`);
  const tensors = new Map<string, SafetensorsEntry>();
  for (const shard of shards) {
    if (!(await hasFile(repository, shard)))
      throw new CheckpointError(`${repository.where(shard)}: missing; ${indexName} names it`);
    for (const entry of (await readSafetensors(await open(shard))).entries) {
      const other = tensors.get(entry.name);
      if (other)
        throw new CheckpointError(
          `${showName(entry.name)} stands twice: in ${fileName(other.file.path)} and in ${shard}`,
        );
      tensors.set(entry.name, entry);
    }
    if (tensors.size > mostTensors)
      throw new CheckpointError(`${index}: expected shards of at most ${mostTensors} tensors, found more`);
  }
  const absent = new Map<string, string>();
  for (const [name, shard] of weightMap) {
    const found = tensors.get(name);
    if (!found) absent.set(name, `nothing in ${shard}, where ${indexName} has it`);
    else if (fileName(found.file.path) !== shard)
      throw new CheckpointError(
        `${showName(name)}: expected in ${shard} by ${indexName}, found in ${fileName(found.file.path)}`,
      );
  }
  return { entries: tensors, absent };
}

/** File name by tensor. A file outside the folder is never opened on an index's word. */
function readWeightMap({ weight_map }: Record<string, unknown>, where: string): Map<string, string> {
  if (typeof weight_map !== "object" || weight_map === null || Array.isArray(weight_map))
    throw new CheckpointError(
      `${where}: weight_map: expected an object of file names by tensor, found ${show(weight_map)}`,
    );
  const entries = Object.entries(weight_map as Record<string, unknown>);
  if (entries.length === 0) throw new CheckpointError(`${where}: weight_map: expected tensors, found none`);
  for (const [name, shard] of entries)
    if (typeof shard !== "string" || !/^[\w][\w.\- ]{0,200}\.safetensors$/.test(shard))
      throw new CheckpointError(
        `${where}: weight_map ${showName(name)}: expected the name of a .safetensors file in the same folder, found ${show(shard)}`,
      );
  return new Map(entries as [string, string][]);
}
