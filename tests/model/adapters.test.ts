// Adapters as a program handles them: loaded, scaled, chosen, switched, disabled, deleted, beside calls that run; caches that
// were computed with one; the memory that they take.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ChatSession, EngineError, InputError, MixtralForCausalLM, MixtralModel } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { fixture } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const base = fixture("fixtures/lora/base");
const [A, B] = ["w2_and_gate_v4", "head_and_embedding_lora"].map((name) => fixture(`fixtures/lora/${name}`));
const ids = (length: number) => Array.from({ length }, (_, i) => (i * 37 + 5) % 160);
const input_ids = ids(12);

async function load(): Promise<MixtralForCausalLM> {
  const model = await MixtralForCausalLM.from_pretrained(base, { threads: 2 });
  await model.load_adapter(A, { adapter_name: "a" });
  await model.load_adapter(B, { adapter_name: "b" });
  return model;
}

const logitsOf = async (model: MixtralForCausalLM, options: object = {}) =>
  (await model({ input_ids, use_cache: false, ...options })).logits.data as Float32Array;

test("choosing: the last loaded is active; set, disable, enable; a call's own choice", async () => {
  await using model = await load();
  assert.equal(model.active_adapters(), ["b"]);
  const of = {
    none: await logitsOf(model, { adapter: null }),
    a: await logitsOf(model, { adapter: "a" }),
    b: await logitsOf(model, { adapter: "b" }),
    ab: await logitsOf(model, { adapter: ["a", "b"] }),
  };
  const all = Object.values(of);
  for (const [i, one] of all.entries()) for (const other of all.slice(i + 1)) assert.not.ok(sameBits(one, other));
  const is = async (expected: Float32Array, options?: object) =>
    assert.ok(sameBits(await logitsOf(model, options), expected), JSON.stringify(options));
  await is(of.b);
  model.set_adapter("a");
  await is(of.a);
  model.set_adapter(["b", "a"]);
  assert.equal(model.active_adapters(), ["b", "a"]);
  await is(of.ab);
  model.disable_adapters();
  await is(of.none);
  await is(of.a, { adapter: "a" });
  assert.equal(model.active_adapters(), ["b", "a"]);
  assert.equal(
    model.info().adapters.map(({ active }) => active),
    [false, false],
  );
  model.enable_adapters();
  await is(of.ab);
  for (const adapter of [null, [], "__base__"]) await is(of.none, { adapter });
  await is(of.a, { adapter_names: ["a"] });
  await is(of.none, { adapter_names: [null] });
  await is(of.none, { adapter_names: ["__base__"] });
  await is(of.ab, { adapter_names: [["a", "b"]] });
  model.set_adapter([]);
  await is(of.none);
});

test("info tells of each; memory is given back", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  assert.equal(model.info().adapters, []);
  for (let round = 0; round < 20; round++) {
    await model.load_adapter(A, { adapter_name: "a", scale: 0.5 });
    const [info, ...others] = model.info().adapters;
    const { bytes, ...rest } = info;
    assert.equal(others, []);
    assert.ok(bytes > 25_000 && bytes < 10_000_000, `${bytes} bytes`);
    const expected = { name: "a", path: A, rank: 4, scale: 0.5, targets: ["w2", "gate"], active: true };
    assert.equal({ ...rest, targets: rest.targets.sort() }, { ...expected, targets: expected.targets.sort() });
    await logitsOf(model);
    await model.delete_adapter("a");
    assert.equal(model.info().adapters, []);
    assert.equal(model.active_adapters(), []);
  }
  assert.is((model.engine.adapters as unknown as { banks: { banks: Map<number, unknown> } }).banks.banks.size, 0);
});

/** A copy of an adapter with another alpha. */
function withAlpha(path: string, alpha: number): string {
  const copy = join(folder, `alpha ${alpha}`);
  cpSync(path, copy, { recursive: true });
  const config = JSON.parse(readFileSync(join(copy, "adapter_config.json"), "utf8"));
  writeFileSync(join(copy, "adapter_config.json"), JSON.stringify({ ...config, lora_alpha: alpha }));
  return copy;
}

test("scale multiplies the file's own", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  const none = await logitsOf(model);
  await model.load_adapter(A, { adapter_name: "doubled", scale: 2 });
  await model.load_adapter(withAlpha(A, 32), { adapter_name: "as filed" });
  await model.load_adapter(A, { adapter_name: "off", scale: 0 });
  assert.ok(sameBits(await logitsOf(model, { adapter: "doubled" }), await logitsOf(model, { adapter: "as filed" })));
  assert.ok(sameBits(await logitsOf(model, { adapter: "off" }), none));
});

test("what is wrong names itself, and changes nothing", async () => {
  await using model = await load();
  const expected = await logitsOf(model);
  const calls: [() => unknown, RegExp][] = [
    [() => model.load_adapter(A, { adapter_name: "a" }), /adapter_name: a is loaded already; delete_adapter/],
    [() => model.load_adapter(A, { adapter_name: "__base__" }), /__base__ is the model without an adapter/],
    [() => model.load_adapter(A, { adapter_name: "" }), /adapter_name: expected a text/],
    [() => model.load_adapter(A, { adapter_name: "c", scale: Number.NaN }), /scale: expected a number, found NaN/],
    [() => model.load_adapter(A, { adapter_name: "c", scale: "2" as never }), /scale: expected a number, found "2"/],
    [() => model.load_adapter(3 as never), /expected the path of a checkpoint.s folder or file, found 3/],
    [() => model.set_adapter("c"), /set_adapter: expected an adapter that is loaded \(a, b\), found "c"/],
    [() => model.set_adapter(["a", 3 as never]), /expected the name of an adapter, or a list of names/],
    [() => model.delete_adapter("c"), /delete_adapter: expected an adapter that is loaded/],
    [() => model({ input_ids, adapter: "c" }), /adapter: expected an adapter that is loaded/],
    [() => model({ input_ids, adapter: "a", adapter_names: ["a"] }), /adapter and adapter_names: expected one of them/],
    [() => model({ input_ids, adapter_names: ["a", "b"] }), /an entry for each of 1 rows, found a list of 2/],
    [
      () => model({ input_ids: [ids(3), ids(3)], adapter_names: ["a", "c"] }),
      /adapter_names\[1\]: expected an adapter/,
    ],
    [() => model.generate({ input_ids, adapter: "c" }), /adapter: expected an adapter that is loaded/],
    [() => model.generate({ input_ids, adapter_names: "a" as never }), /adapter_names: expected a list/],
  ];
  for (const [call, words] of calls) {
    const error = await failure((async () => call())());
    assert.instance(error, InputError, String(error));
    assert.match(error.message, words);
  }
  assert.is(model.info().adapters.length, 2);
  assert.ok(sameBits(await logitsOf(model), expected));
  const gone = new AbortController();
  gone.abort(new Error("not wanted"));
  const aborted = await failure(model.load_adapter(A, { adapter_name: "c", signal: gone.signal }));
  assert.is(aborted.message, "not wanted");
  await model.load_adapter(A, { adapter_name: "c" });
});

test("a class without a head refuses an adapter of one, and takes others", async () => {
  await using model = await MixtralModel.from_pretrained(base, { threads: 1 });
  assert.match((await failure(model.load_adapter(B))).message, /lm_head: the model's class has no head/);
  const { last_hidden_state: before } = await model({ input_ids });
  await model.load_adapter(A);
  const { last_hidden_state: after } = await model({ input_ids });
  assert.not.ok(sameBits(before.data as Float32Array, after.data as Float32Array));
});

test("calls keep what they began with: switched, deleted and loaded anew meanwhile", async () => {
  await using model = await load();
  const settings = { input_ids, max_new_tokens: 60, eos_token_id: null } as const;
  const alone = (await model.generate({ ...settings, adapter: "a" })).tolist();
  const others = (await model.generate({ ...settings, adapter: "b" })).tolist();
  model.set_adapter("a");
  const running = model.generate(settings);
  model.set_adapter("b");
  const second = model.generate(settings);
  let ended = false;
  const deleted = model.delete_adapter("a").then(() => assert.ok(ended, "not before the call has ended"));
  assert.match((await failure(model.generate({ ...settings, adapter: "a" }))).message, /is loaded \(b\), found "a"/);
  await model.load_adapter(B, { adapter_name: "a" });
  const result = await running;
  ended = true;
  assert.equal(result.tolist(), alone);
  await deleted;
  assert.equal((await second).tolist(), others);
  assert.equal((await model.generate({ ...settings, adapter: "a" })).tolist(), others, "the name is another's now");
});

test("an abort lets go of the adapter; the model is disposed with adapters loaded and in use", async () => {
  const model = await load();
  const controller = new AbortController();
  const call = failure(
    model.generate({
      input_ids: ids(300),
      max_new_tokens: 100,
      eos_token_id: null,
      adapter: "a",
      signal: controller.signal,
    }),
  );
  setTimeout(() => controller.abort(new Error("enough")), 20);
  assert.is((await call).message, "enough");
  await model.delete_adapter("a");
  const cut = failure(model.generate({ input_ids, max_new_tokens: 400, eos_token_id: null, adapter: "b" }));
  const waits = model.delete_adapter("b");
  await model.dispose();
  assert.instance(await cut, EngineError);
  await waits;
  assert.instance(await failure(model.load_adapter(A)), EngineError);

  const other = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  const loading = failure(other.load_adapter(B));
  await other.dispose();
  assert.instance(await loading, EngineError);
  assert.instance(await failure((async () => model.set_adapter("b"))()), EngineError);
});

test("a cache is gone on with under the adapters that it was computed with, from a file, too", async () => {
  await using model = await load();
  const rest = ids(15).slice(12);
  const whole = await logitsOf(model, { input_ids: ids(15), adapter: "a" });
  const { past_key_values } = await model({ input_ids, adapter: "a" });
  const cache = past_key_values!;
  for (const [adapter, words] of [
    ["b", /row 0 was computed with adapter a, and this call has adapter b: their keys differ/],
    [null, /row 0 was computed with adapter a, and this call has no adapter/],
    [["a", "b"], /this call has adapter a and b/],
  ] as const) {
    const error = await failure(model({ input_ids: rest, past_key_values: cache, adapter }));
    assert.instance(error, InputError);
    assert.match(error.message, words);
    const generated = failure(model.generate({ input_ids: ids(15), past_key_values: cache, adapter }));
    assert.match((await generated).message, words);
  }
  const path = join(folder, "cache");
  await cache.save(path);
  const fork = cache.fork();
  const goesOn = async (past_key_values: typeof cache, adapter: string) => {
    const { logits } = await model({ input_ids: rest, past_key_values, adapter });
    assert.ok(sameBits(logits.data as Float32Array, whole.subarray(12 * 160)));
  };
  await goesOn(fork, "a");
  const read = await model.load_cache(path);
  assert.match((await failure(model({ input_ids: rest, past_key_values: read, adapter: "b" }))).message, /adapter a,/);
  // By what it does, not by its name.
  await model.delete_adapter("a");
  await model.load_adapter(A, { adapter_name: "again" });
  await goesOn(read, "again");
  await model.load_adapter(A, { adapter_name: "weaker", scale: 0.5 });
  assert.match(
    (await failure(model({ input_ids: rest, past_key_values: cache, adapter: "weaker" }))).message,
    /weaker/,
  );
  cache.crop(0);
  await model({ input_ids: rest, past_key_values: cache, adapter: "b" });
  for (const each of [cache, fork, read]) each.dispose();
});

test("a conversation begins anew where its adapter is another one", async () => {
  await using model = await load();
  const tokenizer = {
    apply_chat_template: (messages: { content: string }[]) =>
      messages.flatMap(({ content }) => [3, content.length + 4]),
    decode: (all: number[]) => all.map((id) => `<${id}>`).join(""),
    encode: () => [],
    convert_ids_to_tokens: (id: number) => `<${id}>`,
  };
  const answer = async (session: ChatSession, content: string, adapter: string | null) => {
    let text = "";
    for await (const piece of session.send(content, { max_new_tokens: 4, eos_token_id: null, adapter })) text += piece;
    return text;
  };
  const session = new ChatSession(model, tokenizer as never);
  const first = await answer(session, "abc", "a");
  assert.is(session.cached_tokens, 0);
  const second = await answer(session, "de", "b");
  assert.is(session.cached_tokens, 0, "nothing of the other's");
  const third = await answer(session, "f", "b");
  assert.ok(session.cached_tokens > 0);
  assert.ok(first && second && third);
  session.dispose();
  assert.is(model.info().cache_bytes, 0);
});

test.run();
