// Reads the vocabulary that a GGUF file carries in its metadata (`tokenizer.ggml.*`).
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { PIECE, type SentencePieces } from "./sentencepiece.ts";

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
  if (values && values.length !== length)
    throw new TokenizerError(
      `${source}: ${PREFIX}${name}: expected one value for each of ${length} tokens, found ${values.length}`,
    );
  const numeric = values && Array.from(values, Number);
  if (numeric?.some(Number.isNaN)) throw new TokenizerError(`${source}: ${PREFIX}${name}: expected numbers only`);
  return numeric;
}

/** A special token's id as the metadata has it, e.g. `bos_token_id`. */
export function ggufTokenId(metadata: Metadata, name: string, tokens: number, source: string): number | undefined {
  const value = optional<number | bigint>(
    metadata,
    name,
    source,
    "a number",
    (v) => typeof v === "number" || typeof v === "bigint",
  );
  if (value === undefined) return undefined;
  const id = Number(value);
  if (!Number.isInteger(id) || id < 0 || id >= tokens)
    throw new TokenizerError(`${source}: ${PREFIX}${name}: expected an id from 0 to ${tokens - 1}, found ${value}`);
  return id;
}

/**
 * @param metadata - the file's key-value pairs
 * @param source - the file's path, for messages
 * @throws {@link TokenizerError} when the vocabulary is missing, damaged or not a SentencePiece one
 */
export function readGGUFVocabulary(metadata: Metadata, source: string): SentencePieces {
  const isBoolean = (value: unknown) => typeof value === "boolean";
  const flag = (name: string, otherwise: boolean) =>
    optional<boolean>(metadata, name, source, "true or false", isBoolean) ?? otherwise;
  const model = metadata.get(`${PREFIX}model`);
  if (model !== "llama")
    throw new TokenizerError(`${source}: ${PREFIX}model: expected "llama" (SentencePiece), found ${show(model)}`);
  const pieces = optional<string[]>(metadata, "tokens", source, "an array of strings", Array.isArray);
  if (!pieces || pieces.length === 0)
    throw new TokenizerError(`${source}: ${PREFIX}tokens: expected tokens, found none`);
  const bad = pieces.findIndex((piece) => typeof piece !== "string");
  if (bad >= 0)
    throw new TokenizerError(`${source}: ${PREFIX}tokens[${bad}]: expected a string, found ${typeof pieces[bad]}`);
  const scores = numbers(metadata, "scores", pieces.length, source);
  if (!scores) throw new TokenizerError(`${source}: ${PREFIX}scores: expected a score for each token, found nothing`);
  if (flag("remove_extra_whitespaces", false))
    throw new TokenizerError(`${source}: ${PREFIX}remove_extra_whitespaces: expected false, found true`);
  const ids = Object.fromEntries(
    ["bos_token_id", "eos_token_id", "unknown_token_id"].map((name) => [
      name,
      ggufTokenId(metadata, name, pieces.length, source),
    ]),
  );
  return {
    source,
    pieces,
    scores,
    kinds: numbers(metadata, "token_type", pieces.length, source) ?? guessKinds(pieces, ids),
    add_dummy_prefix: flag("add_space_prefix", true),
    bos_id: flag("add_bos_token", true) ? ids.bos_token_id : undefined,
    eos_id: flag("add_eos_token", false) ? ids.eos_token_id : undefined,
  };
}

/** Files without token types: byte tokens are known by their text, the special ones by their ids. */
const guessKinds = (pieces: readonly string[], ids: Record<string, number | undefined>): number[] =>
  pieces.map((piece, id) => {
    if (id === ids.unknown_token_id) return PIECE.unknown;
    if (id === ids.bos_token_id || id === ids.eos_token_id) return PIECE.control;
    return /^<0x[0-9A-F]{2}>$/.test(piece) ? PIECE.byte : PIECE.normal;
  });
