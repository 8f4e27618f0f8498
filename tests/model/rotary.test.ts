// Rope types: every checkpoint of fixtures/hf_rope, and the small ones, against Hugging Face, and the frequencies against the formulae in float64.
import { readdirSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { modelShape } from "../../src/config/shape.ts";
import { MixtralConfig, MixtralForCausalLM } from "../../src/index.ts";
import { Rotary } from "../../src/model/rotary.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { largestDifference } from "./compare.ts";

const small = ["dynamic", "yarn", "llama3", "longrope"].map((name) => `small/rope_${name}`);
const full = "fixtures/hf_rope";
const paths = [
  ...small,
  ...(hasFixture(full) ? readdirSync(fixture(full)).map((name) => `${full}/${name}`) : []).filter((path) =>
    hasFixture(`${path}/config.json`),
  ),
];
if (fixturesFrom === "../shared") assert.is(paths.length, 4 + 11);
let worst = 0;

for (const path of paths) {
  test(path, async () => {
    const expected = json(`${path}/expected.json`);
    const { tensors } = safetensors(fixture(`${path}/expected.safetensors`));
    const { rope_parameters } = new MixtralConfig(json(`${path}/config.json`));
    // Prompts there are longer than what the model was trained for, where the type is made for it.
    const stretches = ["dynamic", "yarn", "longrope"].includes(rope_parameters.rope_type);
    for (const options of [{ threads: 2 }, { threads: 2, chunk_size: 9, simd: "plain" }] as const) {
      await using model = await MixtralForCausalLM.from_pretrained(fixture(path), {
        ...options,
        ...(stretches ? { context: 10240 } : {}),
      });
      for (const [name, given] of Object.entries<any>(json(`${path}/inputs.json`))) {
        if (given.generate) {
          const out = await model.generate({
            ...given.inputs,
            ...given.generate,
            return_dict_in_generate: true,
            output_scores: true,
          });
          out.past_key_values?.dispose();
          assert.equal(out.sequences.tolist(), expected[name].sequences, name);
          continue;
        }
        const { logits } = await model({ ...given, use_cache: false });
        // Angles of thousands have few bits left in f32: the fixtures' README.
        const far = Number(/^positions_(\d+)/.exec(name)?.[1] ?? 0) >= 1000;
        const difference = largestDifference(logits, tensors[`${name}.logits`]);
        assert.ok(difference <= (far ? 3e-3 : 1e-4), `${name}: differs by ${difference}`);
        if (!far) worst = Math.max(worst, difference);
      }
    }
  });
}

const math = { exp: Math.exp, log: Math.log };
const dim = 32;
const of = (rope_parameters: object, max_position_embeddings = 4096) => {
  const config = new MixtralConfig({
    hidden_size: 64,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    rope_parameters,
    max_position_embeddings,
  });
  const base = Float32Array.from({ length: dim / 2 }, (_, i) => config.rope_theta ** ((-2 * i) / dim));
  return { rotary: new Rotary(modelShape(config), base, math), base };
};
const near = (found: Float32Array, expected: readonly number[], what: string) => {
  assert.is(found.length, expected.length);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i] - value) <= 1e-6 * value, `${what} ${i}: ${found[i]}, expected ${value}`);
};

test("frequencies are those of the formulae", () => {
  const theta = 1e4;
  const inv = Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim));
  const clamp = (x: number) => Math.min(1, Math.max(0, x));

  near(of({ rope_theta: theta }).rotary.frequencies(1e6), inv, "default");
  near(
    of({ rope_theta: theta, rope_type: "linear", factor: 4 }).rotary.frequencies(1e6),
    inv.map((v) => v / 4),
    "linear",
  );

  const dynamic = of({ rope_theta: theta, rope_type: "dynamic", factor: 2 }, 100).rotary;
  near(dynamic.frequencies(100), inv, "dynamic, within");
  for (const n of [101, 250]) {
    const grown = theta * ((2 * n) / 100 - 1) ** (dim / (dim - 2));
    near(
      dynamic.frequencies(n),
      inv.map((_, i) => grown ** ((-2 * i) / dim)),
      `dynamic, ${n}`,
    );
  }
  near(dynamic.frequencies(7), inv, "dynamic remembers nothing");
  assert.is(dynamic.scale, 1);

  for (const truncate of [true, false]) {
    const yarn = of({
      rope_theta: theta,
      rope_type: "yarn",
      factor: 4,
      original_max_position_embeddings: 1024,
      truncate,
    });
    const at = (turns: number) => (dim * Math.log(1024 / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const [low, high] = truncate ? [Math.floor(at(32)), Math.ceil(at(1))] : [at(32), at(1)];
    const ramp = (i: number) => clamp((i - Math.max(0, low)) / (Math.min(dim - 1, high) - Math.max(0, low)));
    near(
      yarn.rotary.frequencies(9e5),
      inv.map((v, i) => v * (1 - ramp(i)) + (v / 4) * ramp(i)),
      `yarn, ${truncate}`,
    );
    assert.ok(Math.abs(yarn.rotary.scale - (0.1 * Math.log(4) + 1)) < 1e-6);
  }
  const scaled = { rope_theta: theta, rope_type: "yarn", factor: 40, mscale: 1, mscale_all_dim: 0.8 };
  const expected = (0.1 * Math.log(40) + 1) / (0.08 * Math.log(40) + 1);
  assert.ok(Math.abs(of(scaled).rotary.scale - expected) < 1e-6);
  assert.is(of({ ...scaled, attention_factor: 1.25 }).rotary.scale, 1.25);

  const llama = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 2048 };
  const kept = inv.map((v) => clamp(((2048 * v) / (2 * Math.PI) - 1) / 3));
  near(
    of({ rope_theta: theta, rope_type: "llama3", ...llama }).rotary.frequencies(5),
    inv.map((v, i) => v * kept[i] + (v / 8) * (1 - kept[i])),
    "llama3",
  );

  const short_factor = inv.map((_, i) => 1 + i / 20);
  const long_factor = inv.map((_, i) => 1 + i / 3);
  const long = of(
    { rope_theta: theta, rope_type: "longrope", short_factor, long_factor, original_max_position_embeddings: 32 },
    128,
  ).rotary;
  near(
    long.frequencies(32),
    inv.map((v, i) => v / short_factor[i]),
    "longrope, short",
  );
  near(
    long.frequencies(33),
    inv.map((v, i) => v / long_factor[i]),
    "longrope, long",
  );
  assert.ok(Math.abs(long.scale - Math.sqrt(1 + Math.log(4) / Math.log(32))) < 1e-6);
});

test("report", () => {
  if (paths.length > 0)
    console.log(`# ${paths.length} checkpoints; largest difference from Hugging Face: ${worst.toExponential(2)}`);
});

test.run();
