// What tokenizer.model and a GGUF vocabulary share: SentencePiece's pieces with scores and kinds, made into the same
// vocabulary that a tokenizer.json in its first form spells out, so that all three give the same ids. The two differ in
// which pieces a text is made of, and in which are found in it as they stand: as SentencePiece, and as llama.cpp.
import { PIECE } from "../checkpoint/gguf_special_tokens.ts";
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { MergeTable } from "./merges.ts";
import { surround } from "./sequence_template.ts";
import { type AddedToken, byteIds, byteToken, MAX_ID, type Vocabulary } from "./vocabulary.ts";

export interface SentencePieces {
  readonly source: string;
  readonly rule: "sentencepiece" | "llama.cpp";
  /** Piece i has id i. */
  readonly pieces: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly kinds: ArrayLike<number>;
  /** Put a ▁ in front of every stretch of text. */
  readonly add_dummy_prefix: boolean;
  /** Put around a text; undefined where it is not wanted. */
  readonly bos_id: number | undefined;
  readonly eos_id: number | undefined;
  /** The first of kind unknown where it is absent. */
  readonly unk_id?: number | undefined;
}

/**
 * Control and unknown pieces become literals of the text as given. By SentencePiece's rule, user-defined ones are those of
 * the normalized text, and unused pieces keep their ids, but no text becomes one. By llama.cpp's, user-defined ones are as
 * control pieces, the longest is found first, and a text can become a piece of any kind.
 * @throws {@link TokenizerError} when a piece is there twice, or has no proper score or kind
 */
export function fromSentencePieces(model: SentencePieces): Vocabulary {
  const { source, pieces, scores, kinds } = model;
  const llama = model.rule === "llama.cpp";
  const ids = new Map<string, number>();
  const scored = new Map<string, number>();
  const added: AddedToken[] = [];
  let unknown = model.unk_id;
  for (let id = 0; id < pieces.length; id++) {
    const piece = pieces[id];
    const kind = kinds[id];
    const where = `${source}: piece ${id} ${show(piece)}`;
    if (piece === "") throw new TokenizerError(`${where}: expected some text, found none`);
    if (ids.has(piece))
      throw new TokenizerError(`${where}: expected each piece once, piece ${ids.get(piece)} is the same`);
    ids.set(piece, id);
    const literal = kind === PIECE.unknown || kind === PIECE.control || kind === PIECE.user_defined;
    if (kind === PIECE.byte ? !bytePattern.test(piece) : !llama && !literal && kind !== 1 && kind !== PIECE.unused)
      throw new TokenizerError(
        `${where}: expected kind 1 to 5, or 6 and a text from ${byteToken(0)} to ${byteToken(255)}, found kind ${kind}`,
      );
    if (kind === PIECE.normal || (llama && piece.length <= TEXT_LIMITS.token)) {
      if (!Number.isFinite(scores[id]))
        throw new TokenizerError(`${where}: expected a finite score, found ${scores[id]}`);
      scored.set(piece, scores[id]);
    }
    if (literal) added.push(literalOf(piece, id, kind, llama));
    if (kind === PIECE.unknown) unknown ??= id;
  }
  const byte_ids = llama
    ? llamaByteIds(ids, unknown)
    : byteIds(new Map([...ids].filter(([, id]) => kinds[id] === PIECE.byte)), source);
  const characters = llama && byte_ids ? innerCharacters(scored) : undefined;
  const symbols = characters ? new Map([...ids, ...characters]) : ids;
  const replace = { pattern: " ", content: "▁" };
  return {
    source,
    ids,
    merges: MergeTable.fromScores(scored, symbols, source),
    characters,
    byte_ids,
    unk_id: unknown,
    fuse_unk: true,
    added_tokens: added,
    declared_ids: true,
    longest_first: llama,
    text_form: {
      normalizer: model.add_dummy_prefix ? [{ prepend: "▁" }, { replace }] : [{ replace }],
      pre_tokenizer: {},
    },
    template: surround(model.bos_id, model.eos_id),
    decoder: {
      where: `${source}: decoder`,
      replace: [{ pattern: "▁", content: " " }],
      byte_fallback: true,
      strip: { content: " ", count: model.add_dummy_prefix ? 1 : 0 },
    },
  };
}

const bytePattern = /^<0x[0-9A-F]{2}>$/;

/** A piece as a literal of the text. */
export function literalOf(content: string, id: number, kind: number, llama: boolean): AddedToken {
  const user = kind === PIECE.user_defined;
  const normalized = user && !llama ? content : undefined;
  return { id, content, special: !user, normalized, single_word: false, lstrip: false, rstrip: false };
}

/** Byte tokens by their text, whatever their kind; one that is missing is unknown. */
function llamaByteIds(ids: ReadonlyMap<string, number>, unknown: number | undefined): number[] | undefined {
  const found = Array.from({ length: 256 }, (_, byte) => ids.get(byteToken(byte)));
  if (found.every((id) => id === undefined)) return undefined;
  return found.flatMap((id) => id ?? unknown ?? []);
}

/**
 * Characters that stand within pieces and are none themselves: symbols beyond all ids, added to `scored`, since llama.cpp
 * joins what it has no token for, where the two together are one.
 */
function innerCharacters(scored: Map<string, number>): Map<string, number> {
  const characters = new Map<string, number>();
  for (const piece of [...scored.keys()])
    for (const character of piece)
      if (!scored.has(character)) {
        characters.set(character, MAX_ID + 1 + characters.size);
        scored.set(character, 0);
      }
  return characters;
}
