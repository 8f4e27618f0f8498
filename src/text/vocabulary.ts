// What every tokenizer file comes down to, whatever its form: tokens and ids, merges with ranks, the text forms before
// and after, and the literals that stand for themselves. The three readers make it, the tokenizer runs it.
import { TokenizerError } from "../errors.ts";
import type { Decoder } from "./decoder.ts";
import type { MergeTable } from "./merges.ts";
import type { SequenceTemplate } from "./sequence_template.ts";
import type { TextForm } from "./text_form.ts";

/** A literal that is split out of the text before anything else, as in `added_tokens` of tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out by `skip_special_tokens`, unless it is decoded by another form. */
  readonly special: boolean;
  /** What it is found by in the normalized text; undefined where `content` is sought in the text as given. */
  readonly normalized: string | undefined;
  /** What the decoder gets, where it is not `content`: the normalized form, whose spaces come back that way. */
  readonly decoded?: string | undefined;
  /** Not matched inside a word. */
  readonly single_word: boolean;
  /** The match takes the white space before (after) it along. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

export interface Vocabulary {
  /** The file, for messages. */
  readonly source: string;
  /** The version of Mistral's format of conversations, e.g. `v3`, where the file tells it. */
  readonly version?: string | undefined;
  /** The model's own tokens, without those only added. */
  readonly ids: ReadonlyMap<string, number>;
  readonly merges: MergeTable;
  /** From which id on a whole stretch that is a token is not merged; absent where all are. */
  readonly whole_from?: number | undefined;
  /** Symbols beyond all ids, for characters that longer tokens hold and that are none: bytes, where they stay alone. */
  readonly characters?: ReadonlyMap<string, number> | undefined;
  /** Byte → id of its `<0xNN>` token, or undefined where the vocabulary cannot spell bytes. */
  readonly byte_ids: readonly number[] | undefined;
  readonly unk_id: number | undefined;
  /** Whether a run of unknown characters becomes one unknown token. */
  readonly fuse_unk: boolean;
  readonly added_tokens: readonly AddedToken[];
  /** Whether the texts of added tokens are as they stand, though the model's own are spelled byte by byte. */
  readonly plain_added?: boolean;
  /** Fields of tokenizer_config.json that the file has, for where that one is silent. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Whether ids that other files give to added tokens count; else these have the next. */
  readonly declared_ids?: boolean;
  /** Whether longer literals are sought before shorter ones in the whole text, as llama.cpp does; else the leftmost. */
  readonly longest_first?: boolean;
  readonly text_form: TextForm;
  readonly template: SequenceTemplate;
  readonly decoder: Decoder;
}

/** Largest id a file may use: a bound on what is plausible; nothing is allocated by it. */
export const MAX_ID = (1 << 24) - 1;

/** The token of a byte, as SentencePiece spells it. */
export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/**
 * The ids of the 256 byte tokens.
 * @returns undefined when there is none of them
 * @throws {@link TokenizerError} when some are there and others not
 */
export function byteIds(ids: ReadonlyMap<string, number>, source: string): number[] | undefined {
  const found = Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte)));
  const missing = found.indexOf(undefined);
  if (missing < 0) return found as number[];
  if (found.every((id) => id === undefined)) return undefined;
  throw new TokenizerError(`${source}: expected a token for each of the 256 bytes, ${byteToken(missing)} is missing`);
}
