// What formats cost, measured in a process of its own: node quality.js REQUEST prints one JSON object.
import { readFileSync } from "node:fs";
import process from "node:process";
import { countParameters } from "../src/cli/facts.ts";
import { Stopwatch } from "../src/cli/report.ts";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type CausalLM,
  perplexity,
  pipeline,
  type Tokenizer,
} from "../src/index.ts";
import { type KvFormat, kvFormats } from "../src/memory/kv_pool.ts";

/** A question, and what a right answer begins with. */
export interface Fact {
  readonly ask: string;
  readonly answers: readonly string[];
}

interface Request {
  readonly path: string;
  readonly threads: number;
  /** Of the text whose perplexity is found. */
  readonly text: string;
  readonly letters?: number;
  readonly context: number;
  readonly stride: number;
}

export interface FormatRequest extends Request {
  readonly kind: "format";
  readonly facts: readonly Fact[];
  /** Prompts and answers for the speed: tokens of each, and how often. */
  readonly prompt: number;
  readonly tokens: number;
  readonly rounds: number;
}

export interface FormatResult {
  /** Matrices by format. */
  readonly formats: Record<string, number>;
  readonly bits_per_weight: number;
  readonly perplexity: number;
  readonly scored: number;
  /** Questions that were answered wrong. */
  readonly wrong: string[];
  readonly prompt_rates: number[]; // tokens a second
  readonly rates: number[]; // tokens a second
}

export interface CachesRequest extends Request {
  readonly kind: "caches";
  /** Tokens of the text whose logits are compared. */
  readonly compared: number;
}

export interface CacheResult {
  readonly kv_dtype: KvFormat;
  /** Bytes of a position, all layers; absent, like all else, where the model's heads do not suit the format. */
  readonly position_bytes: number;
  readonly perplexity: number;
  readonly scored: number;
  /** Of logits, against those of f32: their root mean square and the largest; and how many tokens would be chosen otherwise. */
  readonly rms: number;
  readonly largest: number;
  readonly other_choices: number;
  readonly compared: number;
  /** The root mean square of the logits themselves, around each token's mean. */
  readonly spread: number;
}

const textOf = ({ text, letters }: Request) => readFileSync(text, "utf8").slice(0, letters);

const load = ({ path, threads }: Request, kv_dtype: KvFormat = "f32") =>
  AutoModelForCausalLM.from_pretrained(path, { threads, kv_dtype });

async function scored(model: CausalLM, tokenizer: Tokenizer, request: Request) {
  const { context, stride } = request;
  const { perplexity: found, tokens } = await perplexity(model, tokenizer, textOf(request), { context, stride });
  return { perplexity: found, scored: tokens };
}

async function ofFormat(request: FormatRequest): Promise<FormatResult> {
  const { path, threads, facts, prompt, tokens, rounds } = request;
  const tokenizer = await AutoTokenizer.from_pretrained(path);
  const prompt_rates: number[] = [];
  const rates: number[] = [];
  let text: Awaited<ReturnType<typeof scored>>;
  let info: ReturnType<CausalLM["info"]>;
  let weights: number;
  {
    await using model = await load(request);
    info = model.info();
    weights = countParameters(model.config, "lm_head").matrix_parameters;
    text = await scored(model, tokenizer, request);
    const ids = tokenizer.encode(textOf(request)).slice(0, prompt);
    for (let round = 0; round < rounds; round++) {
      const streamer = new Stopwatch();
      await model.generate({ input_ids: [ids], max_new_tokens: tokens, min_new_tokens: tokens, streamer });
      const { prompt_rate, generated_rate } = streamer.figures();
      prompt_rates.push(prompt_rate!);
      rates.push(generated_rate!);
    }
  }
  const wrong: string[] = [];
  if (facts.length > 0) {
    const generator = await pipeline("text-generation", path, { threads });
    const chats = facts.map(({ ask }) => [{ role: "user", content: ask }]);
    const found = await generator(chats, { max_new_tokens: 40 });
    await generator.dispose();
    for (const [i, { ask, answers }] of facts.entries()) {
      const answer = found[i][0].generated_text.at(-1)!.content;
      if (!answers.some((start) => answer.startsWith(start))) wrong.push(`${ask} ${answer}`);
    }
  }
  const bits_per_weight = (8 * info.weight_bytes) / weights;
  return { formats: info.formats, bits_per_weight, ...text, wrong, prompt_rates, rates };
}

async function ofCaches(request: CachesRequest): Promise<CacheResult[]> {
  const tokenizer = await AutoTokenizer.from_pretrained(request.path);
  const input_ids = [tokenizer.encode(textOf(request)).slice(0, request.compared)];
  const results: CacheResult[] = [];
  let exact: Float32Array | undefined;
  for (const kv_dtype of Object.keys(kvFormats) as KvFormat[]) {
    await using model = await load(request, kv_dtype).catch((error) => {
      if (exact) return null; // heads that do not suit it
      throw error;
    });
    if (!model) continue;
    const { logits, past_key_values } = await model({ input_ids, use_cache: true });
    const pages = Math.ceil((input_ids[0].length - past_key_values!.rows[0].first_block * 64) / 64);
    const position_bytes = model.info().cache_bytes / pages / 64;
    past_key_values!.dispose();
    const values = logits.data as Float32Array;
    exact ??= values;
    results.push({
      kv_dtype,
      position_bytes,
      ...(await scored(model, tokenizer, request)),
      ...differences(values, exact, input_ids[0].length),
      compared: input_ids[0].length,
    });
  }
  return results;
}

function differences(found: Float32Array, exact: Float32Array, rows: number) {
  const width = exact.length / rows;
  let squares = 0;
  let largest = 0;
  let spread = 0;
  let other_choices = 0;
  const best = (row: Float32Array) => row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
  for (let at = 0; at < exact.length; at += width) {
    const [row, other] = [exact, found].map((all) => all.subarray(at, at + width));
    const mean = row.reduce((a, b) => a + b, 0) / width;
    for (let i = 0; i < width; i++) {
      const difference = other[i] - row[i];
      squares += difference ** 2;
      spread += (row[i] - mean) ** 2;
      largest = Math.max(largest, Math.abs(difference));
    }
    if (best(row) !== best(other)) other_choices++;
  }
  const root = (sum: number) => Math.sqrt(sum / exact.length);
  return { rms: root(squares), largest, other_choices, spread: root(spread) };
}

const request: FormatRequest | CachesRequest = JSON.parse(process.argv[2]);
console.log(JSON.stringify(request.kind === "format" ? await ofFormat(request) : await ofCaches(request)));
