// The vocabulary of a GGUF as the files that a folder has: tokenizer.json, its merges by the pieces' scores, as transformers
// converts SentencePiece's models; tokenizer_config.json; the chat template.
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { ggufSpecialTokens, PIECE } from "../checkpoint/gguf_special_tokens.ts";
import { readSentencePieces } from "../text/gguf_vocabulary.ts";
import { TEXT_LIMITS } from "../text/limits.ts";
import { PieceCuts } from "../text/piece_cuts.ts";
import { fromSentencePieces, type SentencePieces } from "../text/sentencepiece.ts";
import { configJSON } from "./config_json.ts";

const utf8 = new TextEncoder();

/**
 * The files by name; none where the vocabulary is of another kind than SentencePiece's.
 * @throws TokenizerError or CheckpointError when the vocabulary is damaged
 */
export function ggufTokenizerFiles({ metadata, path }: Checkpoint): Record<string, Uint8Array> {
  if (metadata.get("tokenizer.ggml.model") !== "llama") return {};
  const special = ggufSpecialTokens(metadata, path);
  const vocabulary = readSentencePieces(metadata, special, path);
  const piece = (id: number | undefined) => (id === undefined ? undefined : vocabulary.pieces[id]);
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: piece(special.bos),
    eos_token: piece(special.eos),
    unk_token: piece(special.unk),
    pad_token: piece(special.pad),
    clean_up_tokenization_spaces: false,
  };
  const template = metadata.get("tokenizer.chat_template");
  return {
    "tokenizer.json": utf8.encode(JSON.stringify(tokenizerJSON(vocabulary))),
    "tokenizer_config.json": utf8.encode(`${configJSON(config)}\n`),
    ...(typeof template === "string" ? { "chat_template.jinja": utf8.encode(template) } : {}),
  };
}

/** The contents of tokenizer.json, in its first form: what is done to a text and to tokens is written out. */
function tokenizerJSON(vocabulary: SentencePieces): unknown {
  const { pieces, add_dummy_prefix, bos_id, eos_id } = vocabulary;
  const { ids, added_tokens, unk_id } = fromSentencePieces(vocabulary); // which checks the pieces
  const replace = (pattern: string, content: string) => ({ type: "Replace", pattern: { String: pattern }, content });
  const prepend = { type: "Prepend", prepend: "▁" };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added_tokens.map(({ id, content, special }) => {
      return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
    }),
    normalizer: { type: "Sequence", normalizers: [...(add_dummy_prefix ? [prepend] : []), replace(" ", "▁")] },
    pre_tokenizer: null,
    post_processor: postProcessor(pieces, bos_id, eos_id),
    decoder: {
      type: "Sequence",
      decoders: [replace("▁", " "), { type: "ByteFallback" }, { type: "Fuse" }, ...(add_dummy_prefix ? [strip] : [])],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unk_id === undefined ? null : pieces[unk_id],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: mergesOf(vocabulary, ids),
    },
  };
}

/** Every way to make a piece of two others: the best score first, then by the ids of the parts. */
function mergesOf({ pieces, scores, kinds }: SentencePieces, ids: ReadonlyMap<string, number>): [string, string][] {
  const scored = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) if (kinds[id] === PIECE.normal) scored.set(piece, scores[id]);
  const cuts = new PieceCuts(scored, TEXT_LIMITS.token);
  const merges: { score: number; pair: [string, string] }[] = [];
  for (const [piece, score] of scored) {
    const pairs = cuts.of(piece).sort(([a, b], [c, d]) => ids.get(a)! - ids.get(c)! || ids.get(b)! - ids.get(d)!);
    for (const pair of pairs) merges.push({ score, pair });
  }
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

/** BOS before each text and EOS behind it, where they are wanted. */
function postProcessor(pieces: readonly string[], bos: number | undefined, eos: number | undefined): unknown {
  const around = [bos, eos].filter((id) => id !== undefined);
  if (around.length === 0) return null;
  const token = (id: number | undefined, type_id: number) =>
    id === undefined ? [] : [{ SpecialToken: { id: pieces[id], type_id } }];
  const text = (id: string, type_id: number) => [
    ...token(bos, type_id),
    { Sequence: { id, type_id } },
    ...token(eos, type_id),
  ];
  return {
    type: "TemplateProcessing",
    single: text("A", 0),
    pair: [...text("A", 0), ...text("B", 1)],
    special_tokens: Object.fromEntries(
      around.map((id) => [pieces[id], { id: pieces[id], ids: [id], tokens: [pieces[id]] }]),
    ),
  };
}
