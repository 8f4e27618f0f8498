// What tokenizer.model and a GGUF vocabulary share: SentencePiece's pieces with scores and kinds, made into the same
// vocabulary that a tokenizer.json in its first form spells out, so that all three give the same ids.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { MergeTable } from "./merges.ts";
import { surround } from "./sequence_template.ts";
import { type AddedToken, byteIds, byteToken, type Vocabulary } from "./vocabulary.ts";

/** The kinds of pieces, numbered as in SentencePiece's and GGUF's files. */
export const PIECE = { normal: 1, unknown: 2, control: 3, user_defined: 4, unused: 5, byte: 6 } as const;

export interface SentencePieces {
  readonly source: string;
  /** Piece i has id i. */
  readonly pieces: readonly string[];
  readonly scores: ArrayLike<number>;
  readonly kinds: ArrayLike<number>;
  /** Put a ▁ in front of every stretch of text. */
  readonly add_dummy_prefix: boolean;
  /** Put around a text; undefined where it is not wanted. */
  readonly bos_id: number | undefined;
  readonly eos_id: number | undefined;
}

/**
 * Control and unknown pieces become literals of the text as given, user-defined ones of the normalized text. Unused
 * pieces keep their ids, but no text becomes one.
 * @throws {@link TokenizerError} when a piece is there twice, or has no proper score or kind
 */
export function fromSentencePieces(model: SentencePieces): Vocabulary {
  const { source, pieces, scores, kinds } = model;
  const ids = new Map<string, number>();
  const scored = new Map<string, number>();
  const added: AddedToken[] = [];
  let unknown: number | undefined;
  for (let id = 0; id < pieces.length; id++) {
    const piece = pieces[id];
    const kind = kinds[id];
    const where = `${source}: piece ${id} ${show(piece)}`;
    if (piece === "") throw new TokenizerError(`${where}: expected some text, found none`);
    if (ids.has(piece))
      throw new TokenizerError(`${where}: expected each piece once, piece ${ids.get(piece)} is the same`);
    ids.set(piece, id);
    if (kind === PIECE.normal) {
      if (!Number.isFinite(scores[id]))
        throw new TokenizerError(`${where}: expected a finite score, found ${scores[id]}`);
      scored.set(piece, scores[id]);
    } else if (kind === PIECE.unknown || kind === PIECE.control || kind === PIECE.user_defined) {
      const user = kind === PIECE.user_defined;
      added.push({
        id,
        content: piece,
        special: !user,
        normalized: user ? piece : undefined,
        single_word: false,
        lstrip: false,
        rstrip: false,
      });
      if (kind === PIECE.unknown) unknown ??= id;
    } else if (kind !== PIECE.unused && !(kind === PIECE.byte && /^<0x[0-9A-F]{2}>$/.test(piece)))
      throw new TokenizerError(
        `${where}: expected kind 1 to 5, or 6 and a text from ${byteToken(0)} to ${byteToken(255)}, found kind ${kind}`,
      );
  }
  const replace = { pattern: " ", content: "▁" };
  return {
    source,
    ids,
    merges: MergeTable.fromScores(scored, ids, source),
    byte_ids: byteIds(new Map([...ids].filter(([, id]) => kinds[id] === PIECE.byte)), source),
    unk_id: unknown,
    fuse_unk: true,
    added_tokens: added,
    text_form: {
      normalizer: model.add_dummy_prefix ? [{ prepend: "▁" }, { replace }] : [{ replace }],
      metaspace: undefined,
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
