// Finds and reads a tokenizer: a folder as on the hub (tokenizer.json before tokenizer.model before a GGUF file), or one
// file of these kinds. Sizes are bounded before anything is read.
import { readGGUF } from "../checkpoint/gguf.ts";
import { TokenizerError } from "../errors.ts";
import { currentPlatform } from "../platform/index.ts";
import type { Platform } from "../platform/platform.ts";
import { readJSON, string } from "./fields.ts";
import { ggufTokenId, type Metadata, readGGUFVocabulary } from "./gguf_vocabulary.ts";
import { fromSentencePieces } from "./sentencepiece.ts";
import {
  aroundText,
  type ChatTemplates,
  type ConfigFiles,
  type ParsedFile,
  ROLES,
  readConfig,
  type TokenizerConfig,
} from "./special_tokens.ts";
import { Tokenizer } from "./tokenizer.ts";
import { readTokenizerJSON } from "./tokenizer_json.ts";
import { readTokenizerModel } from "./tokenizer_model.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface TokenizerOptions {
  /** Which file of a folder, e.g. `tokenizer.model`; by default the first there is of its kinds. */
  file?: string;
}

/** Bytes; the largest in use are a tenth of these. */
const MAX_TOKENIZER_BYTES = 2 ** 28;
const MAX_CONFIG_BYTES = 2 ** 24;

/**
 * Loads a tokenizer from a folder or a file. For a file that is no GGUF, the config files beside it are read too.
 * @param path - a folder, or a tokenizer.json, tokenizer.model or .gguf file
 * @throws {@link TokenizerError} when there is none, or it is damaged or not supported
 * @throws CheckpointError when a file cannot be read, or the GGUF header is damaged
 */
export async function loadTokenizer(
  platform: Platform,
  path: string,
  options: TokenizerOptions = {},
): Promise<Tokenizer> {
  const found = await platform.stat(path);
  if (!found) throw new TokenizerError(`${path}: expected a folder or a file with a tokenizer, found nothing there`);
  if (found.kind === "file") return load_file(platform, path, path.replace(/[^/\\]*$/, ""));
  const names = await platform.list(path);
  const name =
    options.file ??
    ["tokenizer.json", "tokenizer.model"].find((n) => names.includes(n)) ??
    names.find((n) => n.endsWith(".gguf"));
  if (name === undefined || !names.includes(name))
    throw new TokenizerError(
      `${path}: expected ${options.file ?? "tokenizer.json, tokenizer.model or a .gguf file"}, found ${names.slice(0, 20).join(", ") || "an empty folder"}`,
    );
  return load_file(platform, platform.join(path, name), path);
}

async function load_file(platform: Platform, path: string, folder: string): Promise<Tokenizer> {
  if (path.endsWith(".gguf")) return load_gguf(platform, path);
  const bytes = await platform.read_file(path, MAX_TOKENIZER_BYTES);
  const files = await read_config_files(platform, folder);
  let vocabulary: Vocabulary;
  if (path.endsWith(".json")) vocabulary = readTokenizerJSON(readJSON(bytes, path), path);
  else vocabulary = fromSentencePieces(readTokenizerModel(bytes, path, aroundText(files.tokenizer_config)));
  return new Tokenizer(vocabulary, readConfig(files, vocabulary));
}

async function read_config_files(platform: Platform, folder: string): Promise<ConfigFiles> {
  const read = async (name: string): Promise<{ bytes: Uint8Array; source: string } | undefined> => {
    const source = platform.join(folder, name);
    const found = await platform.stat(source);
    return found?.kind === "file" ? { bytes: await platform.read_file(source, MAX_CONFIG_BYTES), source } : undefined;
  };
  const parsed = async (name: string): Promise<ParsedFile | undefined> => {
    const file = await read(name);
    return file && { json: readJSON(file.bytes, file.source), source: file.source };
  };
  const template = await read("chat_template.jinja");
  return {
    tokenizer_config: await parsed("tokenizer_config.json"),
    special_tokens_map: await parsed("special_tokens_map.json"),
    config: await parsed("config.json"),
    chat_template: template && new TextDecoder().decode(template.bytes),
  };
}

async function load_gguf(platform: Platform, path: string): Promise<Tokenizer> {
  const file = await platform.open(path);
  try {
    const { metadata } = await readGGUF(file);
    return tokenizer_from_gguf(metadata, path);
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
  const model = readGGUFVocabulary(metadata, source);
  const keys = { bos: "bos_token_id", eos: "eos_token_id", unk: "unknown_token_id", pad: "padding_token_id" };
  const tokens: TokenizerConfig["tokens"] = Object.fromEntries(
    ROLES.flatMap((role) => {
      const id = ggufTokenId(metadata, keys[role], model.pieces.length, source);
      return id === undefined ? [] : [[role, model.pieces[id]]];
    }),
  );
  return new Tokenizer(fromSentencePieces(model), {
    tokens,
    added_tokens: [],
    chat_template: gguf_templates(metadata, source),
    padding_side: "right",
    truncation_side: "right",
    model_max_length: Number.POSITIVE_INFINITY,
  });
}

/** `tokenizer.chat_template`, and further ones as `tokenizer.chat_template.NAME`. */
function gguf_templates(metadata: Metadata, source: string): ChatTemplates | undefined {
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
   * @param path - a folder with tokenizer.json or tokenizer.model, or such a file, or a .gguf file
   * @throws {@link TokenizerError} when there is none, or it is damaged or not supported
   * @example
   * const tokenizer = await AutoTokenizer.from_pretrained("models/demo");
   * tokenizer.encode("Hello world");
   */
  from_pretrained(path: string, options?: TokenizerOptions): Promise<Tokenizer>;
} = {
  async from_pretrained(path, options = {}) {
    return loadTokenizer(await currentPlatform(), path, options);
  },
};
