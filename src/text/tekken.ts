// Reads tekken.json, Mistral's own file of its byte-level vocabularies: tokens as bytes in the order of their ranks, special
// tokens before them, and the pattern that cuts a text. Two neighbours join where their bytes are a token, the lowest rank
// first; a stretch that is a token is that token.
// Source: mistral-common 1.13, tekken.py.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { spellBytes } from "./byte_level.ts";
import { count, list, object, short, string, wrong } from "./fields.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { MergeTable } from "./merges.ts";
import { surround } from "./sequence_template.ts";
import { PatternSplitter } from "./splitter.ts";
import type { AddedToken, Vocabulary } from "./vocabulary.ts";

/** The special tokens of files without a list of them, by id. */
const NAMES = [
  ...["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"],
  ...["[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"],
  ...["[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"],
];

/** The pattern of every file in use, for files that only name it. */
export const TEKKEN_PATTERN = [
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*",
  "\\p{N}",
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
  "\\s*[\\r\\n]+",
  "\\s+(?!\\S)",
  "\\s+",
].join("|");

/** The last version whose files may leave the list out. */
const UNLISTED = 7;

/** What a tokenizer.json is told apart from it by. */
export const isTekken = (json: unknown): boolean =>
  typeof json === "object" && json !== null && "config" in json && "vocab" in json && !("model" in json);

/**
 * @param json - the parsed file; keys beside `vocab`, `special_tokens` and `config` are for other tools
 * @param source - its path, for messages
 * @param options - which special tokens are put around a text
 * @throws {@link TokenizerError} naming the part that is damaged or not supported
 */
export function readTekken(
  json: unknown,
  source: string,
  options: { add_bos_token: boolean; add_eos_token: boolean },
): Vocabulary {
  const file = object(json, source);
  const config = object(file.config, `${source}: config`);
  const version = string(config.version, `${source}: config.version`);
  if (!/^v\d{1,3}$/.test(version)) wrong(`${source}: config.version`, "v1, v2, v3, …", version);
  const specials = count(
    config.default_num_special_tokens,
    `${source}: config.default_num_special_tokens`,
    TEXT_LIMITS.tokens,
  );
  const size = count(config.default_vocab_size, `${source}: config.default_vocab_size`, TEXT_LIMITS.tokens);
  const ids = new Map<string, number>();
  const added = readSpecialTokens(file.special_tokens, specials, Number(version.slice(1)) > UNLISTED, source);
  for (const { content, id } of added) {
    if (ids.has(content))
      throw new TokenizerError(
        `${source}: special token ${id}: expected names of their own, ${ids.get(content)} is ${show(content)} too`,
      );
    ids.set(content, id);
  }
  const ranks = readTokens(file.vocab, specials, size, ids, source);
  const pattern = string(config.pattern, `${source}: config.pattern`);
  const role = (name: string) => ((ids.get(name) ?? specials) < specials ? name : undefined);
  return {
    source,
    ids,
    version,
    merges: MergeTable.fromScores(ranks, ids, source, false),
    whole_from: specials,
    byte_ids: undefined,
    unk_id: undefined,
    fuse_unk: false,
    added_tokens: added,
    plain_added: true,
    declared_ids: true,
    defaults: {
      bos_token: role("<s>"),
      eos_token: role("</s>"),
      unk_token: role("<unk>"),
      pad_token: role("<pad>"),
    },
    text_form: {
      normalizer: [],
      pre_tokenizer: { splits: [new PatternSplitter(pattern, false, `${source}: config.pattern`)], byte_level: true },
    },
    template: surround(
      options.add_bos_token ? ids.get("<s>") : undefined,
      options.add_eos_token ? ids.get("</s>") : undefined,
    ),
    decoder: "ByteLevel",
  };
}

/** Those of the list, in the order of their ids; what is left of them has numbers for names. */
function readSpecialTokens(value: unknown, specials: number, listed: boolean, source: string): AddedToken[] {
  const where = `${source}: special_tokens`;
  if (listed && (value === undefined || value === null)) wrong(where, "a list, as in every file after v7", value);
  const nameOf = (entry: unknown, i: number): string => {
    const token = object(entry, `${where}[${i}]`);
    if (token.rank !== i) wrong(`${where}[${i}].rank`, `${i}`, token.rank);
    const name = short(string(token.token_str, `${where}[${i}].token_str`), `${where}[${i}].token_str`);
    return name === "" ? wrong(`${where}[${i}].token_str`, "a name", name) : name;
  };
  const names = value === undefined || value === null ? NAMES : list(value, where).map(nameOf);
  if (names.length > specials)
    throw new TokenizerError(
      `${source}: config.default_num_special_tokens: expected at least the ${names.length} special tokens that have names, found ${specials}`,
    );
  return Array.from({ length: specials }, (_, id) => ({
    id,
    content: names[id] ?? `<SPECIAL_${id}>`,
    special: true,
    normalized: undefined,
    single_word: false,
    lstrip: false,
    rstrip: false,
  }));
}

/**
 * The tokens that are in use, behind the special ones: files hold more of them than a model has.
 * @param ids - that they are added to, by their spelling
 * @returns their scores, the lowest rank the highest
 */
function readTokens(
  value: unknown,
  specials: number,
  size: number,
  ids: Map<string, number>,
  source: string,
): Map<string, number> {
  const vocab = list(value, `${source}: vocab`);
  const used = size - specials;
  if (used < 256 || used > vocab.length)
    throw new TokenizerError(
      `${source}: config.default_vocab_size: expected ${specials} special tokens and 256 to ${vocab.length} others, found ${size} in all`,
    );
  const scores = new Map<string, number>();
  for (let rank = 0; rank < used; rank++) {
    const token = object(vocab[rank], `${source}: vocab[${rank}]`);
    if (token.rank !== rank) wrong(`${source}: vocab[${rank}].rank`, `${rank}`, token.rank);
    const bytes = base64(token.token_bytes);
    if (bytes === undefined || bytes.length === 0)
      return wrong(`${source}: vocab[${rank}].token_bytes`, "bytes in base64", token.token_bytes);
    if (rank < 256 && (bytes.length !== 1 || bytes[0] !== rank))
      wrong(`${source}: vocab[${rank}].token_bytes`, `the single byte ${rank}`, token.token_bytes);
    const spelled = spellBytes(bytes);
    const other = ids.get(spelled);
    if (other !== undefined)
      wrong(`${source}: vocab[${rank}].token_bytes`, `a token of its own, not that of id ${other}`, token.token_bytes);
    ids.set(spelled, specials + rank);
    scores.set(spelled, -rank);
  }
  return scores;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const DIGITS = new Int8Array(128).fill(-1);
for (let i = 0; i < ALPHABET.length; i++) DIGITS[ALPHABET.charCodeAt(i)] = i;

/** The bytes of a text in base64; undefined where it is none. */
function base64(text: unknown): Uint8Array | undefined {
  if (typeof text !== "string" || text.length % 4 !== 0) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((3 * text.length) / 4 - padding);
  let bits = 0;
  let done = 0;
  for (let i = 0; i < text.length - padding; i++) {
    const digit = DIGITS[text.charCodeAt(i)] ?? -1;
    if (digit < 0) return undefined;
    bits = (bits << 6) | digit;
    if (i % 4 > 0) bytes[done++] = bits >>> (6 - 2 * (i % 4));
  }
  return bytes;
}
