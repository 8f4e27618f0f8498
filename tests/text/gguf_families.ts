// Families of GGUF vocabularies as converters and fine-tunes leave them, made from a seed: kinds of added tokens, keys,
// missing and wrong ids, padding, odd pieces and scores; and the texts that are tried on each.
// make_gguf_families.mjs asks llama.cpp what it makes of them; gguf_families.test.ts compares.
import type { GGUFType, GGUFValue } from "../../src/checkpoint/gguf_types.ts";

export type Pair = [key: string, type: GGUFType, value: GGUFValue];

export interface Family {
  readonly name: string;
  readonly pairs: readonly Pair[];
  readonly tokens: readonly string[];
  readonly texts: readonly string[];
}

const KIND = { undefined: 0, normal: 1, unknown: 2, control: 3, user: 4, unused: 5, byte: 6 };
type Piece = [text: string, kind: number];

/** What a seed decides. */
class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed * 2654435761 + 1;
  }
  below(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

const WORDS = [
  "us",
  "er",
  "user",
  "▁user",
  "hi",
  "▁hi",
  "▁a",
  "▁▁",
  "▁▁▁▁",
  "th",
  "the",
  "▁the",
  "▁th",
  "ab",
  "abc",
  "bc",
];
const LETTERS = "▁abcdefghijklmnopqrstuvwxyz.,<|_>[]/é";

/** Three special tokens, the bytes, words and letters, then what is added. */
function pieces(added: readonly Piece[], bytes: boolean): Piece[] {
  const list: Piece[] = [
    ["<unk>", KIND.unknown],
    ["<s>", KIND.control],
    ["</s>", KIND.control],
  ];
  for (let b = 0; bytes && b < 256; b++) list.push([`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`, KIND.byte]);
  for (const text of [...WORDS, ...LETTERS]) list.push([text, KIND.normal]);
  return [...list, ...added];
}

interface Recipe {
  added?: readonly Piece[];
  bytes?: boolean;
  /** Of the 256 bytes and what follows, by text. */
  kinds?: Readonly<Record<string, number>>;
  scores?: "f32" | "i32" | "none" | "longer" | "equal" | "rising";
  types?: "none" | "longer";
  /** Behind `tokenizer.ggml.`; null leaves one of the ordinary ones out. */
  keys?: Readonly<Record<string, number | boolean | null>>;
  more?: readonly Pair[];
  parts?: readonly string[];
}

const ORDINARY = { bos_token_id: 1, eos_token_id: 2, unknown_token_id: 0 };
const PARTS = [
  " ",
  "  ",
  "    ",
  "user",
  "hi",
  "the",
  "a",
  "b",
  "c",
  ".",
  "\n",
  "\t",
  "é",
  "字",
  "🦩",
  "▁",
  "x y",
  "theuser",
  " hi",
];

function family(name: string, seed: number, recipe: Recipe): Family {
  const { added = [], bytes = true, kinds = {}, scores = "f32", types, more = [] } = recipe;
  const list = pieces(added, bytes).map(([text, kind]): Piece => [text, kinds[text] ?? kind]);
  const tokens = list.map(([text]) => text);
  const random = new Random(seed);
  const score = list.map(([, kind], id) =>
    scores === "equal"
      ? -1
      : scores === "rising"
        ? id % 7
        : kind === KIND.normal || kind === 0
          ? 259 - id
          : -1000 * (kind === KIND.user ? 1 : 0),
  );
  if (scores === "longer") score.push(1, 2, 3);
  const type = list.map(([, kind]) => kind);
  if (types === "longer") type.push(1, 1);
  const pairs: Pair[] = [
    ["general.architecture", "string", "llama"],
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.tokens", "string[]", tokens],
  ];
  if (scores === "i32") pairs.push(["tokenizer.ggml.scores", "i32[]", Int32Array.from(score)]);
  else if (scores !== "none") pairs.push(["tokenizer.ggml.scores", "f32[]", Float32Array.from(score)]);
  if (types !== "none") pairs.push(["tokenizer.ggml.token_type", "i32[]", Int32Array.from(type)]);
  for (const [key, value] of Object.entries({ ...ORDINARY, ...recipe.keys }))
    if (value !== null) pairs.push([`tokenizer.ggml.${key}`, typeof value === "boolean" ? "bool" : "u32", value]);
  pairs.push(...more);
  // Without byte tokens, llama.cpp fails on what it has no token for.
  const ordinary = bytes ? PARTS : PARTS.filter((part) => /^[a-z .é▁]*$/.test(part));
  const literals = recipe.parts ?? [
    ...added.map(([text]) => text).filter((text) => text !== ""),
    "<s>",
    "</s>",
    "<unk>",
  ];
  const text = () =>
    Array.from({ length: 1 + random.below(9) }, () => random.pick(random.below(5) < 2 ? literals : ordinary)).join("");
  const texts = ["", ...Array.from({ length: 9 }, text)];
  return { name, pairs, tokens, texts };
}

/** Texts that say what a token is for; of one purpose other than ending, one in each eight. */
const NAMES = [
  ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<|fim_prefix|>"],
  ...["<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|fim_pad|>"],
  ...[
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[PAD]",
  ],
  ...["[e~[", "<fim_suffix>", "▁<MID>", "<|fim_repo|>", "<|file_sep|>", "<|channel|>", "<|message|>", "<PRE>"],
  ...["<|start|>", "<|constrain|>", "<|im_start|>", "<|unused_1|>", "<|end_of_turn|>", "</S>", "<pad>", "<reponame>"],
  ...[
    "<|middle|>",
    "<SUF>",
    "<|fim_repo|>".toUpperCase(),
    "<fim-pad>",
    "<|end_of_turn>",
    "<|im_end|",
    "eos",
    "<|eot_id|> ",
  ],
];

/** @param shift - other texts than those that are compared */
export function families(shift = 0): Family[] {
  const out: Family[] = [];
  const add = (name: string, recipe: Recipe) => out.push(family(name, out.length + 1 + shift, recipe));
  add("ordinary", {});
  // Kinds of added tokens: ChatML's marks, words, tokens that overlap, hold spaces, begin alike.
  const sets: Record<string, string[]> = {
    chatml: ["<|im_end|>", "<|im_start|>"],
    words: ["hither", "hit", "thehi", "▁hiuser"],
    overlapping: ["abcab", "bcabcd", "cdef", "<<", "<<<", "aéb", "é字"],
    spaced: ["a b", " the", "  ", "\n\n", "▁▁▁", "x\ty", "▁"],
    strange: ["字", "字字", "🦩x", "🦩", "é🦩", "\u0301", "\ufeff", "字b"],
  };
  for (const [set, texts] of Object.entries(sets))
    for (const kind of [0, 1, 2, 3, 4, 5, 7, -1]) {
      const fresh = texts.filter((text) => !LETTERS.includes(text) && !WORDS.includes(text));
      add(`${set}, kind ${kind}`, { added: fresh.map((text): Piece => [text, kind]), parts: [...fresh, ..."abcdef"] });
    }
  for (const set of ["overlapping", "spaced", "strange"])
    add(`${set}, kinds in turn`, {
      added: sets[set].filter((t) => !LETTERS.includes(t)).map((text, i): Piece => [text, [4, 1, 3, 0][i % 4]]),
    });
  // What tokens are called, by kind, one after another and all together.
  for (const kind of [1, 3, 4, 5])
    for (let from = 0; from < NAMES.length; from += 8)
      add(`names ${from}, kind ${kind}`, { added: NAMES.slice(from, from + 8).map((text): Piece => [text, kind]) });
  add("harmony", { added: ["<|return|>", "<|call|>", "<|end|>", "<|channel|>"].map((t): Piece => [t, 3]) });
  add("solar", { added: ["<|calls|>", "<|flush|>", "<|end|>"].map((t): Piece => [t, 3]) });
  add("calls and an end alone", { added: ["<|calls|>", "<|end|>"].map((t): Piece => [t, 3]) });
  add("gemma 4", { added: ["<turn|>", "<|tool_response>"].map((t): Piece => [t, 3]) });
  add("gemma 4, </s> user-defined", { added: [["<|tool_response>", 4]], kinds: { "</s>": 4 } });
  // Ids: left out, of other tokens, of none.
  for (const key of Object.keys(ORDINARY)) add(`without ${key}`, { keys: { [key]: null } });
  add("without special ids", { keys: { bos_token_id: null, eos_token_id: null, unknown_token_id: null } });
  for (const value of [259, 100_000, 2 ** 32 - 1])
    for (const key of ["bos_token_id", "eos_token_id", "padding_token_id", "eot_token_id", "eom_token_id"])
      add(`${key} ${value}`, { keys: { [key]: value } });
  for (const key of ["fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep", "prefix", "suffix", "middle"])
    add(`${key} named`, {
      keys: { [`${key}_token_id`]: 270 },
      added: ["<PRE>", "<SUF>", "<MID>", "<PAD>", "<REPO>", "<|file_sep|>"].map((t): Piece => [t, 1]),
    });
  add("eot named beside one that is called so", {
    added: [
      ["<|im_end|>", 1],
      ["<turn_end>", 3],
    ],
    keys: { eot_token_id: 313 },
  });
  // What stands around a text.
  for (const add_bos_token of [true, false])
    for (const add_eos_token of [true, false])
      for (const add_space_prefix of [true, false])
        add(`bos ${add_bos_token}, eos ${add_eos_token}, prefix ${add_space_prefix}`, {
          keys: { add_bos_token, add_eos_token, add_space_prefix },
          added: [["<|im_end|>", 4]],
        });
  add("remove_extra_whitespaces", { keys: { remove_extra_whitespaces: true } });
  // Scores, types, sizes and pieces that are not as they should be.
  for (const scores of ["i32", "none", "longer", "equal", "rising"] as const)
    add(`scores ${scores}`, {
      scores,
      added: [
        ["hither", 1],
        ["aéb", 1],
      ],
    });
  add("types longer", { types: "longer" });
  add("types none", { types: "none", parts: ["user", "</s>"] });
  add("types none, an end by its name", { types: "none", added: [["<|im_end|>", 1]], parts: ["</s>", "<|im_end|>"] });
  add("vocab_size less", { more: [["llama.vocab_size", "u32", 5]] });
  add("vocab_size more", { more: [["llama.vocab_size", "u32", 5000]] });
  for (const kind of [0, 1, 3, 4, 5])
    add(`padded by empty pieces, kind ${kind}`, {
      added: [
        ["", kind],
        ["x1", 1],
        ["[EMPTY_9999]", 1],
      ],
      parts: ["[EMPTY_311]", "x1", "x"],
    });
  add("padded by [PAD…]", { added: Array.from({ length: 6 }, (_, i): Piece => [`[PAD${312 + i}]`, 5]) });
  add("no byte tokens", { bytes: false, added: [["<|im_end|>", 3]] });
  add("bytes of other kinds", {
    kinds: { "<0x0A>": 1, "<0xE5>": 3, "<0xAD>": 4, "<0x97>": 5 },
    parts: ["<0x0A>", "<0xE5>", "字"],
  });
  add("letters of other kinds", { kinds: { a: 3, b: 4, c: 5, "▁": 4, the: 0, h: 6 - 1 } });
  add("special tokens of other kinds", { kinds: { "<s>": 1, "</s>": 1, "<unk>": 1 } });
  add("special tokens user-defined", { kinds: { "<s>": 4, "</s>": 4, "<unk>": 4 } });
  return out;
}
