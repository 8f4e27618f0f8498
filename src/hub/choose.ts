// Which files of a repository are wanted: those that from_pretrained reads. Weights are safetensors, in Hugging Face's layout
// or Mistral's, or one GGUF with all its parts; PyTorch's pickles never.
import { besideWeights } from "../checkpoint/beside.ts";
import { allParts, firstPart, ggufCheckpoints } from "../checkpoint/gguf_split.ts";
import { consolidatedParts, paramsName } from "../checkpoint/mistral_native.ts";
import { indexName, type Stem, singleName } from "../checkpoint/shards.ts";
import { fileName, showName } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { type Listing, sizeOf } from "./listing.ts";

/** What the files are for. */
export type Purpose = "model" | "tokenizer" | "config" | "adapter";

export interface Choice {
  readonly files: readonly string[];
  /** The GGUF that is meant (of a split one the first part), or the file that was named. */
  readonly file?: string;
  /** The index that names the shards, which are wanted, too. */
  readonly index?: Stem;
  /** What was chosen without having been asked for. */
  readonly warning?: string;
}

/** What is taken of several GGUF files where none is named. */
const USUAL = "Q4_K_M";

const configs = /^(config|params|quantize_config|quant_config)\.json$/;

/**
 * @param name - of the repository, for messages
 * @param file - a file of it, or the type of its GGUF, where one was named
 * @throws {@link CheckpointError} when there is nothing of the kind, or too much of it
 */
export function choose(name: string, listing: Listing, purpose: Purpose, file?: string): Choice {
  const names = [...listing.keys()].sort();
  const top = names.filter((path) => !path.includes("/"));
  const beside = top.filter((path) => besideWeights(path) || configs.test(path));
  if (file !== undefined) {
    const named = nameOf(name, listing, file);
    if (named.endsWith(".gguf")) return { files: allParts(named), file: firstPart(named) };
    return purpose === "tokenizer" ? { files: [...new Set([...beside, named])] } : { files: [named], file: named };
  }
  if (purpose === "adapter") return { files: adapterOf(name, top) };
  if (
    purpose === "tokenizer" &&
    top.some((path) => /^(tokenizer\.json|tekken\.json|tokenizer\.model(\.v\w+)?)$/.test(path))
  )
    return { files: beside };
  const weights = weightsOf(top);
  if (purpose === "config" && weights && top.includes("config.json")) return { files: ["config.json"] };
  if (weights) return { ...weights, files: [...beside, ...weights.files] };
  const gguf = oneGGUF(name, listing);
  if (gguf) return gguf;
  const pickled = top.find((path) => /\.(bin|pth?|ckpt)$/.test(path));
  throw new CheckpointError(
    `${name}: expected ${singleName("model")}, ${indexName("model")} or a .gguf file, found ${
      pickled ? `${showName(pickled)}: PyTorch's pickle format, which runs code when it is read` : "none of them"
    }`,
  );
}

function adapterOf(name: string, top: readonly string[]): string[] {
  const wanted = ["adapter_config.json", "adapter_model.safetensors"];
  const missing = wanted.find((path) => !top.includes(path));
  if (missing) throw new CheckpointError(`${name}: expected ${wanted.join(" and ")}, found no ${missing}`);
  return wanted;
}

function weightsOf(top: readonly string[]): { files: readonly string[]; index?: Stem } | undefined {
  const layout = (stem: Stem) => {
    if (top.includes(singleName(stem))) return { files: [singleName(stem)] };
    return top.includes(indexName(stem)) ? { files: [indexName(stem)], index: stem } : undefined;
  };
  const huggingface = layout("model");
  if (huggingface || !top.includes(paramsName)) return huggingface;
  const parts = consolidatedParts(top);
  return layout("consolidated") ?? (parts.length > 0 ? { files: parts } : undefined);
}

/** The GGUF models of a listing: single files and first parts; no importance matrices, no eyes of other models. */
const models = (listing: Listing): string[] =>
  ggufCheckpoints([...listing.keys()].sort()).filter((path) => !/(^|[-_./])(mmproj|imatrix|clip)([-_.]|$)/i.test(path));

/** Whether a path is of a type: in its name, or as the folder that it stands in. `Q4_K` is not `Q4_K_M`. */
const isOfType = (path: string, type: string): boolean =>
  new RegExp(`(^|[-._/])${type.replace(/[^\w]/g, "\\$&")}(?=[-./]|$)`, "i").test(path);

function oneGGUF(name: string, listing: Listing): Choice | undefined {
  const all = models(listing);
  const usual = all.filter((path) => isOfType(path, USUAL));
  const [one] = all.length === 1 ? all : usual;
  if (one === undefined) {
    if (all.length === 0) return undefined;
    throw new CheckpointError(
      `${name}: holds ${all.length} GGUF files, and none of type ${USUAL}: name one, as ${name}:TYPE\n${sizes(all, listing)}`,
    );
  }
  if (all.length > 1 && usual.length > 1)
    throw new CheckpointError(
      `${name}: holds ${usual.length} GGUF files of type ${USUAL}: name one, as ${name}:FILE\n${sizes(usual, listing)}`,
    );
  const warning = `${name}: holds ${all.length} GGUF files; ${fileName(one)} is taken (name another as ${name}:TYPE)`;
  return { files: allParts(one), file: one, ...(all.length > 1 ? { warning } : {}) };
}

/** The path that a name or a type means. */
function nameOf(name: string, listing: Listing, file: string): string {
  if (listing.has(file)) return file;
  const all = models(listing);
  const found = all.filter((path) => fileName(path) === file || (!file.endsWith(".gguf") && isOfType(path, file)));
  if (found.length === 1) return found[0];
  if (found.length > 1)
    throw new CheckpointError(
      `${name}: ${showName(file)} is ${found.length} files: name one\n${sizes(found, listing)}`,
    );
  const instead = all.length > 0 ? `these GGUF files\n${sizes(all, listing)}` : someNames(listing);
  throw new CheckpointError(`${name}: expected ${showName(file)}, found ${instead}`);
}

/** Some of the files that there are, for messages. */
export const someNames = (listing: Listing): string =>
  [...listing.keys()].sort().slice(0, 20).map(showName).join(", ") || "no files";

/** GGUF files in lines, with their sizes, all parts together. */
const sizes = (paths: readonly string[], listing: Listing): string =>
  paths
    .slice(0, 50)
    .map((path) => {
      const bytes = allParts(path)
        .flatMap((part) => listing.get(part) ?? [])
        .reduce((sum, entry) => sum + sizeOf(entry), 0);
      return `  ${showName(path)}  ${(bytes / 1e9).toFixed(2)} GB`;
    })
    .join("\n");
