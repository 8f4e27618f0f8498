// What a fresh process of the bench runs: loads one checkpoint, does the tasks it was given, and prints what it measured
// as one line of JSON. A process of its own has no one else's memory, and shows what a user's program would.
import process from "node:process";
import { Stopwatch } from "../src/cli/report.ts";
import { AutoModelForCausalLM, type LoadOptions, type MixtralForCausalLM, type ModelInfo } from "../src/index.ts";
import type { PhaseName } from "../src/model/phases.ts";
import type { Profile, StepKind } from "../src/model/profile.ts";
import { randomWords } from "./blocks.ts";
import { type MemoryUse, memoryOf, watchMemory } from "./memory.ts";

export type Task =
  /** Answers `rows` prompts of `prompt` random tokens with `tokens` each. */
  | { kind: "generate"; prompt: number; tokens: number; rows?: number }
  /** Feeds `tokens` single tokens at each of the positions, the window filled. */
  | { kind: "positions"; at: number[]; tokens: number };

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
}

const productPhases: readonly PhaseName[] = ["q, k, v", "o", "experts w1, w3", "experts w2", "head"];

/** The threads' mean time in products, waits for each other excepted, of the whole time between a step's begin and end. */
function productShare(profile: Profile, kind: StepKind): number {
  const rows = profile.byPhase(kind);
  const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0);
  const products = sum(({ name, busy_ms }) => (productPhases.includes(name as PhaseName) ? busy_ms : 0));
  return products / sum(({ busy_ms, waited_ms }) => busy_ms + waited_ms);
}

export interface TaskResult {
  /** From the call to the first token. */
  first_ms: number;
  prompt_rate: number; // tokens a second
  generated_rate: number; // tokens a second, all rows together
  /** For `positions`: milliseconds of each token at each, and private bytes then. */
  positions: { at: number; ms: number[]; private: number }[];
}

export interface Request {
  path: string;
  options: LoadOptions;
  tasks: Task[];
}

async function generate(
  model: MixtralForCausalLM,
  { prompt, tokens, rows = 1 }: Task & { kind: "generate" },
): Promise<TaskResult> {
  const input_ids = Array.from({ length: rows }, (_, row) => randomIds(model, prompt, row + 1));
  const streamer = new Stopwatch();
  await model.generate({
    input_ids,
    attention_mask: input_ids.map((row) => row.map(() => 1)),
    max_new_tokens: tokens,
    min_new_tokens: tokens,
    do_sample: false,
    streamer,
  });
  const { first_token_ms, prompt_rate, generated_rate } = streamer.figures();
  return {
    first_ms: first_token_ms ?? 0,
    prompt_rate: (prompt_rate ?? 0) * rows,
    generated_rate: (generated_rate ?? 0) * rows,
    positions: [],
  };
}

/** Random ids that are ordinary tokens. */
function randomIds(model: MixtralForCausalLM, length: number, seed: number): number[] {
  const first = Math.min(259, model.config.vocab_size >> 1);
  return Array.from(
    randomWords(new Uint32Array(length), seed),
    (word) => first + (word % (model.config.vocab_size - first)),
  );
}

/**
 * A ring that has rolled over holds the last keys of a window, whatever the position. So it is filled once, and the
 * sequence is then told that it is further on: the work of each token is what it would be had all tokens been fed.
 */
async function walk(model: MixtralForCausalLM, { at, tokens }: Task & { kind: "positions" }): Promise<TaskResult> {
  const window = model.engine.shape.window || Math.max(...at);
  const cache = model.create_cache(1, window);
  const fill = randomIds(model, window, 1);
  await model({ input_ids: [fill], past_key_values: cache, logits_to_keep: 1 });
  const positions: TaskResult["positions"] = [];
  for (const position of at) {
    const ms: number[] = [];
    for (let i = 0; i < tokens; i++) {
      cache.sequences[0].length = position;
      const start = performance.now();
      await model({ input_ids: [[fill[i]]], position_ids: [[position]], past_key_values: cache });
      ms.push(performance.now() - start);
    }
    positions.push({ at: position, ms, private: memoryOf("self")?.private ?? 0 });
  }
  cache.dispose();
  return { first_ms: 0, prompt_rate: 0, generated_rate: 0, positions };
}

const { path, options, tasks }: Request = JSON.parse(process.argv[2]);
const before = memoryOf("self");
const start = performance.now();
const model = await AutoModelForCausalLM.from_pretrained(path, options);
const load_ms = performance.now() - start;
const loaded = memoryOf("self");
const watch = watchMemory();
const results: TaskResult[] = [];
for (const task of tasks) results.push(await (task.kind === "generate" ? generate(model, task) : walk(model, task)));
const { profile } = model;
const products = profile && { decode: productShare(profile, "decode"), prefill: productShare(profile, "prefill") };
const measurement: Measurement = { load_ms, before, loaded, peak: watch.peak(), info: model.info(), results, products };
watch.stop();
await model.dispose();
console.log(JSON.stringify(measurement));
