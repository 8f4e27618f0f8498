// A folder's safetensors: one file, the shards that an index names, or parts without an index.
import { fileName, show, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { readJSONObject } from "./json.ts";
import { hasFile, type Opener, type Repository } from "./repository.ts";
import { readSafetensors, type SafetensorsEntry } from "./safetensors.ts";

/** What the files of a layout are called: Hugging Face's are model.safetensors, Mistral's consolidated.safetensors. */
export type Stem = "model" | "consolidated";

export const singleName = (stem: Stem): string => `${stem}.safetensors`;
export const indexName = (stem: Stem): string => `${stem}.safetensors.index.json`;
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
 * @param parts - the files where there is neither a single one nor an index
 * @throws {@link CheckpointError} when the index is damaged, names what is not a plain file name, or has a tensor in
 *   another shard than it stands in
 */
export async function readShards(
  repository: Repository,
  open: Opener,
  stem: Stem,
  parts: readonly string[] = [],
): Promise<Shards> {
  if (await hasFile(repository, singleName(stem)))
    return { entries: await readFiles(repository, open, [singleName(stem)]), absent: new Map() };
  const index = indexName(stem);
  if (parts.length > 0 && !(await hasFile(repository, index)))
    return { entries: await readFiles(repository, open, parts), absent: new Map() };
  const { weightMap, shards } = await readIndex(repository, stem);
  for (const shard of shards)
    if (!(await hasFile(repository, shard)))
      throw new CheckpointError(`${repository.where(shard)}: missing; ${index} names it`);
  const entries = await readFiles(repository, open, shards);
  const absent = new Map<string, string>();
  for (const [name, shard] of weightMap) {
    const found = entries.get(name);
    if (!found) absent.set(name, `nothing in ${shard}, where ${index} has it`);
    else if (fileName(found.file.path) !== shard)
      throw new CheckpointError(
        `${showName(name)}: expected in ${shard} by ${index}, found in ${fileName(found.file.path)}`,
      );
  }
  return { entries, absent };
}

/**
 * What an index names.
 * @returns the file of each tensor, and all files
 * @throws {@link CheckpointError} when it is damaged, or names what is not a plain file name
 */
export async function readIndex(
  repository: Repository,
  stem: Stem,
): Promise<{ weightMap: Map<string, string>; shards: readonly string[] }> {
  const where = repository.where(indexName(stem));
  const weightMap = readWeightMap(await readJSONObject(repository, indexName(stem), indexLimit), where);
  return { weightMap, shards: checkCount([...new Set(weightMap.values())].sort(), where) };
}

function checkCount(shards: readonly string[], where: string): readonly string[] {
  if (shards.length > mostShards)
    throw new CheckpointError(`${where}: expected at most ${mostShards} files, found ${shards.length}`);
  return shards;
}

/** The tensors of several files, each of which must be in one of them only. */
async function readFiles(
  repository: Repository,
  open: Opener,
  shards: readonly string[],
): Promise<Map<string, SafetensorsEntry>> {
  checkCount(shards, repository.name);
  const tensors = new Map<string, SafetensorsEntry>();
  for (const shard of shards) {
    for (const entry of (await readSafetensors(await open(shard))).entries) {
      const other = tensors.get(entry.name);
      if (other)
        throw new CheckpointError(
          `${showName(entry.name)} stands twice: in ${fileName(other.file.path)} and in ${shard}`,
        );
      tensors.set(entry.name, entry);
    }
    if (tensors.size > mostTensors)
      throw new CheckpointError(`${repository.name}: expected shards of at most ${mostTensors} tensors, found more`);
  }
  return tensors;
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
