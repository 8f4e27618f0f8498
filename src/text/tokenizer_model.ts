// Reads a SentencePiece model file (tokenizer.model): the pieces with their scores and kinds, and the settings that
// change what text becomes. Field numbers are those of sentencepiece_model.proto.
import { PIECE } from "../checkpoint/gguf_special_tokens.ts";
import { TokenizerError } from "../errors.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { fields } from "./protobuf.ts";
import type { SentencePieces } from "./sentencepiece.ts";

/** A fatal decoder that keeps U+FEFF: some vocabularies have a piece of it. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const BPE = 2; // TrainerSpec.ModelType

/**
 * @param bytes - the whole file
 * @param source - its path, for messages
 * @param options - which special tokens are put around a text
 * @throws {@link TokenizerError} when the file is damaged, or asks for what is not supported
 */
export function readTokenizerModel(
  bytes: Uint8Array,
  source: string,
  options: { add_bos_token: boolean; add_eos_token: boolean },
): SentencePieces {
  const pieces: string[] = [];
  const scores: number[] = [];
  const kinds: number[] = [];
  const trainer = { type: 1, bos_id: 1, eos_id: 2, whitespace_as_suffix: 0 };
  const normalizer = { charsmap: 0, add_dummy_prefix: 1, remove_extra_whitespaces: 1, escape_whitespaces: 1 };
  for (const { number, value } of fields(bytes, source)) {
    if (typeof value === "number") continue;
    if (number === 1) {
      if (pieces.length === TEXT_LIMITS.tokens)
        throw new TokenizerError(`${source}: expected at most ${TEXT_LIMITS.tokens} pieces, found more`);
      const piece = readPiece(value, `${source}: piece ${pieces.length}`);
      pieces.push(piece.text);
      scores.push(piece.score);
      kinds.push(piece.kind);
    } else if (number === 2) {
      for (const field of fields(value, `${source}: trainer_spec`)) {
        if (typeof field.value !== "number") continue;
        if (field.number === 3) trainer.type = field.value;
        else if (field.number === 24) trainer.whitespace_as_suffix = field.value;
        else if (field.number === 41) trainer.bos_id = field.value;
        else if (field.number === 42) trainer.eos_id = field.value;
      }
    } else if (number === 3) {
      for (const field of fields(value, `${source}: normalizer_spec`)) {
        if (field.number === 2 && typeof field.value !== "number") normalizer.charsmap = field.value.length;
        if (typeof field.value !== "number") continue;
        if (field.number === 3) normalizer.add_dummy_prefix = field.value;
        else if (field.number === 4) normalizer.remove_extra_whitespaces = field.value;
        else if (field.number === 5) normalizer.escape_whitespaces = field.value;
      }
    }
  }
  const need = (what: string, expected: number, found: number) => {
    if (found !== expected) throw new TokenizerError(`${source}: ${what}: expected ${expected}, found ${found}`);
  };
  if (pieces.length === 0) throw new TokenizerError(`${source}: expected a SentencePiece model, found no pieces`);
  need("trainer_spec.model_type (2 is BPE)", BPE, trainer.type);
  need("trainer_spec.treat_whitespace_as_suffix", 0, trainer.whitespace_as_suffix);
  need("normalizer_spec.precompiled_charsmap, bytes", 0, normalizer.charsmap);
  need("normalizer_spec.remove_extra_whitespaces", 0, normalizer.remove_extra_whitespaces);
  need("normalizer_spec.escape_whitespaces", 1, normalizer.escape_whitespaces);
  const special = (id: number) => (id < pieces.length ? id : undefined); // −1 is a varint of ten bytes: none
  return {
    source,
    rule: "sentencepiece",
    pieces,
    scores,
    kinds,
    add_dummy_prefix: normalizer.add_dummy_prefix !== 0,
    bos_id: options.add_bos_token ? special(trainer.bos_id) : undefined,
    eos_id: options.add_eos_token ? special(trainer.eos_id) : undefined,
  };
}

function readPiece(bytes: Uint8Array, where: string): { text: string; score: number; kind: number } {
  let text = "";
  let score = 0;
  let kind: number = PIECE.normal;
  for (const { number, value } of fields(bytes, where)) {
    if (number === 1 && typeof value !== "number") {
      try {
        text = utf8.decode(value);
      } catch (cause) {
        throw new TokenizerError(`${where}: expected UTF-8`, { cause });
      }
    } else if (number === 2 && typeof value !== "number" && value.length === 4)
      score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
    else if (number === 3 && typeof value === "number") kind = value;
  }
  return { text, score, kind };
}
