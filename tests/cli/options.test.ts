// What each flag of the command becomes: an option of the library, with the value that was given.
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { generateOptions, loadOptions, withModel, withSampling } from "../../src/cli/options.ts";

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
    ["--context 8", { context: 8 }],
    ["--kv-dtype f16", { kv_dtype: "f16" }],
    ["--kv-dtype q8_0", { kv_dtype: "q8_0" }],
    ["--no-mmap", { mmap: false }],
    ["--check-tensors", { check_tensors: true }],
    ["--simd plain", { simd: "plain" }],
    ["--chunk-size 7", { chunk_size: 7 }],
  ] as const)
    assert.equal(given(loadOptions(parsed(...args.split(" ")))), { mmap: "auto", ...option }, args);
});

test("options of generating: sampling where one of its own is given, but for temperature 0; else as the checkpoint has it", () => {
  const sampled = { do_sample: true };
  for (const [args, options] of [
    ["", {}],
    ["-n 5", { max_new_tokens: 5 }],
    ["--max-new-tokens 6", { max_new_tokens: 6 }],
    ["--repetition-penalty 5", { repetition_penalty: 5 }],
    ["--stop a --stop b", { stop_strings: ["a", "b"] }],
    ["--temperature 0.5", { ...sampled, temperature: 0.5 }],
    ["--top-k 4", { ...sampled, top_k: 4 }],
    ["--top-k 0", { ...sampled, top_k: 0 }],
    ["--top-p 0.25", { ...sampled, top_p: 0.25 }],
    ["--min-p 0.125", { ...sampled, min_p: 0.125 }],
    ["--seed 9", { ...sampled, seed: 9 }],
    ["--temperature 0 --top-k 4 --seed 9", { do_sample: false }],
  ] as const)
    assert.equal(given(generateOptions(parsed(...args.split(" ").filter(Boolean)))), options, args);
});

test.run();
