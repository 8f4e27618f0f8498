// progress_callback of generate: from none to all of the prompt, and never beyond the first token.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PromptProgress } from "../../src/generation/prompt_progress.ts";
import { tellProgress } from "../../src/generation/prompt_progress.ts";
import { InputError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";

const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2, chunk_size: 16 });
const prompt = Array.from({ length: 100 }, (_, i) => 3 + (i % 90));
const options = { max_new_tokens: 3, eos_token_id: null };

test("told from 0 to all, before the first token", async () => {
  const told: PromptProgress[] = [];
  let at_first = 0;
  for await (const _ of model.stream({
    ...options,
    input_ids: prompt,
    progress_callback: (progress) => void told.push(progress),
  }))
    at_first ||= told.length;
  assert.equal(told[0], { status: "prompt", loaded: 0, total: 100, progress: 0 });
  assert.equal(told.at(-1), { status: "prompt", loaded: 100, total: 100, progress: 100 });
  assert.is(told.length, at_first);
});

test("what a cache holds is not counted; of several answers the prompt is counted once; of beams and drafts, too", async () => {
  const totals: number[] = [];
  const progress_callback = ({ total }: PromptProgress) => void totals.push(total);
  const cache = model.create_cache(1);
  await model.generate({ ...options, input_ids: prompt.slice(0, 40), past_key_values: cache });
  await model.generate({ ...options, input_ids: prompt, past_key_values: cache, progress_callback });
  assert.equal([...new Set(totals.splice(0))], [58], "two new tokens were fed");
  cache.dispose();
  for (const more of [
    { do_sample: true, num_return_sequences: 3 },
    { num_beams: 2 },
    { prompt_lookup_num_tokens: 4 },
    { guidance_scale: 2 },
  ]) {
    await model
      .generate({ ...options, ...more, input_ids: [prompt, prompt], progress_callback } as never)
      .catch(() => model.generate({ ...options, ...more, input_ids: prompt, progress_callback }));
    assert.ok(totals.length > 0 && totals.every((total) => total === 100 || total === 200), JSON.stringify(more));
    totals.length = 0;
  }
});

test("only what is more is told, and nothing when it is over", async () => {
  const told: number[] = [];
  let now = 5;
  const end = tellProgress(
    10,
    () => now,
    ({ loaded }) => told.push(loaded),
  );
  while (told.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  now = 3; // pages were given up
  await new Promise((resolve) => setTimeout(resolve, 250));
  now = 12;
  while (told.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  end(true);
  end(true);
  assert.equal(told, [0, 5, 10]);
  const ended = tellProgress(
    10,
    () => 7,
    ({ loaded }) => told.push(loaded),
  );
  ended(false);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(told, [0, 5, 10, 0]);
});

test("what it throws or rejects with fails the call; what is no function is named", async () => {
  const call = (progress_callback: unknown) =>
    failure(model.generate({ ...options, input_ids: prompt, progress_callback } as never));
  const boom = () => {
    throw new Error("boom");
  };
  assert.is((await call(boom)).message, "boom");
  assert.is((await call(async () => boom())).message, "boom");
  assert.instance(await call(3), InputError);
});

test.after(() => model.dispose());
test.run();
