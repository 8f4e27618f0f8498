// Reads the vocabulary that a GGUF file carries in its metadata (`tokenizer.ggml.*`), as llama.cpp does: SentencePiece's
// (`llama`), and Tekken (`gpt2` with the pre-tokenizer `tekken`).
import { type GGUFSpecialTokens, PIECE } from "../checkpoint/gguf_special_tokens.ts";
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { spellBytes } from "./byte_level.ts";
import { short } from "./fields.ts";
import { MergeTable, readMerge } from "./merges.ts";
import { fromSentencePieces, literalOf, type SentencePieces } from "./sentencepiece.ts";
import { surround } from "./sequence_template.ts";
import { PatternSplitter } from "./splitter.ts";
import { TEKKEN_PATTERN } from "./tekken.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Values as the GGUF reader gives them; arrays are typed arrays or plain ones. */
export type Metadata = ReadonlyMap<string, unknown>;

const PREFIX = "tokenizer.ggml.";

function optional<T>(
  metadata: Metadata,
  name: string,
  source: string,
  expected: string,
  is: (value: unknown) => boolean,
): T | undefined {
  const value = metadata.get(PREFIX + name);
  if (value === undefined || is(value)) return value as T | undefined;
  throw new TokenizerError(`${source}: ${PREFIX}${name}: expected ${expected}, found ${typeof value}`);
}

const isList = (value: unknown): boolean =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

function numbers(metadata: Metadata, name: string, length: number, source: string): ArrayLike<number> | undefined {
  const values = optional<ArrayLike<unknown>>(metadata, name, source, "an array of numbers", isList);
  if (values && values.length < length)
    throw new TokenizerError(
      `${source}: ${PREFIX}${name}: expected one value for each of ${length} tokens, found ${values.length}`,
    );
  const numeric = values && Array.from({ length }, (_, i) => Number(values[i]));
  if (numeric?.some(Number.isNaN)) throw new TokenizerError(`${source}: ${PREFIX}${name}: expected numbers only`);
  return numeric;
}

const isBoolean = (value: unknown) => typeof value === "boolean";

const flag = (metadata: Metadata, name: string, source: string, otherwise: boolean): boolean =>
  optional<boolean>(metadata, name, source, "true or false", isBoolean) ?? otherwise;

function strings(metadata: Metadata, name: string, source: string): string[] {
  const texts = optional<string[]>(metadata, name, source, "an array of strings", Array.isArray);
  if (!texts || texts.length === 0)
    throw new TokenizerError(`${source}: ${PREFIX}${name}: expected ${name}, found none`);
  const bad = texts.findIndex((piece) => typeof piece !== "string");
  if (bad >= 0)
    throw new TokenizerError(`${source}: ${PREFIX}${name}[${bad}]: expected a string, found ${typeof texts[bad]}`);
  return texts;
}

/** The tokens' texts. Padding has none in some files; llama.cpp's name for it keeps them apart. */
const readPieces = (metadata: Metadata, source: string): string[] =>
  strings(metadata, "tokens", source).map((piece, id) => (piece === "" ? `[EMPTY_${id}]` : piece));

/**
 * @param metadata - the file's key-value pairs
 * @param special - its special tokens
 * @param source - the file's path, for messages
 * @throws {@link TokenizerError} when the vocabulary is missing, damaged or of another kind
 */
export function readGGUFVocabulary(metadata: Metadata, special: GGUFSpecialTokens, source: string): Vocabulary {
  const model = metadata.get(`${PREFIX}model`);
  if (model === "llama") return fromSentencePieces(readSentencePieces(metadata, special, source));
  if (model === "gpt2") return readTekken(metadata, special, source);
  throw new TokenizerError(
    `${source}: ${PREFIX}model: expected "llama" (SentencePiece) or "gpt2" (Tekken), found ${show(model)}`,
  );
}

/** The pieces of a vocabulary of SentencePiece's kind. @throws {@link TokenizerError} when it is damaged */
export function readSentencePieces(metadata: Metadata, special: GGUFSpecialTokens, source: string): SentencePieces {
  const pieces = readPieces(metadata, source);
  const kinds = numbers(metadata, "token_type", pieces.length, source) ?? guessKinds(pieces, special);
  return {
    source,
    rule: "llama.cpp",
    pieces,
    scores: numbers(metadata, "scores", pieces.length, source) ?? pieces.map(() => 0),
    kinds: Array.from(kinds, (kind, id) => special.kinds.get(id) ?? kind),
    add_dummy_prefix: flag(metadata, "add_space_prefix", source, true),
    ...around(metadata, special, source),
    unk_id: special.unk,
  };
}

const around = (metadata: Metadata, { bos, eos }: GGUFSpecialTokens, source: string) => ({
  bos_id: flag(metadata, "add_bos_token", source, true) ? bos : undefined,
  eos_id: flag(metadata, "add_eos_token", source, false) ? eos : undefined,
});

/** The file has no pattern, only a name for it. Every other name stands for another pattern, and other ids. */
function readTekken(metadata: Metadata, special: GGUFSpecialTokens, source: string): Vocabulary {
  const pre = metadata.get(`${PREFIX}pre`);
  if (pre !== "tekken")
    throw new TokenizerError(`${source}: ${PREFIX}pre: expected "tekken" for a model "gpt2", found ${show(pre)}`);
  const pieces = readPieces(metadata, source);
  const ids = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    if (ids.has(piece))
      throw new TokenizerError(
        `${source}: token ${id} ${show(piece)}: expected each token once, token ${ids.get(piece)} is the same`,
      );
    ids.set(short(piece, `${source}: ${PREFIX}tokens[${id}]`), id);
  }
  for (let byte = 0; byte < 256; byte++)
    if (!ids.has(spellBytes([byte])))
      throw new TokenizerError(`${source}: expected a token for each of the 256 bytes, that of ${byte} is missing`);
  const kinds = numbers(metadata, "token_type", pieces.length, source) ?? guessKinds(pieces, special);
  const added = pieces.flatMap((piece, id) => {
    const kind = special.kinds.get(id) ?? kinds[id];
    const literal = kind === PIECE.control || kind === PIECE.unknown || kind === PIECE.user_defined;
    return literal ? [literalOf(piece, id, kind, true)] : [];
  });
  const merges = strings(metadata, "merges", source).map((merge, i) =>
    readMerge(merge, `${source}: ${PREFIX}merges[${i}]`),
  );
  const { bos_id, eos_id } = around(metadata, special, source);
  const pre_tokenizer = { splits: [new PatternSplitter(TEKKEN_PATTERN, false, "Tekken's pattern")], byte_level: true };
  return {
    source,
    ids,
    merges: MergeTable.fromList(merges, ids, `${source}: ${PREFIX}merges`, `${PREFIX}tokens`, false),
    whole_from: 0,
    byte_ids: undefined,
    unk_id: special.unk,
    fuse_unk: false,
    added_tokens: added,
    plain_added: true,
    declared_ids: true,
    longest_first: true,
    text_form: { normalizer: [], pre_tokenizer },
    template: surround(bos_id, eos_id),
    decoder: "ByteLevel",
  };
}

/**
 * Files without token types. llama.cpp finds none of their special tokens in a text, but puts the beginning of sequence
 * itself before a conversation; here it is the chat template's, so that it must be found there.
 */
const guessKinds = (pieces: readonly string[], { bos, eos, unk }: GGUFSpecialTokens): number[] =>
  pieces.map((piece, id) => {
    if (!/^(?:<.*>|\[.*\])$/s.test(piece)) return PIECE.normal;
    return id === unk ? PIECE.unknown : id === bos || id === eos ? PIECE.control : PIECE.normal;
  });
