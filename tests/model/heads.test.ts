// The other classes against Hugging Face: classifiers of rows and of tokens, question answering, the model without a head.
// Tolerance 1e-4 absolute, losses 1e-4 relative (the fixtures' README): float32 sums in another order.
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  CheckpointError,
  InputError,
  MixtralConfig,
  MixtralForCausalLM,
  MixtralForQuestionAnswering,
  MixtralForSequenceClassification,
  MixtralForTokenClassification,
  MixtralModel,
} from "../../src/index.ts";
import { randomCheckpoint } from "../../src/model/random_checkpoint.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { Tensor } from "../../src/tensor.ts";
import { failure } from "../failure.ts";
import { fixture, fixturesFrom, json, safetensors } from "../fixtures.ts";
import { largestDifference, sameBits } from "./compare.ts";

const TOLERANCE = 1e-4;

interface Loader {
  from_pretrained(path: string, options: object): Promise<AsyncDisposable & ((inputs: any) => Promise<any>)>;
}

const classes: [folder: string, Class: unknown, outputs: string[]][] = [
  ["sequence_classification", MixtralForSequenceClassification, ["logits"]],
  ["sequence_multilabel", MixtralForSequenceClassification, ["logits"]],
  ["sequence_regression", MixtralForSequenceClassification, ["logits"]],
  ["token_classification", MixtralForTokenClassification, ["logits"]],
  ["question_answering", MixtralForQuestionAnswering, ["start_logits", "end_logits"]],
  ["bare_model", MixtralModel, ["last_hidden_state"]],
];

/** Whether position i of the batch is padding before its row's first token. */
const beforeText = (mask: number[][], i: number): boolean => {
  const [row, column] = [Math.floor(i / mask[0].length), i % mask[0].length];
  return !mask[row].slice(0, column + 1).includes(1);
};

let compared = 0;
let losses = 0;
const checkpoints = classes.flatMap(([folder, ...rest]) =>
  ["small", ...(fixturesFrom === "../shared" ? ["fixtures/hf"] : [])].map((root) => [root, folder, ...rest] as const),
);
for (const [root, folder, Class, outputs] of checkpoints) {
  test(`${root}/${folder}`, async () => {
    const path = `${root}/${folder}`;
    const { tensors } = safetensors(fixture(`${path}/expected.safetensors`));
    const expected = json(`${path}/expected.json`);
    for (const options of [{ threads: 2 }, { threads: 3, chunk_size: 5, simd: "plain" }]) {
      await using model = await (Class as Loader).from_pretrained(fixture(path), options);
      for (const [name, given] of Object.entries<any>(json(`${path}/inputs.json`))) {
        const out = await model(given);
        const mask: number[] | undefined = given.attention_mask?.flat();
        for (const output of outputs) {
          const found: Tensor = out[output];
          const want = tensors[`${name}.${output}`];
          assert.equal(found.dims, want.shape, `${name} ${output}`);
          // What padding before a text gives is undefined; a row's class does not stand at a token.
          const counts = (i: number) =>
            !mask || found.dims[0] * found.dims[1] !== mask.length || !beforeText(given.attention_mask, i);
          const width = output.endsWith("_logits") ? 1 : undefined;
          const difference = largestDifference(found, want, folder.startsWith("sequence") ? undefined : counts, width);
          assert.ok(difference <= TOLERANCE, `${name} ${output}: differs by ${difference}`);
          compared++;
        }
        for (const [i, state] of (given.output_hidden_states ? out.hidden_states : []).entries())
          assert.ok(largestDifference(state, tensors[`${name}.hidden_states.${i}`]) <= TOLERANCE, `hidden state ${i}`);
        const { loss } = expected[name];
        assert.is(out.loss === undefined, loss === undefined, `${name}: a loss where there are labels`);
        // The reference lets an answer begin in padding before a text.
        const padded = folder === "question_answering" && given.attention_mask?.some((row: number[]) => row[0] === 0);
        if (loss !== undefined && !padded) {
          assert.ok(Math.abs(out.loss - loss) <= 1e-4 * loss, `${name}: loss ${out.loss}, expected ${loss}`);
          losses++;
        }
        out.past_key_values?.dispose();
      }
    }
  });
}

test("report", () => {
  console.log(`# ${compared} outputs and ${losses} losses of other classes agree with Hugging Face`);
  assert.ok(compared > 0);
});

const shape = {
  vocab_size: 90,
  hidden_size: 48,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_labels: 3,
};

test("from_config: weights of the deviation that the config says, by the seed, in every class", async () => {
  const input_ids = [[1, 5, 20, 7]];
  const bits = async (seed: number | bigint, options = {}) => {
    await using model = await MixtralForCausalLM.from_config(shape, { threads: 2, seed, ...options });
    return (await model({ input_ids, use_cache: false })).logits.data as Float32Array;
  };
  const first = await bits(7);
  assert.ok(sameBits(first, await bits(7n, { threads: 3, simd: "plain" })));
  assert.not.ok(sameBits(first, await bits(8)));
  assert.not.ok(sameBits(first, await bits(7n + (1n << 40n))));
  for (const [Class, output, dims] of [
    [MixtralForSequenceClassification, "logits", [1, 3]],
    [MixtralForTokenClassification, "logits", [1, 4, 3]],
    [MixtralForQuestionAnswering, "start_logits", [1, 4]],
    [MixtralModel, "last_hidden_state", [1, 4, 48]],
  ] as const) {
    await using model = await (Class as unknown as typeof MixtralModel).from_config(shape, { threads: 2, seed: 7 });
    const out = (await model({ input_ids, use_cache: false })) as unknown as Record<string, Tensor>;
    assert.equal(out[output].dims, dims);
  }
  const config = new MixtralConfig({ ...shape, pad_token_id: 4, initializer_range: 0.5 });
  const checkpoint = await randomCheckpoint(await currentPlatform(), config, "lm_head", 3);
  const read = async (name: string) => {
    const { file, offset, bytes } = checkpoint.tensors.get(name)!;
    const raw = new Uint8Array(bytes);
    await file.read(offset, raw);
    // In pieces it is the same.
    const pieces = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += 52) await file.read(offset + at, pieces.subarray(at, Math.min(bytes, at + 52)));
    assert.is(Buffer.compare(raw, pieces), 0, name);
    return new Float32Array(raw.buffer);
  };
  const embed = await read("model.embed_tokens.weight");
  assert.ok(embed.subarray(4 * 48, 5 * 48).every((v) => v === 0));
  const others = [...embed.subarray(5 * 48)];
  const mean = others.reduce((a, b) => a + b) / others.length;
  const deviation = Math.sqrt(others.reduce((a, b) => a + b * b, 0) / others.length);
  // Of 4,080 values: five times what chance moves them by.
  assert.ok(Math.abs(mean) < 0.04 && Math.abs(deviation - 0.5) < 0.028, `mean ${mean}, deviation ${deviation}`);
  const beyond = others.filter((v) => Math.abs(v) > 1).length / others.length;
  assert.ok(Math.abs(beyond - 0.0455) < 0.017, `${beyond} beyond two deviations`);
  const hash = createHash("sha256");
  for (const { name, shape: dims, bytes } of checkpoint.tensors.values()) {
    const values = await read(name);
    assert.is(
      values.length,
      dims.reduce((a, b) => a * b),
    );
    assert.is(bytes, 4 * values.length);
    const norm = /norm\.weight$/.test(name);
    assert.is(
      values.every((v) => v === 1),
      norm,
      name,
    );
    hash.update(name).update(new Uint8Array(values.buffer));
  }
  assert.is([...checkpoint.tensors.keys()].filter((name) => /norm/.test(name)).length, 5);
  // A seed gives the same weights in every runtime, and in every version: whoever changes them says so in CHANGELOG.md.
  assert.is(hash.digest("hex"), "bbd692ee7d6529d333aa4d94d4b2e5db5d66033b6f33f1f146eb478defff40ed");
});

test("the Auto classes make the same models", async () => {
  const input_ids = [[1, 5, 20, 7]];
  for (const [Auto, Class] of [
    [AutoModel, MixtralModel],
    [AutoModelForCausalLM, MixtralForCausalLM],
    [AutoModelForSequenceClassification, MixtralForSequenceClassification],
    [AutoModelForTokenClassification, MixtralForTokenClassification],
    [AutoModelForQuestionAnswering, MixtralForQuestionAnswering],
  ] as [typeof AutoModel, typeof MixtralModel][]) {
    const models = [
      await Auto.from_config(shape, { threads: 1, seed: 3 }),
      await Class.from_config(shape, { threads: 1, seed: 3 }),
    ];
    assert.instance(models[0], Class);
    const outputs = await Promise.all(models.map((model) => model({ input_ids, use_cache: false })));
    const [first, second] = outputs.map((out) => Object.entries(out).map(([name, tensor]) => [name, tensor.tolist()]));
    assert.equal(first, second);
    for (const model of models) await model.dispose();
  }
  await using model = await AutoModel.from_pretrained(fixture("small/bare_model"), { threads: 1 });
  assert.instance(model, MixtralModel);
});

test("a checkpoint without the class's head is refused by the head's name", async () => {
  const bare = fixture("small/bare_model");
  for (const [Class, name] of [
    [MixtralForCausalLM, "lm_head.weight"],
    [MixtralForSequenceClassification, "score.weight"],
    [MixtralForTokenClassification, "score.weight"],
    [MixtralForQuestionAnswering, "qa_outputs.weight"],
  ] as const) {
    const error = await failure((Class as unknown as Loader).from_pretrained(bare, {}));
    assert.instance(error, CheckpointError);
    assert.match(error.message, name);
  }
});

test("arguments that a class does not know are refused with the nearest that it does; cache is past_key_values", async () => {
  await using model = await MixtralForCausalLM.from_config(shape, { threads: 1 });
  await using trunk = await MixtralModel.from_config(shape, { threads: 1 });
  const input_ids = [[1, 2, 3]];
  for (const [call, message] of [
    [() => model({ input_ids, atention_mask: [[1, 1, 1]] } as never), /atention_mask: did you mean attention_mask\?/],
    [() => trunk({ input_ids, labels: input_ids } as never), /unknown option labels/],
    [() => model({ input_ids, return_dict: false }), /return_dict/],
    [() => model({} as never), /expected exactly one of input_ids and inputs_embeds/],
    [() => model.generate({ input_ids, max_new_token: 3 } as never), /max_new_token: did you mean max_new_tokens\?/],
  ] as [() => Promise<unknown>, RegExp][]) {
    const error = await failure(call());
    assert.instance(error, InputError);
    assert.match(error.message, message);
  }
  const { past_key_values } = await model({ input_ids, return_dict: true });
  const other = past_key_values!.fork();
  const first = await model({ input_ids: [[4]], cache: past_key_values });
  const second = await model({ input_ids: [[4]], past_key_values: other });
  assert.equal(first.logits.tolist(), second.logits.tolist());
  assert.is(first.past_key_values, past_key_values);
  assert.match((await failure(model({ input_ids: [[4]], past_key_values, cache: other }))).message, /two caches/);
});

test("wrong places of answers name themselves", async () => {
  await using model = await MixtralForQuestionAnswering.from_config(shape, { threads: 1 });
  const input_ids = [[5, 6, 7]];
  for (const [inputs, message] of [
    [{ start_positions: [0, 1], end_positions: [1] }, /^start_positions: expected/],
    [{ start_positions: [0], end_positions: [1, 2] }, /^end_positions: expected/],
    [{ start_positions: [0.5], end_positions: [1] }, /^start_positions/],
    [{ start_positions: [0], end_positions: ["1"] }, /^end_positions/],
  ] as const) {
    const error = await failure(model({ input_ids, ...inputs } as never));
    assert.instance(error, InputError);
    assert.match(error.message, message);
  }
});

test("wrong labels, and rows whose last token cannot be told, name themselves", async () => {
  await using model = await MixtralForSequenceClassification.from_config({ ...shape, pad_token_id: 0 }, { threads: 1 });
  const input_ids = [
    [5, 6, 7],
    [8, 9, 0],
  ];
  for (const [inputs, message] of [
    [{ input_ids, labels: [0, 3] }, /labels\[1\]: expected a class in \[0, 3\)/],
    [{ input_ids, labels: [0] }, /labels: expected \[2\]/],
    [
      {
        input_ids,
        attention_mask: [
          [0, 0, 0],
          [1, 1, 1],
        ],
      },
      /attention_mask\[0\]\[2\]: hides/,
    ],
  ] as const) {
    const error = await failure(model(inputs as never));
    assert.instance(error, InputError);
    assert.match(error.message, message);
  }
  const { logits } = await model({ input_ids });
  assert.equal(logits.dims, [2, 3]);
  await using unpadded = await MixtralForSequenceClassification.from_config(shape, { threads: 1 });
  assert.match((await failure(unpadded({ input_ids }))).message, /pad_token_id is null/);
});

test.run();
