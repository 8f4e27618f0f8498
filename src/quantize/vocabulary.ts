// A folder's tokenizer as GGUF's metadata. Source: the keys that llama.cpp's converter writes for SentencePiece
// vocabularies, where a piece's score says how soon it is made.
import { PIECE } from "../checkpoint/gguf_special_tokens.ts";
import type { GGUFPair } from "../checkpoint/gguf_writer.ts";
import type { Repository } from "../checkpoint/repository.ts";
import { TokenizerError } from "../errors.ts";
import { readJSON } from "../text/fields.ts";
import { TEXT_LIMITS } from "../text/limits.ts";
import { readConfigFiles } from "../text/load_tokenizer.ts";
import { fromSentencePieces } from "../text/sentencepiece.ts";
import { aroundText, type ConfigFiles, ROLES, readConfig, type TokenizerConfig } from "../text/special_tokens.ts";
import { readMerges, readTokenizerJSON } from "../text/tokenizer_json.ts";
import { readTokenizerModel } from "../text/tokenizer_model.ts";
import { byteToken, type Vocabulary } from "../text/vocabulary.ts";

/** Pieces by id, as GGUF lists them. */
interface Pieces {
  readonly tokens: string[];
  readonly scores: number[];
  readonly kinds: number[];
  readonly vocabulary: Vocabulary;
  readonly config: TokenizerConfig;
}

/** What llama.cpp gives a piece that no text becomes. */
const WORST = -1e6;

/**
 * @param size - rows of the embedding: ids that the tokenizer lacks get names that no text spells
 * @throws {@link TokenizerError} when there is no tokenizer, or one that SentencePiece's scores cannot tell
 */
export async function vocabularyMetadata(repository: Repository, size: number): Promise<GGUFPair[]> {
  const names = (await repository.list()).map(({ name }) => name);
  const files = await readConfigFiles(repository);
  const pieces = names.includes("tokenizer.model")
    ? await fromModel(repository, files)
    : names.includes("tokenizer.json")
      ? await fromJSON(repository, files)
      : undefined;
  if (!pieces)
    throw new TokenizerError(
      `${repository.name}: expected tokenizer.model or tokenizer.json, found ${names.slice(0, 20).join(", ")}`,
    );
  const { tokens, scores, kinds, vocabulary, config } = pieces;
  for (const { id, content, special } of config.added_tokens) {
    tokens[id] = content;
    if (kinds[id] !== PIECE.unknown) kinds[id] = special ? PIECE.control : PIECE.user_defined;
    scores[id] ??= WORST;
  }
  if (tokens.length > size)
    throw new TokenizerError(
      `${repository.name}: expected ids below ${size}, the rows of the embedding, found ${tokens.length - 1}`,
    );
  for (let id = 0; id < size; id++) {
    if (tokens[id] !== undefined) continue;
    [tokens[id], scores[id], kinds[id]] = [`[PAD${id}]`, WORST, PIECE.unused];
  }
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const roles = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" } as const;
  const first = vocabulary.template.single;
  const at = first.findIndex((item) => "text" in item);
  const {
    normalizer,
    pre_tokenizer: { metaspace },
  } = vocabulary.text_form;
  const prefixed = metaspace ? metaspace.prepend_scheme !== "never" : normalizer.some((step) => "prepend" in step);
  return [
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.pre", "string", "default"],
    ["tokenizer.ggml.tokens", "string[]", tokens],
    ["tokenizer.ggml.scores", "f32[]", Float32Array.from(scores)],
    ["tokenizer.ggml.token_type", "i32[]", Int32Array.from(kinds)],
    ...ROLES.flatMap((role): GGUFPair[] => {
      const id = idOf.get(config.tokens[role] ?? "");
      return id === undefined ? [] : [[`tokenizer.ggml.${roles[role]}_token_id`, "u32", id]];
    }),
    ["tokenizer.ggml.add_bos_token", "bool", at > 0],
    ["tokenizer.ggml.add_eos_token", "bool", at < first.length - 1],
    ["tokenizer.ggml.add_space_prefix", "bool", prefixed],
    ...templatePairs(config),
  ];
}

function templatePairs({ chat_template }: TokenizerConfig): GGUFPair[] {
  const key = "tokenizer.chat_template";
  if (chat_template === undefined) return [];
  if (typeof chat_template === "string") return [[key, "string", chat_template]];
  return Object.entries(chat_template).map(([name, text]) => [
    name === "default" ? key : `${key}.${name}`,
    "string",
    text,
  ]);
}

async function fromModel(repository: Repository, files: ConfigFiles): Promise<Pieces> {
  const name = "tokenizer.model";
  const bytes = await repository.read(name, TEXT_LIMITS.file);
  const model = readTokenizerModel(bytes, repository.where(name), aroundText(files.tokenizer_config));
  const vocabulary = fromSentencePieces(model);
  const { pieces, scores, kinds } = model;
  return {
    tokens: [...pieces],
    scores: Array.from(scores),
    kinds: Array.from(kinds),
    vocabulary,
    config: readConfig(files, vocabulary),
  };
}

/** A tokenizer.json has no scores: a piece's is the place of the first merge that makes it, so that merges come in their order. */
async function fromJSON(repository: Repository, files: ConfigFiles): Promise<Pieces> {
  const name = "tokenizer.json";
  const where = repository.where(name);
  const json = readJSON(await repository.read(name, TEXT_LIMITS.file), where) as { model: { merges: unknown } };
  const vocabulary = readTokenizerJSON(json, where);
  if (!vocabulary.byte_ids || vocabulary.text_form.pre_tokenizer.byte_level)
    throw new TokenizerError(
      `${where}: expected a vocabulary that spells bytes as ${byteToken(0)}, as SentencePiece's do`,
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
  for (const [rank, [left, right]] of readMerges(json.model.merges, `${where}: model.merges`).entries()) {
    const id = vocabulary.ids.get(left + right)!;
    if (scores[id] === WORST) scores[id] = -rank;
  }
  return { tokens, scores, kinds, vocabulary, config: readConfig(files, vocabulary) };
}
