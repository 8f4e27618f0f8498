// What every part of the bench is, and what it is given.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadOptions } from "../src/index.ts";
import type { FormatName } from "../src/quant/formats.ts";
import type { FileType } from "../src/quant/mixes.ts";
import { demo } from "../tests/fixtures.ts";
import { measureModel } from "./child.ts";
import type { Measurement, Task } from "./measure.ts";
import type { LlamaBench } from "./peers/llama_bench.ts";
import type { Fact } from "./quality.ts";
import type { Section } from "./report.ts";
import type { Rates } from "./roofs.ts";
import { activeBytes, activeWeights, type ShapeName, shapes } from "./shapes.ts";
import { synthesize } from "./synth.ts";

/** The formats whose models are measured. */
export const modelFormats: readonly FormatName[] = ["Q4_0", "Q4_K", "Q8_0", "BF16"];

export interface Context {
  /** Seconds instead of minutes, on tiny models: shows that the bench works, its figures mean nothing. */
  readonly quick: boolean;
  /** Threads of the team where a part does not vary them. */
  readonly threads: number;
  /** Instruction sets of the machine, as Linux names them. */
  readonly features: readonly string[];
  /** The command that models run in; the kernels always run in this process' runtime. */
  readonly runtime: readonly string[];
  /** Files and folders that were named: models to be measured. */
  readonly models: readonly string[];
  /** A text whose perplexity is to be found. */
  readonly text: string | undefined;
  /** Whether models are asked the demo model's questions. */
  readonly facts: boolean;
  /** The roofs and kernels for 1 thread and for `threads`, measured at the beginning of this run. */
  readonly rates: { readonly one: Rates; readonly all: Rates };
  /** Builds of llama.cpp's `llama-bench` that were named. */
  readonly llama_bench: readonly LlamaBench[];
  /** Says on standard error what is being done. */
  log(line: string): void;
}

export interface Part {
  readonly name: string;
  readonly title: string;
  run(context: Context): Promise<Omit<Section, "name" | "title" | "command">>;
}

/** Writes the model if need be and measures it in a fresh process. */
export async function measure(
  context: Context,
  [shape, weights]: readonly [ShapeName, FormatName | FileType],
  tasks: readonly Task[],
  {
    threads = context.threads,
    profile = false,
    closed = false,
    load = {},
  }: { threads?: number; profile?: boolean; closed?: boolean; load?: LoadOptions } = {},
): Promise<Measurement> {
  const path = await synthesize(shape, weights, closed);
  context.log(
    `${shape} ${typeof weights === "string" ? weights : weights.name}${closed ? ", gates closed" : ""}, ${threads} threads${profile ? ", profiled" : ""}`,
  );
  return measureModel({ path, options: { threads, profile, ...load }, tasks: [...tasks] }, context.runtime);
}

/** What quality is measured on: a text, and questions with what llama.cpp gets right in each format where it is the demo model's. */
export function subject({ quick, text, facts: asked }: Context): {
  text: string;
  letters?: number;
  context: number;
  stride: number;
  facts: readonly Fact[];
  llama_cpp: Readonly<Record<string, number>>;
} {
  const windows = quick ? { letters: 400, context: 64, stride: 32 } : { context: 512, stride: 256 };
  const of = (name: string) => join(demo, "expected", name);
  const read = (name: string) => JSON.parse(readFileSync(of(name), "utf8"));
  const formats = Object.entries<{ facts_right_llama_cpp: number }>(read("formats.json"));
  const { facts } = read("expected.json") as { facts: Fact[] };
  return {
    text: text ?? of("perplexity.txt"),
    ...windows,
    facts: facts.slice(0, asked ? (quick ? 4 : facts.length) : 0).map(({ ask, answers }) => ({ ask, answers })),
    llama_cpp: Object.fromEntries(
      formats.map(([format, { facts_right_llama_cpp }]) => [format, facts_right_llama_cpp]),
    ),
  };
}

/** Generated tokens a second if reading the weights at the machine's bandwidth were all there is. */
export const readingRoof = ({ rates }: Context, shape: ShapeName, format: FormatName): number =>
  (rates.all.roofs.read * 1e9) / activeBytes(shapes[shape], format);

/** Prompt tokens a second if nothing but the products were computed, at `rate` G multiply-adds a second. */
export const productRate = (shape: ShapeName, rate: number): number =>
  (rate * 1e9) / activeWeights(shapes[shape]).layers;

export const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
