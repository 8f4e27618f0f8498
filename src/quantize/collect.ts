// imatrix: what the columns of a model's matrices are multiplied by over a text, as an importance matrix for `quantize`.
import { checkSignal, eachOf } from "../abort.ts";
import { functionArgument, givenOptions, methodsArgument, textArgument } from "../arguments.ts";
import { CallerPromises } from "../callbacks.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { sharedSquares, squaresLayout } from "../model/squares.ts";
import { saveFile } from "../platform/files.ts";
import { currentPlatform } from "../platform/index.ts";
import { textChunks } from "../text/chunks.ts";
import { ggufNames } from "../weights/names.ts";
import { type ImatrixForm, type InputSums, imatrixWriters } from "./sums.ts";

/** What `progress_callback` is told. */
export interface ImatrixProgress {
  status: "progress" | "done";
  /** Tokens that were read, and all. */
  loaded: number;
  total: number;
  /** A percentage. */
  progress: number;
}

/** The options of `imatrix`. */
export interface ImatrixOptions {
  /** Tokens of a chunk. @default 512, or as many as the model has positions */
  context?: number | undefined;
  /** Chunks at most. @default all of the text's */
  chunks?: number | undefined;
  /** An entry for `output.weight`, too. @default false */
  process_output?: boolean | undefined;
  /** Text that spells a special token is that token. @default false */
  parse_special?: boolean | undefined;
  /** GGUF, or llama.cpp's older form. @default "gguf" */
  output_format?: ImatrixForm | undefined;
  /** What the file calls the text. @default "text" */
  dataset?: string | undefined;
  /** A file of that name may be replaced. @default false */
  overwrite?: boolean | undefined;
  /** Told of each chunk. Where it returns promises, the call ends when they are settled. */
  progress_callback?: ((progress: ImatrixProgress) => void) | undefined;
  /** Aborts it: the call rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** What `imatrix` has done. */
export interface ImatrixResult {
  file: string;
  bytes: number;
  /** Weights that have one. */
  entries: number;
  chunks: number;
  tokens: number;
  /** Experts that no token went to: nothing is known of them. */
  warnings: string[];
}

/** What is needed of a tokenizer. */
export interface ImatrixTokenizer {
  encode(text: string, options?: { split_special_tokens?: boolean | undefined }): number[];
  readonly bos_token_id?: number | undefined;
}

/** As many tokens as llama-imatrix takes. */
const CONTEXT = 512;

const known = namesOf<ImatrixOptions>({
  context: true,
  chunks: true,
  process_output: true,
  parse_special: true,
  output_format: true,
  dataset: true,
  overwrite: true,
  progress_callback: true,
  signal: true,
});

/**
 * Makes an importance matrix: the mean square of each column's inputs, by expert, over the whole chunks of a text, each of
 * which begins with BOS. Where weights that meet large inputs are to be quantized more exactly, `quantize` reads it.
 * @param model - best in full precision; adapters that are active count
 * @param out - the file, which stands there when it is whole
 * @throws {@link InputError} naming the argument that is wrong, where the text is too short, or `out` is there already;
 *   {@link WriteError} when it cannot be written; the signal's reason when aborted
 * @example
 * const prose = "Pesto is made of basil, pine nuts, garlic, cheese and oil. ".repeat(40); // better: some megabytes of your own
 * const matrix = "build/examples/demo-imatrix.gguf";
 * await imatrix(model, tokenizer, prose, matrix, { context: 256, overwrite: true });
 * await quantize("models/demo", "build/examples/demo.Q3_K_M.gguf", { type: "Q3_K_M", imatrix: matrix, overwrite: true });
 * Source: llama.cpp's llama-imatrix.
 */
export async function imatrix(
  model: PreTrainedModel,
  tokenizer: ImatrixTokenizer,
  text: string,
  out: string,
  options: ImatrixOptions = {},
): Promise<ImatrixResult> {
  const { chunks, context, output_format, dataset, overwrite, process_output, progress_callback, signal } =
    readArguments(model, tokenizer, text, out, options);
  const platform = await currentPlatform();
  if (!overwrite && (await platform.stat(out)))
    throw new InputError(`${out}: it is there already: give another name, or overwrite: true`);
  const tokens = chunks.length * context;
  // Begun before the work, so that what cannot be written is told now.
  return saveFile(platform, out, async (file) => {
    const told = new CallerPromises();
    const tell = (status: ImatrixProgress["status"], loaded: number) =>
      told.add(progress_callback?.({ status, loaded, total: tokens, progress: (100 * loaded) / tokens }));
    const entries = await collect(model, chunks, process_output, signal, (done) => tell("progress", done * context));
    const sums = { entries, dataset, chunk_count: chunks.length, chunk_size: context };
    const bytes = await imatrixWriters[output_format](file, sums);
    tell("done", tokens);
    await told.settled();
    const warnings = entries.flatMap(unseen);
    return { file: out, bytes, entries: entries.length, chunks: chunks.length, tokens, warnings };
  });
}

function readArguments(
  model: PreTrainedModel,
  tokenizer: ImatrixTokenizer,
  text: string,
  out: string,
  given: ImatrixOptions,
) {
  methodsArgument(model, "model", "forward", "sum_squares");
  methodsArgument(tokenizer, "tokenizer", "encode");
  if (typeof text !== "string") throw new InputError(`text: expected a text, found ${show(text)}`);
  textArgument(out, "out");
  const options = givenOptions<ImatrixOptions>(given, "imatrix", known);
  const { process_output = false, parse_special = false, output_format = "gguf", overwrite = false } = options;
  for (const [name, value] of Object.entries({ process_output, parse_special, overwrite }))
    if (typeof value !== "boolean") throw new InputError(`${name}: expected true or false, found ${show(value)}`);
  if (!Object.hasOwn(imatrixWriters, output_format))
    throw new InputError(`output_format: expected "gguf" or "dat", found ${show(output_format)}`);
  const { dataset = "text", progress_callback, signal } = options;
  textArgument(dataset, "dataset");
  functionArgument(progress_callback, "progress_callback");
  checkSignal(signal);
  signal?.throwIfAborted();
  const { positions } = model;
  const context = count("context", options.context ?? Math.min(CONTEXT, positions), 2, positions);
  const most = count("chunks", options.chunks ?? 2 ** 31 - 1, 1, 2 ** 31 - 1);
  const encoded: ImatrixTokenizer = {
    encode: (text) => tokenizer.encode(text, { split_special_tokens: !parse_special }),
    bos_token_id: tokenizer.bos_token_id,
  };
  const chunks = textChunks(encoded, text, context).slice(0, most);
  return { chunks, context, output_format, dataset, overwrite, process_output, progress_callback, signal };
}

function count(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw new InputError(`${name}: expected a whole number from ${least} to ${most}, found ${show(value)}`);
}

/** Reads the chunks, as many at once as share steps well, and adds up what each has given in their order: the same bits each time. */
async function collect(
  model: PreTrainedModel,
  chunks: readonly (readonly number[])[],
  process_output: boolean,
  signal: AbortSignal | undefined,
  tell: (done: number) => void,
): Promise<InputSums[]> {
  const { engine, config } = model;
  const { length } = squaresLayout(engine.shape);
  const total = new Float64Array(length);
  // Where the embedding is the head, too, llama.cpp has no entry for it.
  const output = process_output && !config.tie_word_embeddings ? new Float64Array(config.hidden_size) : undefined;
  const ready = new Map<number, { squares: Float64Array; normed: ArrayLike<number> | undefined }>();
  const spare: Float64Array[] = [];
  let added = 0;
  await eachOf(chunks, engine.sequencesAtOnce(chunks[0].length), signal, async (ids, i, stop) => {
    const squares = spare.pop() ?? sharedSquares(length);
    const normed = await model.sum_squares(ids, squares, output !== undefined, stop);
    ready.set(i, { squares, normed: normed?.data as ArrayLike<number> | undefined });
    for (let next = ready.get(added); next; next = ready.get(++added)) {
      ready.delete(added);
      for (let j = 0; j < length; j++) total[j] += next.squares[j];
      if (output) for (let j = 0; j < next.normed!.length; j++) output[j % output.length] += next.normed![j] ** 2;
      spare.push(next.squares.fill(0));
      tell(added + 1);
    }
  });
  const rows = Float64Array.of(chunks.length * chunks[0].length);
  return [
    ...layerSums(model, total, rows),
    ...(output ? [{ name: `${ggufNames.heads.lm_head}.weight`, sums: output, counts: rows }] : []),
  ];
}

/** The sums by the weights' names. Weights with the same inputs share them. */
function layerSums({ engine }: PreTrainedModel, total: Float64Array, all: Float64Array): InputSums[] {
  const { shape } = engine;
  const { hidden } = shape;
  const part = (at: number, count: number) => total.subarray(at, at + count);
  return squaresLayout(shape).layers.flatMap((layer, i) => {
    const { heads, head_dim, experts, intermediate, routed } = shape.layers[i];
    const names = ggufNames.layer(i);
    const rows = part(layer.rows, experts);
    const feed = routed ? (names.merged as { w1: string; w3: string; w2: string }) : names.dense;
    const attention = part(layer.attention, hidden);
    const up = part(layer.up, experts * hidden);
    return [
      { name: names.q_proj, sums: attention, counts: all },
      { name: names.k_proj, sums: attention, counts: all },
      { name: names.v_proj, sums: attention, counts: all },
      { name: names.o_proj, sums: part(layer.output, heads * head_dim), counts: all },
      ...(routed ? [{ name: names.router, sums: part(layer.router, hidden), counts: all }] : []),
      { name: feed.w1, sums: up, counts: rows },
      { name: feed.w3, sums: up, counts: rows },
      { name: feed.w2, sums: part(layer.down, experts * intermediate), counts: rows },
    ];
  });
}

/** What is said of experts without rows, once for a layer. */
function unseen({ name, counts }: InputSums): string[] {
  if (!name.includes("ffn_down")) return [];
  const none = [...counts.keys()].filter((expert) => counts[expert] === 0);
  if (none.length === 0) return [];
  return [
    `${name}: no token went to ${none.length === 1 ? "expert" : "experts"} ${none.join(", ")}: all columns weigh the same there`,
  ];
}
