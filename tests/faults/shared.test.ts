// Calls that share something (a model's memory, an abort signal, its reason) never see each other's data, and leave nothing
// behind on what they share.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AbortError, ChatSession, InputError, MixtralForCausalLM } from "../../src/index.ts";
import type { Tensor } from "../../src/tensor.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { answer, expected } from "./answer.ts";

const open = () => MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
const partialOf = (error: unknown) => (error as { partial: Tensor }).partial.tolist()[0] as number[];

/** A signal that counts its listeners, and makes no promise about the class of its reason. */
class CountedSignal extends EventTarget {
  aborted = false;
  reason: unknown;
  listeners = 0;
  most = 0;
  override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
    this.most = Math.max(this.most, ++this.listeners);
    super.addEventListener(...args);
  }
  override removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void {
    this.listeners--;
    super.removeEventListener(...args);
  }
  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }
  abort(reason: unknown): void {
    this.aborted = true;
    this.reason = reason;
    this.dispatchEvent(new Event("abort"));
  }
  get signal(): AbortSignal {
    return this as unknown as AbortSignal;
  }
}

/** Calls that are aborted together when each has `count` new tokens. */
async function abortTogether(model: MixtralForCausalLM, signal: CountedSignal, reason: unknown, firsts: number[]) {
  let waiting = firsts.length;
  const calls = firsts.map((first) => {
    let steps = 0;
    const streamer = { put: () => void (++steps === 4 && --waiting === 0 && signal.abort(reason)), end() {} };
    const inputs = { input_ids: [1, first], max_new_tokens: 400, eos_token_id: -1, streamer };
    return failure(model.generate({ ...inputs, signal: signal.signal }));
  });
  return Promise.all(calls);
}

test("another model's cache is refused, by every call, and both models go on", async () => {
  await using mine = await open();
  await using others = await open();
  const foreign = (await others({ input_ids: [1, 2, 3] })).past_key_values!;
  const own = (await mine({ input_ids: [1, 20, 300] })).past_key_values!;
  const fork = own.fork();
  const next = (await mine({ input_ids: [77], past_key_values: fork })).logits;
  for (const call of [
    mine({ input_ids: [4], past_key_values: foreign }),
    mine({ input_ids: [4], cache: foreign } as never),
    mine.generate({ input_ids: [1, 2, 3, 4], past_key_values: foreign }),
    mine.generate({ input_ids: [1, 2, 3, 4], past_key_values: foreign, num_beams: 2 }),
    mine.generate({ input_ids: [1, 2, 3, 4], past_key_values: foreign, prompt_lookup_num_tokens: 2 }),
    mine.stream({ input_ids: [1, 2, 3, 4], past_key_values: foreign }).next(),
  ]) {
    const error = await failure(call);
    assert.instance(error, InputError);
    assert.match(error.message, /another model's/);
  }
  for (const none of [{}, 5, "cache", []])
    assert.match((await failure(mine({ input_ids: [4], past_key_values: none as never }))).message, /expected a cache/);
  // A model without a page so far does not even look.
  await using fresh = await open();
  assert.instance(await failure(fresh({ input_ids: [4], past_key_values: foreign })), InputError);
  assert.equal(await answer(fresh), expected);
  assert.equal(foreign.get_seq_length(), 3);
  assert.equal((await mine({ input_ids: [77], past_key_values: own })).logits.data, next.data);
});

test("a cache that lived on with its engine is no other engine's, though memories are used again", async () => {
  const first = await open();
  const cache = first.create_cache(1);
  await first.dispose();
  await using second = await open();
  assert.instance(await failure(second({ input_ids: [4], past_key_values: cache })), InputError);
});

test("calls under one signal: each error has its own call's tokens, whatever the reason is", async () => {
  await using model = await open();
  class Shutdown extends Error {
    readonly status = 503;
  }
  const firsts = [300, 301, 302];
  const alone = await Promise.all(
    firsts.map(
      async (first) =>
        (await model.generate({ input_ids: [1, first], max_new_tokens: 40, eos_token_id: -1 })).tolist()[0],
    ),
  );
  const reasons = [
    new Shutdown("going down"),
    Object.freeze(new Shutdown("frozen")),
    "a text",
    undefined,
    null,
    new DOMException("late", "TimeoutError"),
    Object.freeze({ why: "an object" }),
  ];
  for (const reason of reasons) {
    const before = reason instanceof Error ? Reflect.ownKeys(reason) : undefined;
    const errors = await abortTogether(model, new CountedSignal(), reason, firsts);
    for (const [i, error] of errors.entries()) {
      const partial = partialOf(error);
      assert.ok(partial.length >= 5, `${partial.length} ids`);
      assert.equal(partial, alone[i].slice(0, partial.length));
      assert.is(error.cause, reason);
      assert.instance(error, Error);
      if (reason instanceof Error) {
        assert.is(Object.getPrototypeOf(error), Object.getPrototypeOf(reason));
        assert.equal([error.message, error.name], [reason.message, reason.name]);
        assert.is((error as unknown as { status: unknown }).status, (reason as { status?: unknown }).status);
      } else assert.instance(error, AbortError);
    }
    if (before)
      assert.equal(Reflect.ownKeys(reason as Error), before, "the reason is the caller's: nothing is written on it");
  }
  assert.equal(await answer(model), expected);
});

test("many calls under one signal put one listener on it, and leave none", async () => {
  await using model = await open();
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const signal = new CountedSignal();
  const shared = { input_ids: [1, 2, 3], signal: signal.signal };
  await using another = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, signal: signal.signal });
  await Promise.all([
    ...Array.from({ length: 12 }, () => model.generate({ ...shared, max_new_tokens: 4 })),
    ...Array.from({ length: 12 }, () => another(shared)),
    failure(model.generate({ ...shared, input_ids: [99999] })),
  ]);
  assert.is(signal.listeners, 0);
  const session = new ChatSession(model, tokenizer);
  const loops = [
    () => model.stream({ ...shared, max_new_tokens: 50 }),
    () => model.stream({ ...shared, max_new_tokens: 2 }),
    () => model.stream({ ...shared, max_new_tokens: 50, tokenizer }),
    () => session.send("What?", { max_new_tokens: 20, signal: signal.signal }),
  ];
  for (const loop of loops) for await (const _ of loop()) break;
  for await (const _ of loops[1]()); // to its end
  await model.stream({ ...shared, max_new_tokens: 6 }).next(); // forgotten: it ends by itself
  await model.generate({ input_ids: [5], max_new_tokens: 40 });
  session.dispose();
  assert.is(signal.listeners, 0);
  assert.is(signal.most, 1);
  assert.is(model.info().cache_bytes, 0);
  signal.abort("over");
  assert.is(await failure(model.generate(shared)).catch((error) => error), "over");
});

test("aborting a stream for no reason at all ends it with an error", async () => {
  await using model = await open();
  const signal = new CountedSignal();
  const stream = model.stream({ input_ids: [1, 2], max_new_tokens: 400, eos_token_id: -1, signal: signal.signal });
  await stream.next();
  signal.abort(undefined);
  const error = await failure(
    (async () => {
      for await (const _ of stream);
    })(),
  );
  assert.is(error.name, "AbortError");
  assert.ok(partialOf(error).length > 2);
});

test("promises of callbacks: those that may take their time are waited for, others refused; none is left unheard", async () => {
  const unheard: unknown[] = [];
  const hear = (error: unknown) => void unheard.push(error);
  globalThis.process?.on?.("unhandledRejection", hear);
  await using model = await open();
  const inputs = { input_ids: [1, 20, 300], max_new_tokens: 5 };
  const boom = async (): Promise<never> => {
    throw new Error("mine");
  };
  const later = () => new Promise<void>((resolve) => setTimeout(resolve, 5));
  let ended = 0;
  await model.generate({ ...inputs, streamer: { put: later, end: () => later().then(() => void ended++) } });
  assert.is(ended, 1, "generate resolves behind what its streamer has returned");
  assert.is((await failure(model.generate({ ...inputs, streamer: { put: boom, end() {} } }))).message, "mine");
  assert.is((await failure(model.generate({ ...inputs, streamer: { put() {}, end: boom } }))).message, "mine");
  const refused = [
    { logits_processor: boom },
    { stopping_criteria: boom },
    { prefix_allowed_tokens_fn: boom },
  ] as unknown as object[];
  for (const callback of refused) {
    const error = await failure(model.generate({ ...inputs, ...callback }));
    assert.instance(error, InputError);
    assert.match(error.message, new RegExp(`${Object.keys(callback)[0]}: expected .* at once`));
  }
  const load = MixtralForCausalLM.from_pretrained(demo, { threads: 1, progress_callback: boom });
  assert.is((await failure(load)).message, "mine");
  // An aborted call does not wait for a callback that never ends.
  const controller = new AbortController();
  const stuck = model.generate({
    ...inputs,
    streamer: { put() {}, end: () => new Promise(() => {}) },
    signal: controller.signal,
  });
  await later();
  setTimeout(() => controller.abort(new Error("enough")), 200);
  assert.is((await failure(stuck)).message, "enough");
  await later();
  globalThis.process?.removeListener?.("unhandledRejection", hear);
  assert.equal(unheard, []);
  assert.equal(await answer(model), expected);
});

test.run();
