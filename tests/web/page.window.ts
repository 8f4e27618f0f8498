// tramontane/web on a page: the engine in a worker of its own, and the page's main thread free meanwhile.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM, InputError, MixtralForCausalLM, Tensor } from "../../src/web/index.ts";

const path = new URL("/models/demo/", location.href).href;
const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;

test("a model answers, and says how many threads it has", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2 });
  assert.instance(model, MixtralForCausalLM);
  assert.is(model.info().threads, isolated ? 2 : 1);
  const ids = (await model.generate({ input_ids: [1, 20, 300], max_new_tokens: 8 })) as Tensor;
  assert.instance(ids, Tensor);
  assert.equal(ids.dims, [1, 11]);
  const seen: number[] = [];
  await model.generate({
    ...{ input_ids: [1, 20, 300], max_new_tokens: 4 },
    logits_processor: (_ids, scores) => {
      seen.push(scores.dims[1]);
    },
  });
  assert.equal(seen, Array(4).fill(model.config.vocab_size));
});

test("errors have the library's classes", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(path);
  try {
    await model.generate({ input_id: [1] } as never);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, InputError);
    assert.match((error as InputError).message, /did you mean "input_ids"/);
    assert.is((error as InputError).name, "InputError");
  }
});

test.run();
