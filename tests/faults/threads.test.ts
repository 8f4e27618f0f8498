// Threads that die, trap or are ended while they work; calls that meet. Nothing hangs, the cause is told, and a model that
// is loaded afterwards answers as ever.
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError, InputError, MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";
import { answer, expected } from "./answer.ts";

const ids = (count: number) => Array.from({ length: count }, (_, i) => (i * 37 + 5) % 150);

/**
 * A model and the threads of its team, which its platform hides.
 * @param banks - what thread `threads` − 1 is told in place of the model's memories
 */
async function loadWithThreads(
  threads: number,
  banks?: WebAssembly.Memory[],
): Promise<{ model: MixtralForCausalLM; workers: Worker[] }> {
  const workers: Worker[] = [];
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (order, ...rest) {
    if (order.type === "init") workers[order.thread] = this;
    const spoilt = order.type === "init" && order.thread === threads - 1 && banks;
    return postMessage.call(this, spoilt ? { ...order, setup: { ...order.setup, banks } } : order, ...rest);
  };
  try {
    const model = await MixtralForCausalLM.from_pretrained(demo, { threads });
    assert.is(workers.length, threads);
    return { model, workers };
  } finally {
    Worker.prototype.postMessage = postMessage;
  }
}

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function answersAnew(): Promise<void> {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  assert.equal(await answer(model), expected);
}

for (const victim of [0, 1, 2]) {
  test(`thread ${victim} of 3 is killed in the middle of a step`, async () => {
    const { model, workers } = await loadWithThreads(3);
    const call = failure(model({ input_ids: ids(1500) }));
    const queued = failure(model.generate({ input_ids: ids(3) }));
    await later(20);
    void workers[victim].terminate();
    for (const error of [await call, await queued]) {
      assert.instance(error, EngineError);
      assert.match(error.message, new RegExp(`thread ${victim} of the team failed: the thread ended`));
      assert.instance(error.cause, Error);
    }
    assert.instance(await failure(answer(model)), EngineError, "later calls are refused");
    await model.dispose();
    await answersAnew();
  });
}

for (const threads of [1, 2, 5]) {
  test(`a kernel traps in the last of ${threads} threads`, async () => {
    // A memory that ends before the weights: their addresses are out of bounds.
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
    const { model } = await loadWithThreads(threads, [memory]);
    const error = await failure(answer(model));
    assert.instance(error, EngineError);
    assert.match(error.message, `thread ${threads - 1} of the team failed`);
    assert.instance(error.cause, Error);
    await model.dispose();
    await answersAnew();
  });
}

test("an order that makes no sense fails the team, and nothing hangs", async () => {
  const { model, workers } = await loadWithThreads(2);
  workers[1].postMessage({ type: "step", step: 1, work: null });
  assert.instance(await failure(answer(model)), EngineError);
  await model.dispose();
});

test("dispose during a step, with calls waiting behind it", async () => {
  const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 3 });
  const calls = [ids(1500), ids(40), ids(7)].map((input_ids) => failure(model({ input_ids })));
  calls.push(failure(model.generate({ input_ids: ids(5), max_new_tokens: 50 })));
  await later(20);
  const start = performance.now();
  await model.dispose();
  for (const call of calls) assert.instance(await call, EngineError);
  console.log(`# disposed of during a step in ${(performance.now() - start).toFixed(0)} ms`);
  await answersAnew();
});

test("two calls at once give what each gives alone", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 64 });
  const prompts = [ids(300), ids(17)];
  const alone: Float32Array[] = [];
  for (const input_ids of prompts) alone.push((await model({ input_ids })).logits.data as Float32Array);
  const together = await Promise.all(prompts.map((input_ids) => model({ input_ids })));
  for (const [i, { logits }] of together.entries()) assert.ok(sameBits(logits.data as Float32Array, alone[i]), `${i}`);
});

test("two calls with one cache: the second is told, the first is right", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 16 });
  const past_key_values = model.create_cache(1);
  const first = model({ input_ids: ids(100), past_key_values });
  for (const call of [
    () => model({ input_ids: ids(3), past_key_values }),
    () => model.generate({ input_ids: ids(200), past_key_values }),
    () => past_key_values.save("/nowhere/cache"),
    async () => past_key_values.crop(1),
    async () => past_key_values.fork(),
  ]) {
    const error = await failure(call());
    assert.instance(error, InputError);
    assert.match(error.message, /another call is extending this cache/);
  }
  const alone = await model({ input_ids: ids(100), use_cache: false });
  assert.ok(sameBits((await first).logits.data as Float32Array, alone.logits.data as Float32Array));
  past_key_values.dispose();
  assert.is(model.info().cache_bytes, 0);
});

test("a cache that is disposed of during a call is freed at the call's end", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 16 });
  const past_key_values = model.create_cache(1);
  const call = model({ input_ids: ids(100), past_key_values });
  while (model.info().cache_bytes === 0) await new Promise(setImmediate);
  past_key_values.dispose();
  assert.ok(model.info().cache_bytes > 0, "steps still write to it");
  await call;
  assert.is(model.info().cache_bytes, 0);
});

test("a batch that is aborted in its prefill leaves its cache as it was", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 32 });
  const rows = [ids(200), ids(200).reverse()];
  const past_key_values = model.create_cache(2);
  await model({ input_ids: rows.map((row) => row.slice(0, 9)), past_key_values });
  for (const ms of [0, 3, 8]) {
    const controller = new AbortController();
    const reason = new Error("enough");
    const call = failure(model({ input_ids: rows, past_key_values, signal: controller.signal }));
    setTimeout(() => controller.abort(reason), ms);
    assert.is(await call, reason as never);
    assert.is(past_key_values.get_seq_length(), 9);
  }
  const rest = rows.map((row) => row.slice(9, 40));
  const found = await model({ input_ids: rest, past_key_values });
  const whole = await model({ input_ids: rows.map((row) => row.slice(0, 40)), use_cache: false });
  for (const row of [0, 1])
    assert.ok(sameBits(found.logits[row].data as Float32Array, whole.logits[row].slice(9).data as Float32Array));
});

test("a session answers one message at a time", async () => {
  const { AutoTokenizer, ChatSession } = await import("../../src/index.ts");
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const session = new ChatSession(model, await AutoTokenizer.from_pretrained(demo));
  const first = session.send("What is pesto made of?", { max_new_tokens: 8 });
  await first.next();
  assert.instance(await failure(session.send("And now?").next()), InputError);
  session.reset();
  for await (const _ of first);
  assert.equal(session.messages, []);
  session.dispose();
  assert.is(model.info().cache_bytes, 0);
});

test.run();
