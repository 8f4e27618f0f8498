// MixtralConfig: defaults, both generations of config.json, aliases, and what is refused.
import { readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralConfig } from "../../src/config/mixtral_config.ts";
import { ConfigError } from "../../src/errors.ts";
import { fixture, hasFixture, json } from "../fixtures.ts";

const refused = (values: Record<string, unknown>, message: RegExp) => {
  try {
    MixtralConfig.from_dict(values, "x/config.json");
  } catch (error) {
    assert.instance(error, ConfigError);
    assert.match((error as Error).message, message);
    assert.match((error as Error).message, /found .* in x\/config\.json$/);
    return;
  }
  assert.unreachable(`accepted: ${JSON.stringify(values)}`);
};

test("defaults are transformers'", () => {
  const c = new MixtralConfig();
  assert.equal(
    [
      c.vocab_size,
      c.hidden_size,
      c.intermediate_size,
      c.num_hidden_layers,
      c.num_attention_heads,
      c.num_key_value_heads,
    ],
    [32000, 4096, 14336, 32, 32, 8],
  );
  assert.equal([c.head_dim, c.resolved_head_dim, c.hidden_act, c.max_position_embeddings], [null, 128, "silu", 131072]);
  assert.equal([c.rms_norm_eps, c.sliding_window, c.num_experts_per_tok, c.num_local_experts], [1e-5, null, 2, 8]);
  assert.equal([c.pad_token_id, c.bos_token_id, c.eos_token_id], [null, 1, 2]);
  assert.equal([c.output_router_logits, c.router_aux_loss_coef, c.router_jitter_noise], [false, 0.001, 0]);
  assert.equal(c.rope_parameters, { rope_theta: 1e6, rope_type: "default" });
  assert.equal([c.num_labels, c.id2label], [2, { 0: "LABEL_0", 1: "LABEL_1" }]);
});

test("every fixture's config.json, read and written, says the same again", () => {
  const folders = readdirSync(fixture("fixtures/hf")).filter((name) => hasFixture(`fixtures/hf/${name}/config.json`));
  for (const name of folders) {
    const original = json(`fixtures/hf/${name}/config.json`);
    const config = MixtralConfig.from_dict(original);
    const written = JSON.parse(JSON.stringify(config));
    // What transformers 5 wrote stands there again; what transformers 4 wrote, under its new names.
    const { rope_theta, torch_dtype, ...same } = original;
    for (const [key, value] of Object.entries(same)) assert.equal(written[key], value, `${name} ${key}`);
    if (torch_dtype) assert.is(written.dtype, torch_dtype);
    if (rope_theta) assert.equal(written.rope_parameters, { rope_theta, rope_type: "default" });
    assert.equal(JSON.parse(JSON.stringify(MixtralConfig.from_dict(written))), written, name);
  }
  assert.ok(folders.length >= 5);
  console.log(`# ${folders.length} configs of fixtures/hf read and written`);
});

test("rope parameters of both generations", () => {
  const rope = (values: Record<string, unknown>) => MixtralConfig.from_dict(values).rope_parameters;
  assert.equal(rope({ rope_theta: 1e4 }), { rope_theta: 1e4, rope_type: "default" });
  assert.equal(rope({ rope_parameters: { rope_theta: 1e4 } }), { rope_theta: 1e4, rope_type: "default" });
  assert.equal(rope({ rope_parameters: null, rope_theta: 5 }), { rope_theta: 5, rope_type: "default" });
  assert.equal(rope({ rope_theta: 7, rope_parameters: { rope_type: "default", rope_theta: 1e4 } }).rope_theta, 1e4);
  const old = rope({ rope_theta: 1e4, rope_scaling: { type: "linear", factor: 4 } });
  assert.equal(old, { rope_theta: 1e4, rope_type: "linear", factor: 4 });
  assert.equal(rope({ rope_parameters: { rope_theta: 9 }, rope_scaling: { rope_type: "linear", factor: 2 } }), {
    rope_theta: 1e6,
    rope_type: "linear",
    factor: 2,
  });
});

test("aliases, labels, dropped and unknown keys", () => {
  const config = MixtralConfig.from_dict({
    num_experts: 4,
    torch_dtype: "torch.bfloat16",
    temperature: 0.3,
    max_length: 9,
    my_key: [1],
    to_dict: "theirs",
    id2label: { 0: "no", 1: "yes", 2: "perhaps" },
    num_key_value_heads: null,
    eos_token_id: [2, 7],
  });
  assert.equal([config.num_local_experts, config.num_experts, config.dtype], [4, 4, "bfloat16"]);
  assert.equal([config.num_labels, config.label2id], [3, { no: 0, yes: 1, perhaps: 2 }]);
  assert.equal([config.num_key_value_heads, config.eos_token_id], [32, [2, 7]]);
  const loose = config as unknown as Record<string, unknown>;
  assert.equal([loose.my_key, loose.temperature, loose.max_length], [[1], undefined, undefined]);
  assert.type(config.to_dict, "function");
  assert.equal([config.to_dict().my_key, config.to_dict().to_dict], [[1], "theirs"]);
  config.num_experts = 6;
  assert.is(config.num_local_experts, 6);
  assert.is(new MixtralConfig({ num_labels: 5 }).id2label[4], "LABEL_4");
  assert.is(new MixtralConfig({ dtype: "float16", torch_dtype: "float32" }).dtype, "float16");
  const hostile = MixtralConfig.from_dict(JSON.parse('{"__proto__":{"vocab_size":7},"constructor":1}'));
  assert.is(hostile.vocab_size, 32000);
  assert.instance(hostile, MixtralConfig);
});

test("a window of 1 and odd but lawful sizes are accepted", () => {
  const c = new MixtralConfig({ sliding_window: 1, hidden_size: 36, num_attention_heads: 3, num_key_value_heads: 1 });
  assert.equal([c.sliding_window, c.resolved_head_dim], [1, 12]);
  assert.is(
    new MixtralConfig({ hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 24 })
      .resolved_head_dim,
    24,
  );
  assert.is(
    new MixtralConfig({ hidden_size: 50, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 2 })
      .resolved_head_dim,
    2,
  );
});

test("wrong fields are refused by name, with what was expected and found", () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ vocab_size: "32000" }, /^vocab_size: expected an integer of 1 to 16777216, found "32000"/],
    [{ vocab_size: 2 ** 24 + 1 }, /^vocab_size/],
    [{ vocab_size: 0 }, /^vocab_size/],
    [{ vocab_size: null }, /^vocab_size: .* found null/],
    [{ hidden_size: true }, /^hidden_size: .* found true/],
    [{ hidden_size: 4096.5 }, /^hidden_size/],
    [{ hidden_size: -1 }, /^hidden_size/],
    [{ hidden_size: [1] }, /^hidden_size: .* found \[1\]/],
    [{ num_hidden_layers: 1025 }, /^num_hidden_layers: expected an integer of 1 to 1024, found 1025/],
    [{ num_attention_heads: 3 }, /^num_attention_heads: expected a divisor of hidden_size 4096, found 3/],
    [{ num_key_value_heads: 5 }, /^num_key_value_heads: expected a divisor of num_attention_heads 32, found 5/],
    [{ head_dim: 3 }, /^head_dim: expected an even number.*found 3/],
    [{ hidden_size: 9, num_attention_heads: 3, num_key_value_heads: 3 }, /^head_dim: expected an even number.*found 3/],
    [{ num_experts_per_tok: 9 }, /^num_experts_per_tok: expected at most num_local_experts 8, found 9/],
    [{ num_experts_per_tok: 0 }, /^num_experts_per_tok/],
    [{ num_experts: 1 }, /^num_experts_per_tok: expected at most num_local_experts 1, found 2/],
    [{ sliding_window: 0 }, /^sliding_window: expected an integer of 1 to/],
    [{ rms_norm_eps: 0 }, /^rms_norm_eps: expected a finite number above 0/],
    [{ rms_norm_eps: Number.NaN }, /^rms_norm_eps: .* found NaN/],
    [{ hidden_act: "relu" }, /^hidden_act: expected "silu" or "gelu", found "relu"/],
    [{ tie_word_embeddings: 1 }, /^tie_word_embeddings: expected true or false, found 1/],
    [{ eos_token_id: [2, "x"] }, /^eos_token_id/],
    [{ architectures: "MixtralForCausalLM" }, /^architectures: expected a list/],
    [{ model_type: "mistral" }, /^model_type: expected "mixtral", found "mistral"/],
    [{ rope_theta: 0 }, /^rope_theta: expected a finite number above 0, found 0/],
    [{ rope_theta: "1e6" }, /^rope_theta/],
    [{ rope_parameters: [] }, /^rope_parameters: expected an object/],
    [{ rope_parameters: { rope_theta: -1 } }, /^rope_parameters.rope_theta/],
    [{ rope_parameters: { rope_type: 1 } }, /^rope_parameters.rope_type: expected a string/],
    [
      { rope_parameters: { rope_type: "ntk", factor: 4 } },
      /^rope_parameters.rope_type: expected one that this version computes \(default, .*longrope\), found "ntk"/,
    ],
    [
      { rope_scaling: { type: "llama3", factor: 8 } },
      /^rope_scaling.original_max_position_embeddings: .* found nothing/,
    ],
    [
      {
        rope_scaling: {
          type: "llama3",
          factor: 8,
          original_max_position_embeddings: 64,
          low_freq_factor: 4,
          high_freq_factor: 4,
        },
      },
      /^rope_scaling.high_freq_factor: expected more than low_freq_factor 4, found 4/,
    ],
    [{ rope_scaling: { type: "yarn" } }, /^rope_scaling.factor: .* found nothing/],
    [{ rope_scaling: { type: "yarn", factor: 4, truncate: 1 } }, /^rope_scaling.truncate/],
    [{ rope_scaling: { type: "longrope", long_factor: [1] } }, /^rope_scaling.short_factor/],
    [
      { rope_scaling: { type: "longrope", long_factor: [1], short_factor: [1] } },
      /^rope_parameters.short_factor: expected 64 numbers, half of a head's 128, found 1/,
    ],
    [{ rope_scaling: { type: "linear" } }, /^rope_scaling.factor: expected a number of at least 1 .* found nothing/],
    [{ rope_scaling: { type: "linear", factor: 0.5 } }, /^rope_scaling.factor/],
    [{ id2label: ["a", "b"] }, /^id2label/],
    [{ id2label: { 0: "a", 2: "b" } }, /^id2label/],
    [{ id2label: { x: "a" } }, /^id2label/],
    [{ id2label: {} }, /^id2label/],
    [{ num_labels: 1e9 }, /^num_labels/],
    [{ problem_type: "other" }, /^problem_type/],
    [{ problem_type: "single_label_classification", num_labels: 1 }, /^problem_type/],
    [{ quantization_config: "nf4" }, /^quantization_config/],
  ];
  for (const [values, message] of wrong) refused(values, message);
  console.log(`# ${wrong.length} wrong configs refused`);
});

test("what is shown of a hostile value is short and printable", () => {
  try {
    new MixtralConfig({ hidden_act: `\u001b[31m\u202e${"x".repeat(1e6)}` });
    assert.unreachable();
  } catch (error) {
    const { message } = error as Error;
    assert.ok(message.length < 200);
    assert.not.match(message, /\p{C}/u);
  }
});

test.run();
