// What a GGUF's metadata says of rotary positions, of sizes and of ends, as llama.cpp reads it.
// Source: llama.cpp v0.5.0, llama-model.cpp: the type is linear where none is named, and a factor of 0 or none is 1.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ggufConfig, ggufGenerationConfig } from "../../src/checkpoint/gguf_config.ts";
import type { GGUFValue } from "../../src/checkpoint/gguf_types.ts";

const base: Record<string, GGUFValue> = {
  "general.architecture": "llama",
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 64,
  "llama.block_count": 1,
  "llama.attention.head_count": 2,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.context_length": 512,
  "llama.expert_count": 2,
  "llama.expert_used_count": 1,
};
const metadata = (more: Record<string, GGUFValue>) => new Map(Object.entries({ ...base, ...more }));
const config = (more: Record<string, GGUFValue>, divisors?: number[]) =>
  ggufConfig(metadata(more), 8, false, divisors && { short: divisors, long: divisors }, "x.gguf");

test("rope scaling: what it comes to", () => {
  const scaling = "llama.rope.scaling";
  let tried = 0;
  for (const type of [undefined, "none", "linear", "longrope"])
    for (const factor of [undefined, 0, 1, 4])
      for (const older of [undefined, 0, 2]) {
        const given = {
          ...(type === undefined ? {} : { [`${scaling}.type`]: type }),
          ...(factor === undefined ? {} : { [`${scaling}.factor`]: factor }),
          ...(older === undefined ? {} : { "llama.rope.scale_linear": older }),
        };
        const scale = type === "none" ? 1 : (factor ?? older ?? 0) || 1;
        const what = JSON.stringify(given);
        const { rope_type, factor: found = 1 } = config(given).rope_parameters;
        assert.equal([rope_type, found], [scale === 1 ? "default" : "linear", scale], what);
        const divided = config(given, Array(8).fill(3)).rope_parameters;
        assert.equal([divided.rope_type, divided.short_factor?.[0]], ["longrope", 3 * scale], `${what}, divided`);
        tried++;
      }
  assert.is(tried, 48);
  const yarn = config({ [`${scaling}.type`]: "yarn", [`${scaling}.factor`]: 8 }).rope_parameters;
  assert.equal([yarn.rope_type, yarn.factor], ["yarn", 8]);
});

test("sizes: tokens, then llama.vocab_size, then rows", () => {
  const tokens = ["<unk>", "<s>", "</s>"];
  assert.is(config({ "tokenizer.ggml.tokens": tokens, "llama.vocab_size": 5 }).vocab_size, 3);
  assert.is(config({ "llama.vocab_size": 5 }).vocab_size, 5);
  assert.is(config({}).vocab_size, 8);
});

test("ids: defaults, keys, and keys that name no token", () => {
  const tokens = ["<unk>", "<s>", "</s>", "a", "<|im_end|>"];
  const ids = (more: Record<string, GGUFValue>) => {
    const all = { "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens, ...more };
    const { bos_token_id, eos_token_id, pad_token_id } = config(all);
    return [bos_token_id, eos_token_id, pad_token_id, ggufGenerationConfig(metadata(all), "x.gguf").eos_token_id];
  };
  assert.equal(ids({}), [1, 2, null, [2, 4]]);
  assert.equal(ids({ "tokenizer.ggml.eos_token_id": 4, "tokenizer.ggml.padding_token_id": 2 ** 32 - 1 }), [
    ...[1, 4, null],
    [4, 2],
  ]);
  assert.equal(ids({ "tokenizer.ggml.bos_token_id": 5, "tokenizer.ggml.padding_token_id": 3 }), [1, 2, 3, [2, 4]]);
  assert.throws(() => ids({ "tokenizer.ggml.eos_token_id": "2" }), /eos_token_id: expected a number, found "2"/);
});

test.run();
