// What the machine can do at best, through WebAssembly, and what the product kernels make of it: measured by kernels.ts
// in a process of its own at the beginning of every run, so that each figure stands beside the roof of the same run.
import type { BlockFormat, FormatName } from "../src/quant/formats.ts";
import { ownRuntime, runProgram } from "./child.ts";

/** Rates in 1e9 a second: bytes read, and multiply-adds of each kind. */
export type RoofName = "read" | "dot_i32" | "dot_i16" | "product_i16" | "f32";

export interface FormatRates {
  readonly name: FormatName;
  /** GB/s of weights, one token. */
  readonly one: number;
  /** G multiply-adds a second, 128 tokens. */
  readonly many: number;
  /** The peak of the fastest exact dot that the format can use. */
  readonly peak: number;
}

export interface Rates {
  readonly threads: number;
  readonly roofs: Readonly<Record<RoofName, number>>;
  readonly formats: readonly FormatRates[];
}

/** For each number of threads, in the order given. */
export function measureKernels(
  formats: readonly BlockFormat["name"][],
  options: { build: "relaxed" | "simd"; repeats: number; threads: readonly number[] },
): Promise<Rates[]> {
  const { build, repeats, threads } = options;
  const args = [...formats, "--json", "--build", build, "--repeats", String(repeats), "--threads", threads.join(",")];
  return runProgram("kernels", args, ownRuntime);
}

export const ratesOf = ({ formats }: Rates, name: FormatName): FormatRates => {
  const found = formats.find((each) => each.name === name);
  if (!found) throw new Error(`${name}: its kernels were not measured in this run`);
  return found;
};
