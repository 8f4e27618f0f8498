// What a call takes it gives back, however it ends: its place among the sequences, its pages, its room for scores and ids.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { MixtralForCausalLM, pipeline } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";

const reason = new Error("enough");
/** Whether a call rejects with the reason, or a copy of it. */
const rejects = async (call: Promise<unknown>) => assert.is((await failure(call)).message, reason.message);
const load = (max_sequences: number) =>
  MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2, max_sequences });

/** Every way to choose tokens, each with memory of its own. */
const ways: [string, Partial<GenerateInputs>, number][] = [
  ["greedy", {}, 1],
  ["sampled", { do_sample: true, seed: 1, bad_words_ids: [[7, 8]] }, 1],
  ["by functions of the caller", { logits_processor: () => {} }, 1],
  ["guided", { guidance_scale: 2 }, 2],
  ["beams", { num_beams: 3 }, 3],
  ["drafted", { prompt_lookup_num_tokens: 3 }, 1],
];

const steps = 12;
const base = { input_ids: [5, 90, 33, 12, 5, 90], max_new_tokens: steps, min_new_tokens: steps };

for (const [name, options, max_sequences] of ways)
  test(`${name}: ended, aborted before, between and in its steps, failed`, async () => {
    await using model = await load(max_sequences);
    const free = () => [model.engine.logits.regions.available, model.info().cache_bytes];
    const before = free();
    const expected = (await model.generate({ ...base, ...options })).tolist();
    assert.equal(free(), before, "ended");

    await rejects(model.generate({ ...base, ...options, signal: AbortSignal.abort(reason) }));
    assert.equal(free(), before, "aborted before");

    for (const after of [0, 3]) {
      const controller = new AbortController();
      let asked = 0;
      const stopping_criteria = () => {
        if (asked++ === after) controller.abort(reason);
        return false;
      };
      const call = model.generate({ ...base, ...options, stopping_criteria, signal: controller.signal });
      await rejects(call);
      assert.equal(free(), before, `aborted after ${after} tokens`);
    }

    const thrown = model.generate({
      ...base,
      ...options,
      stopping_criteria: () => {
        throw reason;
      },
    });
    await rejects(thrown);
    assert.equal(free(), before, "failed");
    // All places are free again: with one that was lost, this would wait for ever.
    assert.equal((await model.generate({ ...base, ...options })).tolist(), expected);
  });

test("a streamer that throws ends the call, and the next one has its place", async () => {
  await using model = await load(1);
  const before = model.engine.logits.regions.available;
  for (const at of [0, 1, 4]) {
    let told = 0;
    const streamer = {
      put() {
        if (told++ === at) throw reason;
      },
      end() {},
    };
    await rejects(model.generate({ ...base, streamer }));
    assert.equal([model.engine.logits.regions.available, model.info().cache_bytes], [before, 0]);
  }
  await model.generate(base);
});

test("a stream's cache is given back, whether the result would have it or not", async () => {
  await using model = await load(1);
  for (const return_dict_in_generate of [true, false]) {
    let tokens = 0;
    for await (const _ of model.stream({ ...base, return_dict_in_generate })) tokens++;
    assert.is(tokens, steps);
    assert.is(model.info().cache_bytes, 0);
  }
});

test("a pipeline that is disposed of takes its model along", async () => {
  const generator = await pipeline("text-generation", demo, { threads: 1 });
  await generator.dispose();
  const error = await failure(generator.model.generate({ input_ids: [1, 2] }));
  assert.match(error.message, /the model was disposed/);
  assert.match((await failure(generator("Hello"))).message, /the model was disposed/);
});

test.run();
