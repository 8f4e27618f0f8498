// A folder's tokenizer as GGUF's metadata. Source: the keys that llama.cpp's converter writes for SentencePiece
// vocabularies, where a piece's score says how soon it is made, and for Tekken, which has a list of merges.
import { PIECE } from "../checkpoint/gguf_special_tokens.ts";
import type { GGUFPair } from "../checkpoint/gguf_writer.ts";
import type { Repository } from "../checkpoint/repository.ts";
import { TokenizerError } from "../errors.ts";
import { readJSON } from "../text/fields.ts";
import { TEXT_LIMITS } from "../text/limits.ts";
import { bestFile, readConfigFiles, versioned } from "../text/load_tokenizer.ts";
import { fromSentencePieces } from "../text/sentencepiece.ts";
import { aroundText, type ConfigFiles, readConfig, type TokenizerConfig } from "../text/special_tokens.ts";
import { isTekken, readTekken, TEKKEN_PATTERN } from "../text/tekken.ts";
import { readMerges, readTokenizerJSON } from "../text/tokenizer_json.ts";
import { readTokenizerModel } from "../text/tokenizer_model.ts";
import { byteToken, type Vocabulary } from "../text/vocabulary.ts";

/** Pieces by id, as GGUF lists them. */
interface Pieces {
  readonly tokens: string[];
  readonly kinds: number[];
  readonly scores?: number[];
  readonly merges?: readonly string[];
  readonly vocabulary: Vocabulary;
}

/** What llama.cpp gives a piece that no text becomes. */
const WORST = -1e6;

/** Versions of conversations that llama.cpp has a template for, whose name converters write where a model has none. */
const BUILT_IN = { sentencepiece: ["v1", "v3", "v7"], tekken: ["v3", "v7"] };

/**
 * @param size - rows of the embedding: ids that the tokenizer lacks get names that no text spells
 * @throws {@link TokenizerError} when there is no tokenizer, or one that GGUF has no form for
 */
export async function vocabularyMetadata(repository: Repository, size: number): Promise<GGUFPair[]> {
  const names = (await repository.list()).map(({ name }) => name);
  const files = await readConfigFiles(repository);
  // SentencePiece's own file has the scores, which a tokenizer.json only implies.
  const name = names.includes("tokenizer.model") ? "tokenizer.model" : bestFile(names);
  if (name === undefined || name.endsWith(".gguf"))
    throw new TokenizerError(
      `${repository.name}: expected tokenizer.model, tokenizer.json or tekken.json, found ${names.slice(0, 20).join(", ")}`,
    );
  const pieces = await readPieces(repository, name, files);
  const { tokens, scores, kinds, merges, vocabulary } = pieces;
  const config = readConfig(files, vocabulary);
  for (const { id, content, special } of config.added_tokens) {
    tokens[id] = content;
    if (kinds[id] !== PIECE.unknown) kinds[id] = special ? PIECE.control : PIECE.user_defined;
    if (scores) scores[id] ??= merges ? 0 : WORST;
  }
  if (tokens.length > size)
    throw new TokenizerError(
      `${repository.name}: expected ids below ${size}, the rows of the embedding, found ${tokens.length - 1}`,
    );
  for (let id = 0; id < size; id++) {
    if (tokens[id] !== undefined) continue;
    [tokens[id], kinds[id]] = [`[PAD${id}]`, PIECE.unused];
    if (scores) scores[id] = merges ? 0 : WORST;
  }
  return [
    ["tokenizer.ggml.model", "string", merges ? "gpt2" : "llama"],
    ["tokenizer.ggml.pre", "string", merges ? "tekken" : "default"],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ...(scores ? [["tokenizer.ggml.scores", "f32[]", Float32Array.from(scores)] as const] : []),
    ["tokenizer.ggml.token_type", "i32[]", Int32Array.from(kinds)],
    ...(merges ? [["tokenizer.ggml.merges", "string[]", merges] as unknown as GGUFPair] : []),
    ...specialPairs(tokens, vocabulary, config),
    ...templatePairs(config, vocabulary, merges ? "tekken" : "sentencepiece"),
  ];
}

/** Ids of special tokens, and what is put around a text: one token before it and one behind it at most. */
function specialPairs(
  tokens: readonly string[],
  { source, template, text_form }: Vocabulary,
  config: TokenizerConfig,
): GGUFPair[] {
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const at = template.single.findIndex((item) => "text" in item);
  const around = [template.single.slice(0, at), template.single.slice(at + 1)];
  const [before, behind] = around.map((items) => items.flatMap((item) => ("ids" in item ? item.ids : [])));
  if (before.length > 1 || behind.length > 1)
    throw new TokenizerError(
      `${source}: expected one token before a text and one behind it at most, as GGUF has them, found ${before.length} and ${behind.length}`,
    );
  const role = (name: string, id: number | undefined): GGUFPair[] =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, "u32", id]];
  const { bos, eos, unk, pad } = config.tokens;
  const {
    normalizer,
    pre_tokenizer: { metaspace },
  } = text_form;
  const prefixed = metaspace ? metaspace.prepend_scheme !== "never" : normalizer.some((step) => "prepend" in step);
  return [
    ...role("bos", before[0] ?? idOf.get(bos ?? "")),
    ...role("eos", behind[0] ?? idOf.get(eos ?? "")),
    ...role("unknown", idOf.get(unk ?? "")),
    ...role("padding", idOf.get(pad ?? "")),
    ["tokenizer.ggml.add_bos_token", "bool", before.length > 0],
    ["tokenizer.ggml.add_eos_token", "bool", behind.length > 0],
    ["tokenizer.ggml.add_space_prefix", "bool", prefixed],
  ];
}

function templatePairs(
  { chat_template }: TokenizerConfig,
  { version }: Vocabulary,
  family: keyof typeof BUILT_IN,
): GGUFPair[] {
  const key = "tokenizer.chat_template";
  if (chat_template === undefined) {
    if (version === undefined || !BUILT_IN[family].includes(version)) return [];
    return [[key, "string", `mistral-${version}${family === "tekken" ? "-tekken" : ""}`]];
  }
  if (typeof chat_template === "string") return [[key, "string", chat_template]];
  return Object.entries(chat_template).map(([name, text]) => [
    name === "default" ? key : `${key}.${name}`,
    "string",
    text,
  ]);
}

async function readPieces(repository: Repository, name: string, files: ConfigFiles): Promise<Pieces> {
  const where = repository.where(name);
  const bytes = await repository.read(name, TEXT_LIMITS.file);
  if (!name.endsWith(".json")) return fromModel(bytes, where, name, files);
  const json = readJSON(bytes, where);
  if (isTekken(json)) return fromTekken(readTekken(json, where, aroundText(files.tokenizer_config)));
  const vocabulary = readTokenizerJSON(json, where);
  const merges = readMerges((json as { model: { merges: unknown } }).model.merges, `${where}: model.merges`);
  return vocabulary.text_form.pre_tokenizer.byte_level
    ? fromByteLevel(vocabulary, merges)
    : fromSentencePieceJSON(vocabulary, merges);
}

function fromModel(bytes: Uint8Array, where: string, name: string, files: ConfigFiles): Pieces {
  const model = readTokenizerModel(bytes, where, aroundText(files.tokenizer_config));
  const vocabulary = { ...fromSentencePieces(model), version: versioned.exec(name)?.[1] };
  const { pieces, scores, kinds } = model;
  return { tokens: [...pieces], scores: Array.from(scores), kinds: Array.from(kinds), vocabulary };
}

/** A tokenizer.json has no scores: a piece's is the place of the first merge that makes it, so that merges come in their order. */
function fromSentencePieceJSON(vocabulary: Vocabulary, merges: readonly (readonly [string, string])[]): Pieces {
  if (!vocabulary.byte_ids)
    throw new TokenizerError(
      `${vocabulary.source}: expected a vocabulary that spells bytes as ${byteToken(0)}, as SentencePiece's do, or Tekken`,
    );
  const tokens: string[] = [];
  const scores: number[] = [];
  const kinds: number[] = [];
  const bytes = new Set(vocabulary.byte_ids);
  for (const [token, id] of vocabulary.ids) {
    tokens[id] = token;
    kinds[id] = id === vocabulary.unk_id ? PIECE.unknown : bytes.has(id) ? PIECE.byte : PIECE.normal;
    scores[id] = bytes.has(id) || id === vocabulary.unk_id ? 0 : WORST;
  }
  for (const [rank, [left, right]] of merges.entries()) {
    const id = vocabulary.ids.get(left + right)!;
    if (scores[id] === WORST) scores[id] = -rank;
  }
  return { tokens, scores, kinds, vocabulary };
}

/** GGUF has names of patterns only; of Mistral's there is one. */
function fromByteLevel(vocabulary: Vocabulary, merges: readonly (readonly [string, string])[]): Pieces {
  const { splits } = vocabulary.text_form.pre_tokenizer;
  if (splits?.length !== 1 || splits[0].pattern !== TEKKEN_PATTERN)
    throw new TokenizerError(
      `${vocabulary.source}: pre_tokenizer: expected Tekken's pattern, for which GGUF has a name, found another`,
    );
  return { ...normalTokens(vocabulary), merges: merges.map(([left, right]) => `${left} ${right}`) };
}

/**
 * A tekken.json has ranks: merges are all ways to make a token of two others, in the order of ranks, those of one token by
 * the ranks of the left and of the right.
 */
function fromTekken(vocabulary: Vocabulary): Pieces {
  const special = new Set(vocabulary.added_tokens.map(({ id }) => id));
  const ids = new Map([...vocabulary.ids].filter(([, id]) => !special.has(id)));
  const merges: string[] = [];
  for (const [token] of [...ids].sort(([, a], [, b]) => a - b)) {
    const cuts: [left: number, right: number, at: number][] = [];
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [ids.get(token.slice(0, at)), ids.get(token.slice(at))];
      if (left !== undefined && right !== undefined) cuts.push([left, right, at]);
    }
    cuts.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    for (const [, , at] of cuts) merges.push(`${token.slice(0, at)} ${token.slice(at)}`);
  }
  const pieces = normalTokens(vocabulary);
  return { ...pieces, scores: pieces.tokens.map(() => 0), merges };
}

function normalTokens(vocabulary: Vocabulary): Pick<Pieces, "tokens" | "kinds" | "vocabulary"> {
  const tokens: string[] = [];
  const kinds: number[] = [];
  for (const [token, id] of vocabulary.ids) [tokens[id], kinds[id]] = [token, PIECE.normal];
  return { tokens, kinds, vocabulary };
}
