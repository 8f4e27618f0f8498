// What a fresh process of the bench runs: loads one checkpoint, does the tasks it was given, and prints what it measured
// as one line of JSON. A process of its own has no one else's memory, and shows what a user's program would.
import process from "node:process";
import { Stopwatch } from "../src/cli/report.ts";
import {
  AutoModelForCausalLM,
  type CausalLM,
  type GenerateInputs,
  type LoadOptions,
  type ModelInfo,
  type Tensor,
} from "../src/index.ts";
import { PAGE_POSITIONS } from "../src/memory/kv_pool.ts";
import type { PhaseName } from "../src/model/phases.ts";
import type { Profile, StepKind } from "../src/model/profile.ts";
import { randomWords } from "./blocks.ts";
import { diskBytes, type MemoryUse, memoryOf, watchMemory } from "./memory.ts";

export type Task =
  /** Answers `rows` prompts of `prompt` random tokens with `tokens` each. */
  | { kind: "generate"; prompt: number; tokens: number; rows?: number }
  /** Feeds `tokens` single tokens at each of the positions, the window filled. */
  | { kind: "positions"; at: number[]; tokens: number }
  /** Streams an answer while a prompt is read. */
  | { kind: "beside"; prompt: number }
  /** Answers from one prefix in several streams at once. */
  | { kind: "shared"; prefix: number; streams: number; tokens: number }
  /** Answers a prompt with and without drafts, by turns: what is copied from the prompt, or what is not in it. */
  | { kind: "assisted"; prompt: number; tokens: number; rounds: number; assistant?: string };

export interface Measurement {
  load_ms: number;
  /** Before loading, after it, and the most of all times. */
  before?: MemoryUse;
  loaded?: MemoryUse;
  peak: MemoryUse;
  info: ModelInfo;
  results: TaskResult[];
  /** With the option `profile`: the part of all steps' time that the products took. */
  products?: Record<StepKind, number>;
  /** And what a generated token takes beside its products, in milliseconds: between two tokens, all threads' mean. */
  beside_ms?: number;
}

const productPhases: readonly PhaseName[] = ["q, k, v", "o", "experts w1, w3", "experts w2", "head"];

/** The threads' mean time in products, waits for each other excepted, of the whole time between a step's begin and end. */
function productShare(profile: Profile, kind: StepKind): number {
  const rows = profile.byPhase(kind);
  const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0);
  const products = sum(({ name, busy_ms }) => (productPhases.includes(name as PhaseName) ? busy_ms : 0));
  return products / sum(({ busy_ms, waited_ms }) => busy_ms + waited_ms);
}

/** Milliseconds from token to token less those of the products. */
function besideProducts(profile: Profile, results: readonly TaskResult[]): number {
  const rates = results.map(({ generated_rate }) => generated_rate).filter((rate) => rate > 0);
  const token_ms = 1000 / (rates.reduce((a, b) => a + b, 0) / rates.length);
  const busy = profile.byPhase("decode").filter(({ name }) => productPhases.includes(name as PhaseName));
  return token_ms - busy.reduce((sum, { busy_ms }) => sum + busy_ms, 0) / profile.count("decode").steps;
}

export interface TaskResult {
  /** From the call to the first token. */
  first_ms: number;
  prompt_rate: number; // tokens a second
  generated_rate: number; // tokens a second, all rows together
  /** For `positions`: milliseconds of each token at each, and private bytes then. */
  positions: { at: number; ms: number[]; private: number }[];
  /** For `generate`: milliseconds between its tokens, and what was read for them where experts come when they are needed. */
  token_ms?: number[];
  paged?: { prompt: Paged; tokens: Paged };
  /** For `beside`: milliseconds between two tokens while the prompt was read, and what reading it takes alone and so. */
  gaps?: number[];
  reading_ms?: { alone: number; beside: number };
  /** For `shared`: cache bytes of the prefix, and with all streams at their ends. */
  cache_bytes?: { prefix: number; streams: number };
  /** For `assisted`: of each text, tokens a second in each round, without drafts and with them. */
  assisted?: { text: "copied" | "free"; plain: number[]; drafted: number[] }[];
}

/** What was read of experts, by the engine and from the disk. */
export interface Paged {
  hits: number;
  misses: number;
  read_bytes: number;
  wait_ms: number;
  disk_bytes: number;
}

function pagedSoFar(model: CausalLM): Paged {
  const { hits = 0, misses = 0, read_bytes = 0, wait_ms = 0 } = model.info().experts ?? {};
  return { hits, misses, read_bytes, wait_ms, disk_bytes: diskBytes() };
}

const since = (now: Paged, before: Paged): Paged =>
  Object.fromEntries(Object.entries(now).map(([key, value]) => [key, value - before[key as keyof Paged]])) as never;

export interface Request {
  path: string;
  options: LoadOptions;
  tasks: Task[];
}

async function generate(
  model: CausalLM,
  { prompt, tokens, rows = 1 }: Task & { kind: "generate" },
): Promise<TaskResult> {
  const input_ids = Array.from({ length: rows }, (_, row) => randomIds(model, prompt, row + 1));
  const streamer = new Stopwatch();
  const times: number[] = [];
  const begin = pagedSoFar(model);
  let first = begin;
  await model.generate({
    input_ids,
    attention_mask: input_ids.map((row) => row.map(() => 1)),
    max_new_tokens: tokens,
    min_new_tokens: tokens,
    do_sample: false,
    streamer: {
      put(ids) {
        streamer.put(ids);
        // The prompt comes first.
        if (times.length === 1) first = pagedSoFar(model);
        times.push(performance.now());
      },
      end: () => streamer.end(),
    },
  });
  const token_ms = times.slice(2).map((time, i) => time - times[i + 1]);
  const paged = { prompt: since(first, begin), tokens: since(pagedSoFar(model), first) };
  const { first_token_ms, prompt_rate, generated_rate } = streamer.figures();
  return {
    first_ms: first_token_ms ?? 0,
    prompt_rate: (prompt_rate ?? 0) * rows,
    generated_rate: (generated_rate ?? 0) * rows,
    positions: [],
    token_ms,
    paged,
  };
}

/** Random ids that are ordinary tokens. */
function randomIds(model: CausalLM, length: number, seed: number): number[] {
  const first = Math.min(259, model.config.vocab_size >> 1);
  return Array.from(
    randomWords(new Uint32Array(length), seed),
    (word) => first + (word % (model.config.vocab_size - first)),
  );
}

/**
 * A cache behind a window holds the last keys of it, whatever the position. So it is filled once, and the sequence is then
 * told that it is further on, by whole pages: the work of each token is what it would be had all tokens been fed.
 */
async function walk(model: CausalLM, { at, tokens }: Task & { kind: "positions" }): Promise<TaskResult> {
  const window = model.engine.shape.window || Math.max(...at);
  const fill = randomIds(model, window, 1);
  const filled = async (count: number) => {
    const cache = model.create_cache(1);
    await model({ input_ids: [fill.slice(0, count)], past_key_values: cache, logits_to_keep: 1 });
    return cache;
  };
  const full = await filled(window);
  const positions: TaskResult["positions"] = [];
  for (const position of at) {
    const cache = position < window ? await filled(position) : full;
    const [row] = cache.rows;
    const ms: number[] = [];
    for (let i = 0; i < tokens; i++) {
      if (position < window) cache.crop(position);
      else {
        const pages = Math.max(0, Math.floor((position - row.length) / PAGE_POSITIONS));
        row.first_block += pages;
        row.length += pages * PAGE_POSITIONS;
      }
      const start = performance.now();
      await model({ input_ids: [[fill[i]]], position_ids: [[row.length]], past_key_values: cache });
      ms.push(performance.now() - start);
    }
    positions.push({ at: position, ms, private: memoryOf("self")?.private ?? 0 });
    if (cache !== full) cache.dispose();
  }
  full.dispose();
  return { ...nothing, positions };
}

const nothing: TaskResult = { first_ms: 0, prompt_rate: 0, generated_rate: 0, positions: [] };

/** Milliseconds between the tokens of a stream while a long prompt is read beside it. */
async function beside(model: CausalLM, { prompt }: Task & { kind: "beside" }): Promise<TaskResult> {
  const long = [randomIds(model, prompt, 1)];
  const read = async () => {
    const start = performance.now();
    await model({ input_ids: long, logits_to_keep: 1, use_cache: false });
    return performance.now() - start;
  };
  const alone = await read();
  const ended = new AbortController();
  const times: number[] = [];
  const streamer = { put: () => void times.push(performance.now()), end() {} };
  const most = 100_000;
  const talking = model
    .generate({
      input_ids: [randomIds(model, 4, 2)],
      max_new_tokens: most,
      min_new_tokens: most,
      streamer,
      signal: ended.signal,
    })
    .catch(() => {});
  while (times.length < 4) await new Promise((resolve) => setTimeout(resolve, 1));
  const start = performance.now();
  const reading_ms = { alone, beside: await read() };
  ended.abort();
  await talking;
  const gaps = times.slice(1).map((time, i) => time - times[i]);
  return { ...nothing, gaps: gaps.filter((_, i) => times[i + 1] > start), reading_ms };
}

/** Streams that go on from forks of one cache. */
async function shared(model: CausalLM, { prefix, streams, tokens }: Task & { kind: "shared" }): Promise<TaskResult> {
  const ids = randomIds(model, prefix, 1);
  const { past_key_values } = await model({ input_ids: [ids], logits_to_keep: 1 });
  const forks = Array.from({ length: streams }, () => past_key_values!.fork());
  const before = model.info().cache_bytes;
  const start = performance.now();
  await Promise.all(
    forks.map((fork, i) =>
      model.generate({
        input_ids: [[...ids, ...randomIds(model, 4, 2 + i)]],
        past_key_values: fork,
        max_new_tokens: tokens,
        min_new_tokens: tokens,
      }),
    ),
  );
  const seconds = (performance.now() - start) / 1000;
  const cache_bytes = { prefix: before, streams: model.info().cache_bytes };
  for (const cache of [past_key_values!, ...forks]) cache.dispose();
  return { ...nothing, generated_rate: (streams * tokens) / seconds, cache_bytes };
}

/**
 * Tokens a second of an answer with drafts and without. What is answered is given, whatever the weights are: with drafts by a
 * processor that lets no other token through; without, nothing tells the threads what to draw, as it would be.
 */
async function assisted(
  model: CausalLM,
  { prompt, tokens, rounds, assistant: path }: Task & { kind: "assisted" },
): Promise<TaskResult> {
  const assistant = path ? await AutoModelForCausalLM.from_pretrained(path, { threads: model.info().threads }) : null;
  const first = Math.min(259, model.config.vocab_size >> 1);
  // As in a language, few tokens are frequent: what was there before is there again, and goes on otherwise.
  const words = randomWords(new Uint32Array(2 * (prompt + tokens)), 3);
  const zipf = Array.from({ length: prompt + tokens }, (_, i) => {
    const rank = Math.floor(2000 ** (words[2 * i] / 2 ** 32));
    return first + (rank % (model.config.vocab_size - first));
  });
  const ids = zipf.slice(0, prompt);
  const answers = { copied: ids.slice(8, 8 + tokens), free: zipf.slice(prompt) };
  const speed = async (options: GenerateInputs) => {
    const streamer = new Stopwatch();
    await model.generate({
      input_ids: [ids],
      attention_mask: [ids.map(() => 1)],
      max_new_tokens: tokens,
      min_new_tokens: tokens,
      streamer,
      ...options,
    });
    return streamer.figures().generated_rate ?? 0;
  };
  const results: NonNullable<TaskResult["assisted"]> = [];
  for (const text of ["copied", "free"] as const) {
    const forced = (_: number[][], scores: Tensor) => {
      const row = scores.row(0).data as Float32Array;
      const next = answers[text][_[0].length - prompt];
      row.fill(-Infinity);
      row[next] = 0;
    };
    const drafts = assistant ? { assistant_model: assistant } : { prompt_lookup_num_tokens: 32 };
    const result = { text, plain: [] as number[], drafted: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      result.plain.push(await speed({}));
      result.drafted.push(await speed({ ...drafts, logits_processor: forced }));
    }
    results.push(result);
  }
  await assistant?.dispose();
  return { ...nothing, assisted: results };
}

const runs: { readonly [Kind in Task["kind"]]: (model: CausalLM, task: any) => Promise<TaskResult> } = {
  generate,
  positions: walk,
  beside,
  shared,
  assisted,
};

const { path, options, tasks }: Request = JSON.parse(process.argv[2]);
const before = memoryOf("self");
const start = performance.now();
const model = await AutoModelForCausalLM.from_pretrained(path, options);
const load_ms = performance.now() - start;
const loaded = memoryOf("self");
const watch = watchMemory();
const results: TaskResult[] = [];
for (const task of tasks) results.push(await runs[task.kind](model, task));
const { profile } = model;
const products = profile && { decode: productShare(profile, "decode"), prefill: productShare(profile, "prefill") };
const beside_ms = profile && besideProducts(profile, results);
const info = model.info();
const peak = watch.peak();
const measurement: Measurement = { load_ms, before, loaded, peak, info, results, products, beside_ms };
watch.stop();
await model.dispose();
console.log(JSON.stringify(measurement));
