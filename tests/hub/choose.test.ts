// Which files of a repository from_pretrained takes, for what, and what it says where it cannot choose.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError } from "../../src/errors.ts";
import { choose, type Purpose } from "../../src/hub/choose.ts";
import { failure } from "../contract/disk.ts";

const listing = (...names: string[]) => new Map(names.map((name) => [name, { size: 1_000_000_000, blob_id: "" }]));

const beside = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "LICENSE"];
const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
const parts = ["Q8_0/m-Q8_0-00001-of-00002.gguf", "Q8_0/m-Q8_0-00002-of-00002.gguf"];
const quants = [
  "m.Q4_K_M.gguf",
  "m.Q4_K_S.gguf",
  "m.IQ4_XS.gguf",
  "m-f16.gguf",
  "m-bf16.gguf",
  ...parts,
  "mmproj-m-f16.gguf",
];

/** What is there, what for, which file; and the files that are taken, the one that is meant, the warning. */
const choices: [string, string[], Purpose, string | undefined, string[], string | undefined, RegExp?][] = [
  [
    "one file of safetensors",
    [...beside, "model.safetensors", "pytorch_model.bin", "README.md"],
    "model",
    undefined,
    [...beside, "model.safetensors"],
    undefined,
  ],
  [
    "shards: first their index",
    [...beside, "model.safetensors.index.json", ...shards],
    "model",
    undefined,
    [...beside, "model.safetensors.index.json"],
    undefined,
  ],
  [
    "Hugging Face's before Mistral's",
    [...beside, "model.safetensors", "params.json", "consolidated.safetensors"],
    "model",
    undefined,
    [...beside, "params.json", "model.safetensors"],
    undefined,
  ],
  [
    "Mistral's own",
    ["params.json", "tokenizer.model.v3", "consolidated.00.safetensors", "consolidated.01.safetensors"],
    "model",
    undefined,
    ["params.json", "tokenizer.model.v3", "consolidated.00.safetensors", "consolidated.01.safetensors"],
    undefined,
  ],
  [
    "safetensors before GGUF",
    [...beside, "model.safetensors", "m.Q4_K_M.gguf"],
    "model",
    undefined,
    [...beside, "model.safetensors"],
    undefined,
  ],
  ["a single GGUF", ["README.md", "config.json", "m.IQ3_M.gguf"], "model", undefined, ["m.IQ3_M.gguf"], "m.IQ3_M.gguf"],
  [
    "of several the Q4_K_M",
    quants,
    "model",
    undefined,
    ["m.Q4_K_M.gguf"],
    "m.Q4_K_M.gguf",
    /o\/n: holds 6 GGUF files; m.Q4_K_M.gguf is taken \(name another as o\/n:TYPE\)/,
  ],
  ["a type", quants, "model", "Q4_K_S", ["m.Q4_K_S.gguf"], "m.Q4_K_S.gguf"],
  ["a type in small letters", quants, "model", "iq4_xs", ["m.IQ4_XS.gguf"], "m.IQ4_XS.gguf"],
  ["F16 is not BF16, and no projector", quants, "model", "F16", ["m-f16.gguf"], "m-f16.gguf"],
  ["a type in several parts", quants, "model", "Q8_0", parts, parts[0]],
  ["any part of a set", quants, "model", parts[1], parts, parts[0]],
  ["a part without its folder", quants, "model", "m-Q8_0-00001-of-00002.gguf", parts, parts[0]],
  ["a GGUF by name", quants, "model", "m.IQ4_XS.gguf", ["m.IQ4_XS.gguf"], "m.IQ4_XS.gguf"],
  ["a tokenizer alone", [...beside, "model.safetensors"], "tokenizer", undefined, beside, undefined],
  ["a tokenizer of a GGUF is in it", quants, "tokenizer", "Q4_K_S", ["m.Q4_K_S.gguf"], "m.Q4_K_S.gguf"],
  [
    "a tokenizer's file",
    [...beside, "tokenizer.model", "model.safetensors"],
    "tokenizer",
    "tokenizer.model",
    [...beside, "tokenizer.model"],
    undefined,
  ],
  ["a config alone", [...beside, "model.safetensors"], "config", undefined, ["config.json"], undefined],
  [
    "a config beside a GGUF is not it",
    ["config.json", "m.Q4_K_M.gguf"],
    "config",
    undefined,
    ["m.Q4_K_M.gguf"],
    "m.Q4_K_M.gguf",
  ],
  [
    "an adapter",
    ["adapter_config.json", "adapter_model.safetensors", "README.md"],
    "adapter",
    undefined,
    ["adapter_config.json", "adapter_model.safetensors"],
    undefined,
  ],
];

for (const [what, names, purpose, file, files, meant, warning] of choices)
  test(what, () => {
    const choice = choose("o/n", listing(...names), purpose, file);
    assert.equal([...choice.files].sort(), [...files].sort());
    assert.is(choice.file, meant);
    if (warning) assert.match(choice.warning ?? "", warning);
    else assert.is(choice.warning, undefined);
    assert.is(choice.index, names.includes("model.safetensors.index.json") ? "model" : undefined);
  });

const refusals: [string, string[], Purpose, string | undefined, RegExp][] = [
  [
    "pickles",
    [...beside, "pytorch_model.bin"],
    "model",
    undefined,
    /^o\/n: expected model.safetensors, .* found pytorch_model.bin: PyTorch's pickle format, which runs code/,
  ],
  ["nothing", ["README.md"], "model", undefined, /found none of them$/],
  [
    "several, none of them usual",
    ["a.Q8_0.gguf", ...parts],
    "model",
    undefined,
    /^o\/n: holds 2 GGUF files, and none of type Q4_K_M: name one, as o\/n:TYPE\n {2}Q8_0\/m-Q8_0-00001-of-00002.gguf {2}2.00 GB\n {2}a.Q8_0.gguf {2}1.00 GB$/,
  ],
  [
    "two of the usual type",
    ["a.Q4_K_M.gguf", "b.Q4_K_M.gguf"],
    "model",
    undefined,
    /holds 2 GGUF files of type Q4_K_M: name one, as o\/n:FILE\n/,
  ],
  [
    "a type that is not there",
    ["a.Q8_0.gguf"],
    "model",
    "Q4_K",
    /expected Q4_K, found these GGUF files\n {2}a.Q8_0.gguf {2}1.00 GB/,
  ],
  ["Q4_K is not Q4_K_M", ["a.Q4_K_M.gguf"], "model", "Q4_K", /expected Q4_K, found these/],
  ["a type of two files", ["a.Q8_0.gguf", "b.Q8_0.gguf"], "model", "Q8_0", /o\/n: Q8_0 is 2 files: name one\n/],
  [
    "half an adapter",
    ["adapter_config.json"],
    "adapter",
    undefined,
    /expected adapter_config.json and adapter_model.safetensors, found no adapter_model/,
  ],
];

for (const [what, names, purpose, file, words] of refusals)
  test(`refused: ${what}`, () =>
    failure(() => choose("o/n", listing(...names), purpose, file), CheckpointError, words));

test.run();
