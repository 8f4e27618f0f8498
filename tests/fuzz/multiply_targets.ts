// Files that are not damaged but ask for much: rules that double a text, tokens that nearly match, pieces of pieces, counts
// without end. Whatever they ask, a reader is done or refuses within the limits of every mutant.

import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { EngineError, TramontaneError } from "../../src/errors.ts";
import { MixtralForCausalLM } from "../../src/index.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { outcome } from "../checkpoint/outcome.ts";
import { safetensorsFile, smallConfig, smallShapes, zeros } from "../checkpoint/safetensors.ts";
import { memoryFiles } from "../repositories.ts";
import type { Draw } from "./mutate.ts";
import type { Target } from "./targets.ts";

/** From 1 to `most`, small numbers as likely as large ones. */
const size = (draw: Draw, most: number): number =>
  Math.min(most, 1 + draw(2 ** (1 + draw(Math.ceil(Math.log2(most))))));

const list = <T>(length: number, make: (i: number) => T): T[] => Array.from({ length }, (_, i) => make(i));

// ------------------------------------------------------------------------------------------------ tokenizer.json
type TokenizerFile = Record<string, any>;

/** Letters, their pairs, and what stands around a text. */
function baseTokenizer(): TokenizerFile {
  const letters = [..."▁abcdefgh<>"];
  const tokens = ["<unk>", "<s>", "</s>", ...letters, ...letters.map((letter) => `a${letter}`)];
  const added = (content: string, id: number) => ({ id, content, special: true, normalized: false });
  return {
    added_tokens: ["<unk>", "<s>", "</s>"].map(added),
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    post_processor: null,
    decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Fuse" }] },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: letters.map((letter) => ["a", letter]),
    },
  };
}

const doubling = (times: number) => ({ type: "Replace", pattern: { String: "a" }, content: "a".repeat(times) });

function add(file: TokenizerFile, contents: readonly string[], normalized: boolean): void {
  const first = Object.keys(file.model.vocab).length;
  const entries = contents.map((content, i) => ({ id: first + i, content, special: false, normalized }));
  file.added_tokens.push(...entries);
}

const tokenizerShapes: ((file: TokenizerFile, draw: Draw) => void)[] = [
  (file, draw) => {
    file.normalizer = { type: "Sequence", normalizers: list(size(draw, 64), () => doubling(size(draw, 2000))) };
    if (draw(2)) add(file, ["a"], true);
  },
  (file, draw) => {
    file.decoder.decoders.unshift(...list(size(draw, 64), () => doubling(size(draw, 2000))));
  },
  (file, draw) => {
    file.normalizer = {
      type: "Sequence",
      normalizers: list(size(draw, 64), () => ({ type: "Prepend", prepend: "a".repeat(size(draw, 1000)) })),
    };
  },
  (file, draw) => {
    const [items, ids] = [size(draw, 4000), size(draw, 4000)];
    const special = { SpecialToken: { id: "x", type_id: 0 } };
    const single = [...list(items, () => special), { Sequence: { id: "A", type_id: 0 } }];
    const special_tokens = { x: { id: "x", ids: list(ids, () => 1), tokens: list(ids, () => "<s>") } };
    file.post_processor = { type: "TemplateProcessing", single, pair: single, special_tokens };
  },
  (file, draw) => {
    const single = list(size(draw, 4000), () => ({ Sequence: { id: "A", type_id: 0 } }));
    file.post_processor = { type: "TemplateProcessing", single, pair: single, special_tokens: {} };
  },
  // Tokens that nearly match everywhere: their last character never comes.
  (file, draw) =>
    add(
      file,
      list(size(draw, 64), (i) => `${"a".repeat(size(draw, 1500))}!${i}`),
      draw(2) === 0,
    ),
  // Each a beginning of the next.
  (file, draw) =>
    add(
      file,
      list(size(draw, 600), (i) => "b".repeat(i + 1)),
      draw(2) === 0,
    ),
  (file, draw) =>
    add(
      file,
      list(size(draw, 4000), (i) => `<${i}>`),
      draw(2) === 0,
    ),
  (file, draw) => {
    const runs = list(size(draw, 500), (i) => "c".repeat(i + 2));
    for (const run of runs) file.model.vocab[run] = Object.keys(file.model.vocab).length;
    file.model.merges.push(...runs.map((run) => [run.slice(1), "c"]));
  },
  // Patterns that try the same stretch in many ways.
  (file, draw) => {
    const part = () => ["a+", "a*", "[ab]*", "a{0,1000}", "[^c]+", "a?"][draw(6)];
    const regex = list(size(draw, 4), () => `${list(size(draw, 100), part).join("")}${draw(2) ? "" : "!"}`).join("|");
    const split = { type: "Split", pattern: { Regex: regex }, behavior: "Isolated" };
    file.pre_tokenizer = { type: "Sequence", pretokenizers: list(size(draw, 40), () => split) };
  },
  (file, draw) => {
    for (let i = size(draw, 3000); i > 0; i--) file.model.vocab[`d${i}`] = 2 ** 20 + i * (1 + draw(3));
  },
];

/** What says how long a padded row is. */
const endless = { "tokenizer_config.json": JSON.stringify({ model_max_length: 1e9 }) };

const longText = "aaaaaaaa bbbbbbbb cccccccc <s> a!".repeat(1000);

async function ordinary(run: () => Promise<unknown>): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    if (error instanceof TramontaneError && !(error instanceof EngineError)) return error.message;
    throw error;
  }
}

const encodes = (repository: Repository) =>
  ordinary(async () => {
    const tokenizer = await loadTokenizer(repository);
    const ids = tokenizer.encode(longText);
    // No text is said more often, or with more around it, than what a small factor allows.
    if (ids.length > 32 * longText.length) throw new Error(`${ids.length} ids`);
    if (tokenizer.decode(ids).length > 4096 * ids.length) throw new Error("a long text");
    tokenizer.pad_token = "</s>";
    const padded = await ordinary(async () => tokenizer("a", { padding: "max_length" }));
    if (padded === null) throw new Error("a thousand million pads");
  });

// ------------------------------------------------------------------------------------------------ tokenizer.model
const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);

const field = (number: number, bytes: Uint8Array | readonly number[]): number[] => [
  ...varint(number * 8 + 2),
  ...varint(bytes.length),
  ...bytes,
];

function sentencePieceModel(pieces: readonly string[]): Uint8Array {
  const utf8 = new TextEncoder();
  const all = ["<unk>", "<s>", "</s>", ...pieces].map((piece, i) => {
    const score = new Uint8Array(Float32Array.of(-i).buffer);
    const kind = i === 0 ? 2 : i < 3 ? 3 : 1;
    return field(1, [...field(1, utf8.encode(piece)), 2 * 8 + 5, ...score, 3 * 8, kind]);
  });
  const trainer = [3 * 8, 2]; // byte-pair encoding
  const normalizer = [4 * 8, 0]; // spaces stay
  return Uint8Array.from([...all.flat(), ...field(2, trainer), ...field(3, normalizer)]);
}

const pieceShapes: ((draw: Draw) => string[])[] = [
  (draw) => list(size(draw, 400), (i) => "a".repeat(i + 1)),
  (draw) => list(size(draw, 100), (i) => `${i}`.padStart(size(draw, 1100), "ab")),
  // All parts of one text.
  (draw) => {
    const text = list(60, () => "abc"[draw(3)]).join("");
    const parts = new Set(
      text.split("").flatMap((_, from) => list(text.length - from, (i) => text.slice(from, from + i + 1))),
    );
    return [...parts].slice(0, size(draw, parts.size));
  },
  (draw) => list(size(draw, 8000), (i) => i.toString(36).padStart(4, "z")),
];

// ------------------------------------------------------------------------------------------------ headers
/** Little-endian: u64 as two words. */
const u64 = (value: number): number[] => [...new Uint8Array(new BigUint64Array([BigInt(value)]).buffer)];
const u32 = (value: number): number[] => [...new Uint8Array(Uint32Array.of(value).buffer)];
const ggufString = (text: string): number[] => [...u64(text.length), ...new TextEncoder().encode(text)];

const ggufShapes: ((draw: Draw) => number[])[] = [
  // Pairs, strings and tensors that are there, as many as a file of this size holds.
  (draw) => {
    const pairs = size(draw, 8000);
    return [...u64(0), ...u64(pairs), ...list(pairs, (i) => [...ggufString(i.toString(36)), ...u32(0), 1]).flat()];
  },
  (draw) => {
    const count = size(draw, 16000);
    return [...u64(0), ...u64(1), ...ggufString("k"), ...u32(9), ...u32(8), ...u64(count), ...list(8 * count, () => 0)];
  },
  (draw) => {
    const tensors = size(draw, 3000);
    const info = (i: number) => [...ggufString(`${i}`), ...u32(1), ...u64(1), ...u32(0), ...u64(32 * i)];
    return [...u64(tensors), ...u64(0), ...list(tensors, info).flat()];
  },
  // And those that are not.
  (draw) => [...u64(size(draw, 2 ** 40)), ...u64(size(draw, 2 ** 40)), ...list(size(draw, 40000), () => 0)],
];

const headerShapes: ((draw: Draw) => string)[] = [
  (draw) =>
    JSON.stringify(
      Object.fromEntries(
        list(size(draw, 3000), (i) => [i.toString(36), { dtype: "F32", shape: [0], data_offsets: [0, 0] }]),
      ),
    ),
  (draw) => JSON.stringify({ __metadata__: Object.fromEntries(list(size(draw, 12000), (i) => [i.toString(36), ""])) }),
  (draw) => JSON.stringify({ t: { dtype: "F32", shape: list(size(draw, 60000), () => 1), data_offsets: [0, 4] } }),
  (draw) => `{"a":${"[".repeat(size(draw, 90000))}`,
  (draw) => `{"__metadata__":{"a":"${"\\u0000".repeat(size(draw, 30000))}"}}`,
];

// ------------------------------------------------------------------------------------------------ what a call is given
const small = zeros(smallShapes());

const settings: ((draw: Draw) => Record<string, unknown>)[] = [
  (draw) => ({ num_return_sequences: size(draw, 2 ** 17), do_sample: true, max_length: size(draw, 2 ** 25) }),
  (draw) => ({ num_beams: size(draw, 2 ** 17), max_length: size(draw, 2 ** 25) }),
  (draw) => ({ bad_words_ids: list(size(draw, 20000), (i) => [1 + (i % 4), i % 5]) }),
  (draw) => ({ suppress_tokens: list(size(draw, 60000), (i) => i % 5) }),
  (draw) => ({ sequence_bias: list(size(draw, 9000), (i) => [[i % 5, (i >> 2) % 5], 1]) }),
  (draw) => ({ eos_token_id: list(size(draw, 60000), (i) => 5 + i) }),
  (draw) => ({ no_repeat_ngram_size: size(draw, 2 ** 31), prompt_lookup_num_tokens: size(draw, 2 ** 31) }),
  (draw) => ({ max_new_tokens: 3, prefill_chunk_size: size(draw, 2 ** 31), top_k: size(draw, 2 ** 31) }),
];

const generates = (repository: Repository) =>
  ordinary(async () => {
    const checkpoint = await openCheckpoint(repository);
    try {
      await using model = await MixtralForCausalLM.from_checkpoint(checkpoint, { threads: 1 });
      // Whatever the files ask for, the caller wants three tokens; or is told that it cannot be.
      let left = 3;
      const controller = new AbortController();
      const enough = () => controller.abort(new TramontaneError("DONE", "done"));
      const beams = (model.generation_config.num_beams ?? 1) > 1;
      if (beams) setTimeout(enough, 100);
      const streamer = beams ? undefined : { put: () => void (--left < 0 && enough()), end() {} };
      await model.generate({ input_ids: [1, 2], signal: controller.signal, streamer });
    } finally {
      await checkpoint.close();
    }
  });

const oneOf = <T>(shapes: readonly T[], draw: Draw): T => shapes[draw(shapes.length)];

export const multiplyTargets: readonly Target[] = [
  {
    name: "multiply: tokenizer.json",
    mutant: (draw) => {
      const file = baseTokenizer();
      for (let i = 1 + draw(2); i > 0; i--) oneOf(tokenizerShapes, draw)(file, draw);
      return JSON.stringify(file);
    },
    open: (mutant) => encodes(memoryFiles({ "tokenizer.json": mutant, ...endless })),
  },
  {
    name: "multiply: tokenizer.model",
    mutant: (draw) => sentencePieceModel(oneOf(pieceShapes, draw)(draw)),
    open: (mutant) => encodes(memoryFiles({ "tokenizer.model": mutant, ...endless })),
  },
  {
    name: "multiply: GGUF's header",
    mutant: (draw) =>
      Uint8Array.from([..."GGUF"].map((c) => c.charCodeAt(0)).concat(u32(3), oneOf(ggufShapes, draw)(draw))),
    open: (mutant) => outcome(memoryFiles({ "m.gguf": mutant }, "m.gguf")),
  },
  {
    name: "multiply: safetensors' header",
    mutant: (draw) => safetensorsFile(oneOf(headerShapes, draw)(draw), draw(2) * 4),
    open: (mutant) => outcome(memoryFiles({ "config.json": JSON.stringify(smallConfig), "model.safetensors": mutant })),
  },
  {
    name: "multiply: generation_config.json",
    memory: 2 ** 31, // as of every target that loads a model
    mutant: (draw) => JSON.stringify(oneOf(settings, draw)(draw)),
    open: (mutant) =>
      generates(
        memoryFiles({
          "config.json": JSON.stringify({ ...smallConfig, max_position_embeddings: 2 ** 24, sliding_window: 16 }),
          "generation_config.json": mutant,
          "model.safetensors": small,
        }),
      ),
  },
];
