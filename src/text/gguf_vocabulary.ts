// Reads the vocabulary that a GGUF file carries in its metadata (`tokenizer.ggml.*`), as llama.cpp does.
import { type GGUFSpecialTokens, PIECE } from "../checkpoint/gguf_special_tokens.ts";
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import type { SentencePieces } from "./sentencepiece.ts";

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

/**
 * @param metadata - the file's key-value pairs
 * @param special - its special tokens
 * @param source - the file's path, for messages
 * @throws {@link TokenizerError} when the vocabulary is missing, damaged or not a SentencePiece one
 */
export function readGGUFVocabulary(metadata: Metadata, special: GGUFSpecialTokens, source: string): SentencePieces {
  const isBoolean = (value: unknown) => typeof value === "boolean";
  const flag = (name: string, otherwise: boolean) =>
    optional<boolean>(metadata, name, source, "true or false", isBoolean) ?? otherwise;
  const model = metadata.get(`${PREFIX}model`);
  if (model !== "llama")
    throw new TokenizerError(`${source}: ${PREFIX}model: expected "llama" (SentencePiece), found ${show(model)}`);
  const tokens = optional<string[]>(metadata, "tokens", source, "an array of strings", Array.isArray);
  if (!tokens || tokens.length === 0)
    throw new TokenizerError(`${source}: ${PREFIX}tokens: expected tokens, found none`);
  const bad = tokens.findIndex((piece) => typeof piece !== "string");
  if (bad >= 0)
    throw new TokenizerError(`${source}: ${PREFIX}tokens[${bad}]: expected a string, found ${typeof tokens[bad]}`);
  // Padding has no text in some files; llama.cpp's name for it keeps them apart.
  const pieces = tokens.map((piece, id) => (piece === "" ? `[EMPTY_${id}]` : piece));
  const kinds = numbers(metadata, "token_type", pieces.length, source) ?? guessKinds(pieces, special);
  return {
    source,
    rule: "llama.cpp",
    pieces,
    scores: numbers(metadata, "scores", pieces.length, source) ?? pieces.map(() => 0),
    kinds: Array.from(kinds, (kind, id) => special.kinds.get(id) ?? kind),
    add_dummy_prefix: flag("add_space_prefix", true),
    bos_id: flag("add_bos_token", true) ? special.bos : undefined,
    eos_id: flag("add_eos_token", false) ? special.eos : undefined,
    unk_id: special.unk,
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
