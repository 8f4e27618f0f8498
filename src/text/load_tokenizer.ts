// Finds and reads a tokenizer: in a repository as on the hub (tokenizer.json, then tekken.json, then tokenizer.model with or
// without a version, then a GGUF file), or in a named file of these kinds. Sizes are bounded before anything is read.
import { givenOptions, textArgument } from "../arguments.ts";
import { readGGUF } from "../checkpoint/gguf.ts";
import { type GGUFSpecialTokens, ggufSpecialTokens } from "../checkpoint/gguf_special_tokens.ts";
import { firstPart, ggufCheckpoints } from "../checkpoint/gguf_split.ts";
import { hasFile, type Repository } from "../checkpoint/repository.ts";
import { TokenizerError } from "../errors.ts";
import { findRepository, type ModelSource } from "../hub/find.ts";
import { type SnapshotOptions, snapshotOptions } from "../hub/snapshot.ts";
import { currentPlatform } from "../platform/index.ts";
import { readJSON, string } from "./fields.ts";
import { type Metadata, readGGUFVocabulary } from "./gguf_vocabulary.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { readText } from "./lines.ts";
import { fromSentencePieces } from "./sentencepiece.ts";
import { aroundText, type ConfigFiles, type ParsedFile, ROLES, type Role, readConfig } from "./special_tokens.ts";
import { isTekken, readTekken } from "./tekken.ts";
import { Tokenizer } from "./tokenizer.ts";
import { readTokenizerJSON } from "./tokenizer_json.ts";
import { readTokenizerModel } from "./tokenizer_model.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The options of `AutoTokenizer.from_pretrained`. */
export interface TokenizerOptions extends SnapshotOptions {
  /** Which file, e.g. `tokenizer.model`, or the type of a GGUF. @default the first there is of its kinds */
  file?: string | undefined;
}

/** Bytes of the files beside a tokenizer; the largest in use have a tenth. */
const MAX_CONFIG_BYTES = 2 ** 24;

/**
 * Loads a tokenizer. For a file that is no GGUF, the config files beside it are read too.
 * @param gguf - the metadata of the repository's GGUF where a model has read it already, so that it is not read again
 * @throws {@link TokenizerError} when there is none, or it is damaged or not supported
 * @throws CheckpointError when a file cannot be read, or the GGUF header is damaged
 */
export async function loadTokenizer(
  repository: Repository,
  options: TokenizerOptions = {},
  gguf?: Metadata,
): Promise<Tokenizer> {
  const name = await chooseFile(repository, options);
  const where = repository.where(name);
  if (name.endsWith(".gguf")) return tokenizer_from_gguf(gguf ?? (await readMetadata(repository, name)), where);
  const bytes = await repository.read(name, TEXT_LIMITS.file);
  const files = await readConfigFiles(repository);
  let vocabulary: Vocabulary;
  if (name.endsWith(".json")) {
    const json = readJSON(bytes, where);
    vocabulary = isTekken(json)
      ? readTekken(json, where, aroundText(files.tokenizer_config))
      : readTokenizerJSON(json, where);
  } else {
    const model = readTokenizerModel(bytes, where, aroundText(files.tokenizer_config));
    vocabulary = { ...fromSentencePieces(model), version: versioned.exec(name)?.[1] };
  }
  return new Tokenizer(vocabulary, readConfig(files, vocabulary));
}

/** Mistral's own repositories say the version in the name: `tokenizer.model.v3`; `v7m1` is v7 with images. */
export const versioned = /\.model\.(v\d+)(?:m\d+)?$/;

/** The file that transformers takes, then those that only mistral-common does: of several versions the newest. */
export function bestFile(names: readonly string[]): string | undefined {
  const first = ["tokenizer.json", "tekken.json", "tokenizer.model"].find((name) => names.includes(name));
  const number = (name: string) => Number(versioned.exec(name)![1].slice(1));
  const versions = names.filter((name) => name.startsWith("tokenizer.model.") && versioned.test(name));
  return first ?? versions.sort((a, b) => number(b) - number(a)).at(0) ?? ggufCheckpoints(names).at(0);
}

async function chooseFile(repository: Repository, options: TokenizerOptions): Promise<string> {
  // Of a split GGUF, the first part has the vocabulary.
  if (repository.file !== undefined) return firstPart(repository.file);
  const names = (await repository.list()).map(({ name }) => name);
  const name = options.file ?? bestFile(names);
  if (name === undefined || !names.includes(name))
    throw new TokenizerError(
      `${repository.name}: expected ${options.file ?? "tokenizer.json, tekken.json, tokenizer.model or a .gguf file"}, found ${names.slice(0, 20).join(", ") || "an empty folder"}`,
    );
  return name;
}

export async function readConfigFiles(repository: Repository): Promise<ConfigFiles> {
  const read = async (name: string): Promise<Uint8Array | undefined> =>
    (await hasFile(repository, name)) ? repository.read(name, MAX_CONFIG_BYTES) : undefined;
  const parsed = async (name: string): Promise<ParsedFile | undefined> => {
    const [bytes, source] = [await read(name), repository.where(name)];
    return bytes && { json: readJSON(bytes, source), source };
  };
  const template = await read("chat_template.jinja");
  return {
    tokenizer_config: await parsed("tokenizer_config.json"),
    special_tokens_map: await parsed("special_tokens_map.json"),
    added_tokens: await parsed("added_tokens.json"),
    config: await parsed("config.json"),
    chat_template: template && readText(template),
  };
}

async function readMetadata(repository: Repository, name: string): Promise<Metadata> {
  const file = await repository.open(name);
  try {
    return (await readGGUF(file)).metadata;
  } finally {
    await file.close();
  }
}

/**
 * The tokenizer in the metadata of a GGUF file.
 * @param source - the file's path, for messages
 * @throws {@link TokenizerError} when the metadata holds none, or a damaged one
 */
export function tokenizer_from_gguf(metadata: Metadata, source: string): Tokenizer {
  const special = specialTokens(metadata, source);
  const vocabulary = readGGUFVocabulary(metadata, special, source);
  const tokens: Partial<Record<Role, string>> = {};
  for (const [token, id] of vocabulary.ids) for (const role of ROLES) if (special[role] === id) tokens[role] = token;
  const templates = gguf_templates(metadata, source);
  // llama.cpp's name of a template of its own, which converters write where a model has none; it tells the version.
  const version = builtIn.exec(typeof templates?.default === "string" ? templates.default : "")?.[1];
  if (version) delete templates!.default;
  return new Tokenizer(
    { ...vocabulary, version },
    {
      tokens,
      added_tokens: vocabulary.added_tokens,
      special_ids: [...special.named],
      chat_template: templates && Object.keys(templates).length > 0 ? templates : undefined,
      padding_side: "right",
      truncation_side: "right",
      model_max_length: Number.POSITIVE_INFINITY,
    },
  );
}

function specialTokens(metadata: Metadata, source: string): GGUFSpecialTokens {
  try {
    return ggufSpecialTokens(metadata, source);
  } catch (cause) {
    throw new TokenizerError((cause as Error).message, { cause });
  }
}

const builtIn = /^mistral-(v\d+)(?:-tekken)?$/;

/** `tokenizer.chat_template`, and further ones as `tokenizer.chat_template.NAME`. */
function gguf_templates(metadata: Metadata, source: string): Record<string, string> | undefined {
  const key = "tokenizer.chat_template";
  const named: [string, string][] = [];
  for (const [name, value] of metadata) {
    if (name === key) named.push(["default", string(value, `${source}: ${name}`)]);
    else if (name.startsWith(`${key}.`)) named.push([name.slice(key.length + 1), string(value, `${source}: ${name}`)]);
  }
  return named.length > 0 ? Object.fromEntries(named) : undefined;
}

/** Loads tokenizers by the name users know from transformers. */
export const AutoTokenizer: {
  /**
   * @param source - a folder with tokenizer.json, tekken.json or tokenizer.model, or such a file, or a .gguf file, by its path
   *   or URL; or `owner/name` of a model on a hub, of which no more is downloaded than the tokenizer, where that stands alone
   * @throws {@link TokenizerError} when there is none, or it is damaged or not supported; CheckpointError when the path
   *   leads nowhere, or a file cannot be read; HubError or WriteError where it is to be downloaded
   * @example
   * const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
   * tokenizer.encode("Hello world");
   */
  from_pretrained(source: ModelSource, options?: TokenizerOptions): Promise<Tokenizer>;
} = {
  async from_pretrained(source, given) {
    const options = givenOptions<TokenizerOptions>(given, "AutoTokenizer.from_pretrained", snapshotOptions);
    if (options.file !== undefined) textArgument(options.file, "file");
    return loadTokenizer(await findRepository(await currentPlatform(), source, "tokenizer", options), options);
  },
};
