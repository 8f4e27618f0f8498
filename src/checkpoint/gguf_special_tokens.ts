// Which tokens of a GGUF vocabulary are special, and which of them end an answer. Keys name some, the vocabulary's kind
// has defaults for others, and many are known by their text alone.
// Source: llama.cpp 0.5.0, llama-vocab.cpp. Of several texts for one purpose, which go by an order of hashes there, the
// first in the vocabulary counts.
import { show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";

type Metadata = ReadonlyMap<string, unknown>;

const PREFIX = "tokenizer.ggml.";

/** The kinds of pieces, numbered as in SentencePiece's and GGUF's files. */
export const PIECE = { normal: 1, unknown: 2, control: 3, user_defined: 4, unused: 5, byte: 6 } as const;

export interface GGUFSpecialTokens {
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unk: number | undefined;
  readonly pad: number | undefined;
  /** Every token that ends an answer, eos first. */
  readonly ends: readonly number[];
  /** What keys of the file name. */
  readonly named: ReadonlySet<number>;
  /** The kinds of tokens that are known by their text, whatever the file says of them. */
  readonly kinds: ReadonlyMap<number, number>;
}

/** What a key names, or one of these texts where it is absent: such a text is a control token then. */
const purposes: readonly { keys: readonly string[]; ends: boolean; texts: readonly string[] }[] = [
  { keys: ["eot_token_id"], ends: true, texts: [] }, // its texts are all among endTexts
  { keys: ["eom_token_id"], ends: true, texts: [] },
  {
    keys: ["fim_pre_token_id", "prefix_token_id"],
    ends: false,
    texts: [
      "<|fim_prefix|>",
      "<fim-prefix>",
      "<fim_prefix>",
      "<｜fim▁begin｜>",
      "<PRE>",
      "▁<PRE>",
      "<|code_prefix|>",
      "<|prefix|>",
    ],
  },
  {
    keys: ["fim_suf_token_id", "suffix_token_id"],
    ends: false,
    texts: [
      "<|fim_suffix|>",
      "<fim-suffix>",
      "<fim_suffix>",
      "<｜fim▁hole｜>",
      "<SUF>",
      "▁<SUF>",
      "<|code_suffix|>",
      "<|suffix|>",
    ],
  },
  {
    keys: ["fim_mid_token_id", "middle_token_id"],
    ends: false,
    texts: [
      "<|fim_middle|>",
      "<fim-middle>",
      "<fim_middle>",
      "<｜fim▁end｜>",
      "<MID>",
      "▁<MID>",
      "<|code_middle|>",
      "<|middle|>",
    ],
  },
  { keys: ["fim_pad_token_id"], ends: true, texts: ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"] },
  {
    keys: ["fim_rep_token_id"],
    ends: true,
    texts: ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
  },
  { keys: ["fim_sep_token_id"], ends: true, texts: ["<|file_sep|>"] },
];

/** Tokens of these texts end an answer in any file, and are control tokens. */
const endTexts = [
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "<｜end▁of▁sentence｜>",
  "[e~[",
];

/** Marks of a format whose messages the caller takes apart: shown, not skipped. */
const shownTexts = ["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

const known: ReadonlySet<string> = new Set([...purposes.flatMap(({ texts }) => texts), ...endTexts, ...shownTexts]);

/**
 * @param metadata - the file's key-value pairs
 * @param where - the file's path, for messages
 * @throws {@link CheckpointError} when an id is no number; one that no token has counts as absent
 */
export function ggufSpecialTokens(metadata: Metadata, where: string): GGUFSpecialTokens {
  const tokens = metadata.get(`${PREFIX}tokens`);
  const list: readonly unknown[] = Array.isArray(tokens) ? tokens : [];
  const size = Array.isArray(tokens) ? list.length : Number.POSITIVE_INFINITY;
  const byText = new Map<string, number>();
  for (const [id, text] of list.entries()) if (known.has(text as string)) byText.set(text as string, id);
  const named = new Set<number>();
  const byKey = (...keys: string[]): number | undefined => {
    let found: number | undefined;
    for (const key of keys) {
      const value = metadata.get(PREFIX + key);
      if (value === undefined) continue;
      if (typeof value !== "number" && typeof value !== "bigint")
        throw new CheckpointError(`${PREFIX}${key}: expected a number, found ${show(value)} in ${where}`);
      const id = Number(value);
      if (Number.isInteger(id) && id >= 0 && id < size) found = id;
    }
    if (found !== undefined) named.add(found);
    return found;
  };
  // Of other kinds of vocabularies, nothing is known but what keys say.
  const otherwise = (id: number) =>
    (metadata.get(`${PREFIX}model`) ?? "llama") === "llama" && id < size ? id : undefined;
  const bos = byKey("bos_token_id") ?? otherwise(1);
  const eos = byKey("eos_token_id") ?? otherwise(2);
  const unk = byKey("unknown_token_id") ?? otherwise(0);
  const pad = byKey("padding_token_id");

  const { ends, kinds } = findEnds(byText, byKey, eos);
  return { bos, eos, unk, pad, ends, named, kinds };
}

/**
 * The tokens that would end an answer if a vocabulary stood in a GGUF file, by their texts alone.
 * @param idOf - the id of a token by its text
 * @param eos - the end of sequence, which is one of them
 */
export function endsByText(idOf: (text: string) => number | undefined, eos: number | undefined): readonly number[] {
  const byText = new Map<string, number>();
  for (const text of known) {
    const id = idOf(text);
    if (id !== undefined) byText.set(text, id);
  }
  return findEnds(byText, () => undefined, eos).ends;
}

function findEnds(
  byText: ReadonlyMap<string, number>,
  byKey: (...keys: string[]) => number | undefined,
  eos: number | undefined,
): Pick<GGUFSpecialTokens, "ends" | "kinds"> {
  const kinds = new Map<number, number>();
  const ends = new Set<number>();
  for (const { keys, ends: isEnd, texts } of purposes) {
    let id = byKey(...keys);
    if (id === undefined) {
      const found = texts.flatMap((text) => byText.get(text) ?? []);
      if (found.length === 0) continue;
      id = Math.min(...found);
      kinds.set(id, PIECE.control);
    }
    if (isEnd) ends.add(id);
  }
  for (const text of endTexts) {
    const id = byText.get(text);
    if (id === undefined) continue;
    ends.add(id);
    kinds.set(id, PIECE.control);
  }
  for (const text of shownTexts) if (byText.has(text)) kinds.set(byText.get(text)!, PIECE.user_defined);
  if (eos !== undefined) ends.add(eos);
  takeBack(ends, kinds, byText);
  return { ends: [...ends].sort((a, b) => order(a, eos) - order(b, eos)), kinds };
}

const order = (id: number, first: number | undefined): number => (id === first ? -1 : id);

/** Texts that end an answer in other formats than those whose marks stand beside them. */
function takeBack(ends: Set<number>, kinds: Map<number, number>, byText: ReadonlyMap<string, number>): void {
  const has = (text: string) => byText.has(text) && ends.has(byText.get(text)!);
  const call = has("<|call|>") || has("<|calls|>");
  for (const [text, kind, beside] of [
    ["<|end|>", PIECE.user_defined, call && (has("<|return|>") || has("<|flush|>"))],
    ["</s>", PIECE.normal, has("<|tool_response>")],
  ] as const)
    if (beside && has(text)) {
      ends.delete(byText.get(text)!);
      kinds.set(byText.get(text)!, kind);
    }
}
