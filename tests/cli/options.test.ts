// What each flag of the command becomes: an option of the library, with the value that was given.
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadOptions, withModel } from "../../src/cli/options.ts";
import { describeSampling, generateOptions, withSampling } from "../../src/cli/sampling.ts";
import type { PreTrainedModel } from "../../src/model/pretrained.ts";

/** The flags that every command knows, parsed. */
const parsed = (...args: string[]) =>
  withSampling(withModel(new Command()))
    .parse(["-m", "x", ...args], { from: "user" })
    .opts() as never;

/** Those that are given a value. */
const given = (options: object) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

test("options of loading", () => {
  assert.equal(given(loadOptions(parsed())), { mmap: "auto" });
  for (const [args, option] of [
    ["--threads 3", { threads: 3 }],
    ["-t 3", { threads: 3 }],
    ["--context 8", { context: 8 }],
    ["-c 8", { context: 8 }],
    ["--device cpu", { device: "cpu" }],
    ["--dtype q8_0", { dtype: "q8_0" }],
    ["--dtype Q4_K_M", { dtype: "Q4_K_M" }],
    ["--kv-dtype f16", { kv_dtype: "f16" }],
    ["--kv-dtype q8_0", { kv_dtype: "q8_0" }],
    ["--no-mmap", { mmap: false }],
    ["--check-tensors", { check_tensors: true }],
    ["--memory-budget 8G", { memory_budget: 8e9 }],
    ["--memory-budget 1.5g", { memory_budget: 1.5e9 }],
    ["--memory-budget 512MB", { memory_budget: 512e6 }],
    ["--memory-budget 3000k", { memory_budget: 3e6 }],
    ["--memory-budget 2T", { memory_budget: 2e12 }],
    ["--memory-budget 123456", { memory_budget: 123456 }],
    ["--memory-budget 50%", { memory_budget: 0.5 }],
    ["--memory-budget 12.5%", { memory_budget: 0.125 }],
    ["--memory-budget auto", { memory_budget: "auto" }],
    ["--simd plain", { simd: "plain" }],
    ["--chunk-size 7", { chunk_size: 7 }],
  ] as const)
    assert.equal(given(loadOptions(parsed(...args.split(" ")))), { mmap: "auto", ...option }, args);
});

test("options of generating: sampling where one of its own is given, but for temperature 0; else as the checkpoint has it", () => {
  const left = { seed: 4 }; // what was drawn, where none is given
  const sampled = { do_sample: true, ...left };
  for (const [args, options] of [
    ["", left],
    ["-n 5", { ...left, max_new_tokens: 5 }],
    ["-n -1", left],
    ["--max-new-tokens 6", { ...left, max_new_tokens: 6 }],
    ["--repetition-penalty 5", { ...left, repetition_penalty: 5 }],
    ["--repeat-penalty 5", { ...left, repetition_penalty: 5 }],
    ["--frequency-penalty 0.5", { ...left, frequency_penalty: 0.5 }],
    ["--presence-penalty -1", { ...left, presence_penalty: -1 }],
    ["--stop a --stop b", { ...left, stop_strings: ["a", "b"] }],
    ["--temperature 0.5", { ...sampled, temperature: 0.5 }],
    ["--temp 0.5", { ...sampled, temperature: 0.5 }],
    ["--top-k 4", { ...sampled, top_k: 4 }],
    ["--top-k 0", { ...sampled, top_k: 0 }],
    ["--top-p 0.25", { ...sampled, top_p: 0.25 }],
    ["--min-p 0.125", { ...sampled, min_p: 0.125 }],
    ["--seed 9", { ...sampled, seed: 9 }],
    ["-s 9", { ...sampled, seed: 9 }],
    ["--temperature 0 --top-k 4 --seed 9", { do_sample: false, seed: 9 }],
  ] as const)
    assert.equal(given(generateOptions(parsed(...args.split(" ").filter(Boolean)), 4)), options, args);
});

test("how tokens are chosen, in words: greedy, or with what is set by flags, by the checkpoint, by nobody", () => {
  const said = (settings: object, ...args: string[]) =>
    describeSampling(generateOptions(parsed(...args), 4), {
      generation_config: settings,
    } as unknown as PreTrainedModel);
  assert.is(said({}), "greedy");
  assert.is(said({}, "--seed", "9"), "sampled (temperature 1, top_k 50), seed 9");
  assert.is(
    said({ do_sample: true, temperature: 0.6, top_p: 0.9 }),
    "sampled (temperature 0.6, top_k 50, top_p 0.9), seed 4",
  );
  assert.is(said({ do_sample: true, top_k: 0 }, "--temp", "2"), "sampled (temperature 2, top_k 0), seed 4");
  assert.is(said({ do_sample: true, temperature: 0.6 }, "--temp", "0"), "greedy");
});

test.run();
