// How well a language model foresees a text: exp of the mean of −log p over its tokens, each from what stands before it in a
// window. The losses come from the team; windows that are short share its steps.
import { checkSignal, eachOf } from "../abort.ts";
import { functionArgument, givenOptions, methodsArgument } from "../arguments.ts";
import { type Awaitable, CallerPromises } from "../callbacks.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { CausalLMInputs } from "../model/inputs.ts";
import type { ExactMath } from "../model/probabilities.ts";
import { textChunks } from "../text/chunks.ts";
import type { CausalLM, ForwardOutput } from "./causal_lm.ts";

/** What `progress_callback` is told. */
export interface PerplexityProgress {
  status: "progress" | "done";
  /** Tokens of the text that were read, and all that will be. */
  loaded: number;
  total: number;
  /** A percentage. */
  progress: number;
  /** Of what was scored until now. */
  perplexity: number;
}

/** The options of `perplexity`. */
export interface PerplexityOptions {
  /** Tokens of a window. @default 512, or as many as the model has positions */
  context?: number | undefined;
  /** Tokens from one window's first to the next's. @default half of `context` */
  stride?: number | undefined;
  /**
   * How tokens are counted. `huggingface`: windows moved by `stride`, of which each scores the tokens that no earlier one
   * did, but never its own first. `llama.cpp`: chunks side by side, each begun with BOS, of which the second half is scored;
   * one newline at the text's end and the rest behind the last whole chunk do not count.
   * @default "huggingface"
   */
  convention?: "huggingface" | "llama.cpp" | undefined;
  /** Told of each window. Where it returns promises, the call ends when they are settled. */
  progress_callback?: ((progress: PerplexityProgress) => void) | undefined;
  /** Aborts it: the call rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** What `perplexity` measures. */
export interface Perplexity {
  /** e^nll. */
  perplexity: number;
  /** The mean of −log p (natural logarithm) over the tokens. */
  nll: number;
  /** How many were scored. */
  tokens: number;
}

/** What is needed of a tokenizer. */
export interface PerplexityTokenizer {
  encode(text: string): number[];
  readonly bos_token_id?: number | undefined;
}

/** What of a model is asked: no more than one can tell that is somewhere else, and answers later. */
export interface PerplexityModel {
  (inputs: CausalLMInputs): Promise<Pick<ForwardOutput, "loss">>;
  readonly config: CausalLM["config"];
  /** Tokens of a text at a time. */
  readonly positions: number;
  readonly math: Awaitable<ExactMath>;
  /** How many texts of so many tokens are read together. */
  rows_at_once(tokens: number): Awaitable<number>;
}

/** As many tokens as llama.cpp takes, and a prompt's chunk has. */
const CONTEXT = 512;

/** Tokens [begin, end) of the text, of which those from `scored` on are to be foreseen. */
interface TextWindow {
  readonly begin: number;
  readonly end: number;
  readonly scored: number;
  /** How many of them no window before had. */
  readonly fresh: number;
}

/**
 * The perplexity of a text. Its special tokens are those that `tokenizer.encode` gives: a BOS at the text's start.
 * @throws {@link InputError} naming the argument that is wrong, or where the text is too short; the signal's reason when aborted
 * @example
 * const found = await perplexity(model, tokenizer, "Pesto is made of basil.", { context: 128 });
 * found.tokens // 6
 * Source: transformers' "Perplexity of fixed-length models"; llama.cpp's llama-perplexity.
 */
export function perplexity(
  model: CausalLM,
  tokenizer: PerplexityTokenizer,
  text: string,
  options?: PerplexityOptions,
): Promise<Perplexity>;
/** @internal */
export function perplexity(
  model: PerplexityModel,
  tokenizer: PerplexityTokenizer,
  text: string,
  options?: PerplexityOptions,
): Promise<Perplexity>;
export async function perplexity(
  model: PerplexityModel,
  tokenizer: PerplexityTokenizer,
  text: string,
  options: PerplexityOptions = {},
): Promise<Perplexity> {
  const { ids, windows, total, context, signal, progress_callback } = readArguments(model, tokenizer, text, options);
  const math = await model.math;
  const sums = new Float64Array(windows.length);
  const told = new CallerPromises();
  const done = { loaded: 0, nll: 0, tokens: 0 };
  const tell = (status: PerplexityProgress["status"]) =>
    told.add(
      progress_callback?.({
        status,
        loaded: done.loaded,
        total,
        progress: (100 * done.loaded) / total,
        perplexity: power(math, done.nll / done.tokens),
      }),
    );
  await eachOf(windows, await model.rows_at_once(context), signal, async ({ begin, end, scored, fresh }, i, stop) => {
    const window = ids.slice(begin, end);
    const labels = window.map((id, at) => (begin + at < scored ? -100 : id));
    const { loss } = await model({ input_ids: [window], labels: [labels], ...alone(model), signal: stop });
    const tokens = end - scored;
    sums[i] = loss! * tokens;
    done.loaded += fresh;
    done.nll += sums[i];
    done.tokens += tokens;
    tell("progress");
  });
  done.loaded = total;
  tell("done");
  await told.settled();
  // In the windows' order, whichever was done first: the same bits each time.
  const nll = sums.reduce((a, b) => a + b, 0) / done.tokens;
  return { perplexity: power(math, nll), nll, tokens: done.tokens };
}

/** e^x; `exp` itself means nothing beyond the range of doubles. */
const power = ({ exp }: ExactMath, x: number): number => (x > 709 ? Infinity : exp(x));

/** What keeps a call's loss, whatever the config asks for besides, that of the tokens, and its outputs small. */
const alone = ({ config }: PerplexityModel) => ({
  logits_to_keep: 1,
  use_cache: false,
  output_hidden_states: false,
  output_attentions: false,
  ...("num_local_experts" in config ? { output_router_logits: false } : {}),
});

const known = namesOf<PerplexityOptions>({
  context: true,
  stride: true,
  convention: true,
  progress_callback: true,
  signal: true,
});

function readArguments(model: PerplexityModel, tokenizer: PerplexityTokenizer, text: string, given: PerplexityOptions) {
  methodsArgument(model, "model", "forward", "generate");
  methodsArgument(tokenizer, "tokenizer", "encode");
  const options = givenOptions<PerplexityOptions>(given, "perplexity", known);
  const { convention = "huggingface", signal, progress_callback } = options;
  checkSignal(signal);
  signal?.throwIfAborted();
  functionArgument(progress_callback, "progress_callback");
  if (convention !== "huggingface" && convention !== "llama.cpp")
    throw new InputError(`convention: expected "huggingface" or "llama.cpp", found ${show(convention)}`);
  const most = model.positions;
  const context = count("context", options.context ?? Math.min(CONTEXT, most), 2, most);
  if (typeof text !== "string") throw new InputError(`text: expected a text, found ${show(text)}`);
  if (convention === "llama.cpp") {
    if (options.stride !== undefined)
      throw new InputError(
        `stride: llama.cpp's chunks stand side by side; expected none, found ${show(options.stride)}`,
      );
    const chunks = textChunks(tokenizer, text, context);
    const windows = chunks.map((_, i) => chunkWindow(i, context));
    return { ids: chunks.flat(), windows, total: windows.length * context, context, signal, progress_callback };
  }
  const stride = count("stride", options.stride ?? Math.max(1, context >> 1), 1, context);
  const ids = tokenizer.encode(text);
  if (ids.length < 2)
    throw new InputError(`text: expected at least two tokens, the first of which is never scored, found ${ids.length}`);
  const windows = strided(ids.length, context, stride);
  return { ids, windows, total: ids.length, context, signal, progress_callback };
}

function count(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const limit = name === "stride" ? "context" : "what the model has positions for";
  throw new InputError(`${name}: expected a whole number from ${least} to ${most} (${limit}), found ${show(value)}`);
}

/** Hugging Face's: up to the window that reaches the text's end. */
function strided(length: number, context: number, stride: number): TextWindow[] {
  const windows: TextWindow[] = [];
  for (let begin = 0, seen = 0; seen < length; begin += stride) {
    const end = Math.min(begin + context, length);
    const scored = Math.max(begin + 1, seen);
    if (scored < end) windows.push({ begin, end, scored, fresh: end - seen });
    seen = end;
  }
  return windows;
}

/** llama.cpp's: the second half of a whole chunk. */
const chunkWindow = (i: number, context: number): TextWindow => {
  const begin = i * context;
  return { begin, end: begin + context, scored: begin + (context >> 1) + 1, fresh: context };
};
