// Loading, cancelling, faults and caches: what an engine does beside computing.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoTokenizer,
  EngineError,
  InputError,
  MemoryError,
  MixtralForCausalLM,
  type ProgressInfo,
  Tensor,
  TextStreamer,
} from "../../src/index.ts";
import { sharedFloats } from "../../src/model/outputs.ts";
import { Reading } from "../../src/model/sequence.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const small = fixture("fixtures/hf/base");
const windowed = fixture("fixtures/hf/window_8");
const ids = (count: number) => Array.from({ length: count }, (_, i) => (i * 37 + 5) % 150);

test("info says how the weights came in", async () => {
  for (const mmap of [true, false]) {
    await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 2, mmap });
    const info = model.info();
    assert.is(info.mapped, mmap);
    assert.is(info.reason, mmap ? undefined : "mmap: false was given");
    assert.is(info.threads, 2);
    assert.equal(Object.keys(info.formats), ["F32"]);
  }
});

test("progress is told in order, up to all bytes, whether they are read or mapped", async () => {
  for (const mmap of [false, true]) {
    const told: ProgressInfo[] = [];
    const model = await MixtralForCausalLM.from_pretrained(small, {
      threads: 1,
      mmap,
      progress_callback: (info) => told.push(info),
    });
    const { weight_bytes } = model.info();
    await model.dispose();
    const statuses = told.map(({ status }) => status).filter((status, i, all) => status !== all[i - 1]);
    assert.equal(statuses, ["initiate", "progress", "done", "ready"], `mmap ${mmap}`);
    for (const info of told.filter(({ status }) => status !== "progress")) {
      const { status, name, file, loaded, total, progress } = info;
      const bytes = status === "initiate" ? 0 : weight_bytes;
      assert.equal([name, file, loaded, total], [small, small, bytes, bytes], status);
      assert.is(progress, status === "initiate" ? 0 : 100);
    }
    const progress = told.filter(({ status }) => status === "progress");
    const loaded = progress.map((info) => info.loaded!);
    assert.equal(
      loaded,
      [...loaded].sort((a, b) => a - b),
    );
    const last = progress.at(-1)!;
    assert.equal([last.loaded, last.total, last.progress], [weight_bytes, weight_bytes, 100]);
    assert.match(last.file!, /model\.safetensors$/);
  }
});

test("bad options name themselves", async () => {
  for (const [options, word] of [
    [{ threads: 0 }, "threads"],
    [{ threads: 1.5 }, "threads"],
    [{ kv_dtype: "q9" }, "kv_dtype"],
    [{ mmap: "yes" }, "mmap"],
    [{ context: -1 }, "context"],
    [{ dtype: "q3" }, "dtype"],
  ] as [object, string][]) {
    const error = await failure(MixtralForCausalLM.from_pretrained(small, options));
    assert.instance(error, InputError);
    assert.match(error.message, word);
  }
});

test("bad inputs name themselves", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 2 });
  for (const [inputs, word] of [
    [{}, /input_ids/],
    [{ input_ids: [] }, /at least one token/],
    [{ input_ids: [1, 160] }, /input_ids\[0\]\[1\].*160/],
    [{ input_ids: [1, -1] }, /input_ids/],
    [{ input_ids: [1.5] }, /integer/],
    [{ input_ids: [[1, 2], [3]] }, /row 1 has 1/],
    [{ input_ids: [[1, 2]], attention_mask: [[1]] }, /attention_mask/],
    [{ input_ids: [1, 2], position_ids: [0, -4] }, /position_ids/],
    [{ input_ids: [1, 2], labels: [1, 999] }, /labels/],
    [{ input_ids: [1, 2], logits_to_keep: [5] }, /logits_to_keep/],
  ] as [object, RegExp][]) {
    const error = await failure(model(inputs));
    assert.instance(error, InputError, JSON.stringify(inputs));
    assert.match(error.message, word);
  }
  for (const [inputs, word] of [
    [{ input_ids: [1, 2], max_new_tokens: 100000 }, /max_new_tokens/],
    [{ input_ids: [1, 2, 3], max_length: 3 }, /max_length/],
    [{ input_ids: [1, 2], num_beams: 100 }, /100 sequences at once/],
    [{ input_ids: [1, 2], num_beams: 2, streamer: { put() {}, end() {} } }, /streamer/],
    [{ input_ids: [1, 2], num_beams: 2, prompt_lookup_num_tokens: 2 }, /num_beams: expected 1 with/],
    [{ input_ids: [1, 2], num_beams: 2, top_logprobs: 2 }, /top_logprobs: expected num_beams 1/],
    [{ input_ids: [1, 2], top_logprobs: 161 }, /top_logprobs: expected an integer from 0 to 160/],
    [{ input_ids: [1, 2], negative_prompt_ids: [[3]] }, /negative_prompt_ids: expected a guidance_scale/],
    [{ input_ids: [1, 2], guidance_scale: 2, negative_prompt_ids: [[3], [4]] }, /a row for each of 1 prompts, found 2/],
    [{ input_ids: [[1], [2]], prompt_lookup_num_tokens: 2 }, /prompt_lookup_num_tokens: expected one row, found 2/],
    [{ input_ids: [1, 2], assistant_model: {} }, /assistant_model: expected a model that generates/],
    [{ input_ids: [1, 2], temprature: 2 }, /temprature/],
    [{ input_ids: [1, 2], stop_strings: "a" }, /tokenizer/],
    [{ input_ids: [1, 2], top_k: "many" }, /top_k/],
  ] as [any, RegExp][]) {
    const error = await failure(model.generate(inputs));
    assert.match(error.message, word);
  }
  const { logits } = await model({ input_ids: [1, 2] });
  assert.equal(logits.dims, [1, 2, 160], "the engine goes on after all of these");
});

test("a context too small is said before anything runs", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 1, context: 10 });
  assert.match((await failure(model({ input_ids: ids(11) }))).message, /context holds 10/);
  assert.is((await model.generate({ input_ids: ids(4) })).dims[1], 10, "the default length is cut to it");
  assert.match(
    (await failure(model.generate({ input_ids: ids(11) }))).message,
    /a prompt of 11 tokens, the context holds 10/,
  );
  assert.match(
    (await failure(model.generate({ input_ids: ids(4), max_new_tokens: 7 }))).message,
    /max_new_tokens: 4 prompt tokens and 7 new ones, the context holds 10/,
  );
  assert.is((await model.generate({ input_ids: ids(4), max_new_tokens: 6, eos_token_id: null })).dims[1], 10);
  const embeds = (rows: number) => new Tensor("float32", new Float32Array(rows * 64).fill(0.1), [1, rows, 64]);
  assert.match(
    (await failure(model.generate({ inputs_embeds: embeds(10) }))).message,
    /a prompt of 10 tokens, the context holds 10/,
  );
  assert.is((await model.generate({ inputs_embeds: embeds(9), eos_token_id: null })).dims[1], 1);
  // With a window of 8, too, behind which any number could come.
  const file = JSON.parse(readFileSync(join(small, "config.json"), "utf8"));
  await using windowed = await MixtralForCausalLM.from_pretrained(small, {
    threads: 1,
    context: 10,
    config: { ...file, sliding_window: 8 },
  });
  assert.is(windowed.context, 10);
  assert.match((await failure(windowed({ input_ids: ids(11) }))).message, /context holds 10/);
  assert.is((await windowed.generate({ input_ids: ids(4), eos_token_id: null })).dims[1], 10);
  const long = { vocab_size: 20, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 4 };
  const config = { ...long, num_key_value_heads: 1, max_position_embeddings: 2 ** 22 };
  await using wide = await MixtralForCausalLM.from_config(config, { threads: 2 });
  const maps = wide({ input_ids: [1, 2], output_attentions: true });
  assert.match((await failure(maps)).message, /output_attentions: there is no room/);
});

test("aborting: loading, before, in prefill, in decode; the engine goes on", async () => {
  const reason = new Error("enough");
  const loading = new AbortController();
  const load = MixtralForCausalLM.from_pretrained(demo, {
    threads: 1,
    mmap: false,
    signal: loading.signal,
    progress_callback: ({ status }) => status === "progress" && loading.abort(reason),
  });
  assert.is(await failure(load), reason as never);
  assert.is(
    await failure(MixtralForCausalLM.from_pretrained(demo, { signal: AbortSignal.abort(reason) })),
    reason as never,
  );

  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 16 });
  const prompt = ids(400);
  const expected = (await model.generate({ input_ids: prompt, max_new_tokens: 8 })).tolist();
  const before = model.info().cache_bytes;

  const prefill = new AbortController();
  const call = model({ input_ids: prompt, signal: prefill.signal });
  setTimeout(() => prefill.abort(reason), 5);
  assert.is(await failure(call), reason as never);

  const decode = new AbortController();
  let steps = 0;
  const streamer = { put: () => void (++steps === 4 && decode.abort(reason)), end() {} };
  const error = await failure(
    model.generate({ input_ids: prompt, max_new_tokens: 100, streamer, signal: decode.signal }),
  );
  assert.is(error.cause, reason);
  assert.is(error.message, reason.message);
  const partial = (error as unknown as { partial: { tolist(): number[][] } }).partial.tolist()[0];
  assert.equal(partial, expected[0].slice(0, prompt.length + 3), "what was generated so far is on the error");

  assert.equal((await model.generate({ input_ids: prompt, max_new_tokens: 8 })).tolist(), expected);
  assert.is(model.info().cache_bytes, before, "no cache is left behind");
});

test("leaving a stream ends its generation", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, profile: true });
  const tokens: number[] = [];
  for await (const token of model.stream({ input_ids: ids(5), max_new_tokens: 500, min_new_tokens: 500 })) {
    tokens.push(token);
    if (tokens.length === 3) break;
  }
  assert.is(tokens.length, 3);
  const { steps } = model.profile!.count("decode");
  assert.ok(steps < 100, `${steps} of 500 tokens were computed`);
  assert.is(model.info().cache_bytes, 0);
  assert.is((await model.generate({ input_ids: ids(5), max_new_tokens: 2 })).dims[1], 7);
});

test("dispose during a step rejects it; later calls are refused; disposing twice is harmless", async () => {
  const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const call = failure(model({ input_ids: ids(1500) }));
  await new Promise((resolve) => setTimeout(resolve, 5));
  await model.dispose();
  assert.instance(await call, EngineError);
  assert.instance(await failure(model({ input_ids: [1] })), EngineError);
  await model.dispose();
});

test("a cache: continuing, cropping, forking, saving", async () => {
  for (const path of [small, windowed]) {
    await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
    const whole = await model({ input_ids: ids(20), use_cache: false });
    const first = await model({ input_ids: ids(6) });
    const cache = first.past_key_values!;
    assert.is(cache.get_seq_length(), 6);
    const fork = cache.fork();
    const rest = await model({ input_ids: ids(20).slice(6), past_key_values: cache });
    assert.is(rest.past_key_values, cache);
    assert.ok(sameBits(rest.logits.data as Float32Array, whole.logits[0].slice(6).data));

    fork.crop(4);
    assert.is(fork.get_seq_length(), 4);
    const again = await model({ input_ids: ids(8).slice(4), past_key_values: fork });
    assert.ok(sameBits(again.logits.data as Float32Array, whole.logits[0].slice(4, 8).data));

    const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
    await fork.save(join(folder, "cache"));
    const loaded = await model.load_cache(join(folder, "cache"));
    const third = await model({ input_ids: ids(20).slice(8), past_key_values: loaded });
    assert.ok(sameBits(third.logits.data as Float32Array, whole.logits[0].slice(8).data));
    assert.instance(await failure(model.load_cache(`${path}/config.json`)), InputError);
    rmSync(folder, { recursive: true });
    for (const held of [cache, fork, loaded]) held.dispose();
    assert.is(model.info().cache_bytes, 0);
    assert.instance(await failure(model({ input_ids: [1], past_key_values: cache })), EngineError);
  }
  await using model = await MixtralForCausalLM.from_pretrained(windowed, { threads: 1 });
  const long = ids(600);
  const whole = await model({ input_ids: long, use_cache: false });
  const rolled = (await model({ input_ids: long })).past_key_values!;
  assert.throws(() => rolled.crop(300), /window/);
  // Pages of positions below 320 were given back; the token at 327 sees 320 to 327.
  assert.throws(() => rolled.crop(326), /row 0 has 600 tokens, .* those for 273 tokens to be taken back, not 274/);
  const least = rolled.fork();
  least.crop(327);
  const after = await model({ input_ids: long.slice(327), past_key_values: least });
  assert.ok(sameBits(after.logits.data as Float32Array, whole.logits[0].slice(327).data));
  rolled.crop(-128);
  const again = await model({ input_ids: long.slice(472), past_key_values: rolled });
  assert.ok(sameBits(again.logits.data as Float32Array, whole.logits[0].slice(472).data));
});

test("positions that jump are packed sequences, isolated where there is neither mask nor cache", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 2 });
  const parts = [ids(5), ids(9).slice(2), ids(12).slice(8)];
  const position_ids = [parts.flatMap((part) => [...part.keys()])];
  const packed = await model({ input_ids: parts.flat(), position_ids, use_cache: false });
  let at = 0;
  for (const part of parts) {
    const { logits } = await model({ input_ids: part, use_cache: false });
    assert.ok(sameBits(packed.logits[0].slice(at, at + part.length).data, logits.data as Float32Array));
    at += part.length;
  }
  const joined = await model({ input_ids: parts.flat(), position_ids, use_cache: true });
  assert.not.ok(sameBits(joined.logits.data as Float32Array, packed.logits.data as Float32Array));
});

test("a context beyond the trained positions is for rope types that are made for it", async () => {
  const config = { ...JSON.parse(readFileSync(join(small, "config.json"), "utf8")), max_position_embeddings: 16 };
  for (const [rope_parameters, reaches] of [
    [{ rope_type: "default", rope_theta: 1e6 }, false],
    [{ rope_type: "linear", factor: 2, rope_theta: 1e6 }, false],
    [{ rope_type: "dynamic", factor: 2, rope_theta: 1e6 }, true],
    [{ rope_type: "yarn", factor: 2, rope_theta: 1e6 }, true],
  ] as const) {
    const options = { threads: 1, config: { ...config, rope_parameters } };
    await using model = await MixtralForCausalLM.from_pretrained(small, options);
    await model({ input_ids: ids(16), use_cache: false });
    assert.match((await failure(model({ input_ids: ids(17) }))).message, /the context holds 16/);
    const longer = MixtralForCausalLM.from_pretrained(small, { ...options, context: 40 });
    if (!reaches)
      assert.match((await failure(longer)).message, /context: expected at most 16 .*"(default|linear)".* found 40/);
    else {
      await using wide = await longer;
      await wide({ input_ids: ids(40), use_cache: false });
      assert.match((await failure(wide({ input_ids: ids(41) }))).message, /the context holds 40/);
    }
  }
});

test("more generations than slots wait their turn, and give what they give alone", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 2, max_sequences: 2 });
  const prompts = Array.from({ length: 9 }, (_, i) => ids(20).slice(i));
  const alone: number[][] = [];
  for (const prompt of prompts)
    alone.push((await model.generate({ input_ids: prompt, max_new_tokens: 12, do_sample: true, seed: 3 })).tolist()[0]);
  const left = new AbortController();
  const calls = prompts.map((prompt, i) =>
    model.generate({
      input_ids: prompt,
      max_new_tokens: 12,
      do_sample: true,
      seed: 3,
      signal: i === 5 ? left.signal : undefined,
    }),
  );
  left.abort(new Error("left the queue"));
  const results = await Promise.allSettled(calls);
  for (const [i, result] of results.entries()) {
    if (i === 5) assert.is((result as PromiseRejectedResult).reason.message, "left the queue");
    else assert.equal((result as PromiseFulfilledResult<Tensor>).value.tolist()[0], alone[i]);
  }
  const tooMany = await failure(model.generate({ input_ids: [ids(3), ids(3), ids(3)], max_new_tokens: 2 }));
  assert.match(tooMany.message, /max_sequences allows 2/);
});

test("a profile counts every step, phase by phase", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(small, { threads: 2, profile: true });
  await model.generate({ input_ids: ids(10), max_new_tokens: 5 });
  const { profile } = model;
  assert.equal(profile!.count("prefill"), { steps: 1, rows: 10 });
  assert.equal(profile!.count("decode"), { steps: 4, rows: 4 });
  const rows = profile!.byPhase("decode");
  assert.is(rows.find(({ name }) => name === "experts w2")!.count, 4 * 2, "a phase for each layer and step");
  assert.ok(rows.every(({ busy_ms, waited_ms }) => busy_ms >= 0 && waited_ms >= 0));
  assert.equal(
    profile!.byLayer("decode").map(({ name }) => name),
    ["rest", "layer 0", "layer 1"],
  );
  const { traceEvents } = profile!.trace() as { traceEvents: { tid: number }[] };
  assert.equal([...new Set(traceEvents.map(({ tid }) => tid))].sort(), [0, 1]);
});

test("a rolling cache costs the same at any position", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(windowed, { threads: 2 });
  let cache = (await model({ input_ids: ids(8) })).past_key_values!;
  const page = model.info().cache_bytes;
  for (let i = 0; i < 10; i++) cache = (await model({ input_ids: ids(40), past_key_values: cache })).past_key_values!;
  assert.is(cache.get_seq_length(), 408);
  // Positions 401 to 408 are seen, some 128 before them are kept, and pages are whole.
  assert.ok(model.info().cache_bytes <= 5 * page, `${model.info().cache_bytes / page} pages`);
});

test("attentions behind a window have a column for each key that some row sees", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(windowed, { threads: 2 });
  const { past_key_values } = await model({ input_ids: ids(20) });
  const input_ids = ids(23).slice(20);
  const { attentions } = await model({ input_ids, past_key_values, output_attentions: true });
  const [batch, heads, rows, keys] = attentions![0].dims;
  assert.equal([batch, rows, keys], [1, 3, 10], "positions 13 to 22");
  for (const matrices of attentions!)
    for (let head = 0; head < heads; head++)
      for (const [i, row] of (matrices[0][head].tolist() as number[][]).entries()) {
        assert.equal(
          row.map((share) => share > 0),
          row.map((_, column) => column >= i && column < i + 8),
          `row ${i}`,
        );
        assert.ok(Math.abs(row.reduce((a, b) => a + b) - 1) < 1e-5);
      }
});

test("logits and losses of a long text take one step for each chunk, and a loss brings no logits along", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, profile: true, chunk_size: 256 });
  const input_ids = ids(500);
  const steps = () => model.profile!.count("prefill").steps;
  const { logits } = await model({ input_ids, use_cache: false });
  assert.is(steps(), 2);
  const { loss, logits: last } = await model({ input_ids, labels: input_ids, logits_to_keep: 1 });
  assert.is(steps(), 4);
  const [, length, vocab] = logits.dims;
  assert.equal(last.dims, [1, 1, vocab]);
  const all = logits.data as Float32Array;
  assert.ok(sameBits(last.data as Float32Array, all.subarray((length - 1) * vocab)));
  // Cross entropy in float64. Tolerance: sums of `vocab` float32 exponentials, and a mean of 499 float32 losses.
  let sum = 0;
  for (let i = 0; i + 1 < length; i++) {
    const row = all.subarray(i * vocab, (i + 1) * vocab);
    const most = row.reduce((a, b) => Math.max(a, b));
    sum += Math.log(row.reduce((total, x) => total + Math.exp(x - most), 0)) + most - row[input_ids[i + 1]];
  }
  const expected = sum / (length - 1);
  assert.ok(Math.abs(loss! - expected) <= 1e-6 * expected, `${loss}, expected ${expected}`);
});

test("the largest logit of a row can be wanted alone", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const count = 70; // more rows than pass through a head at once
  const { logits } = await model({ input_ids: ids(count), use_cache: false });
  using cache = model.create_cache(1);
  const data = sharedFloats(2 * count);
  const tokens = Int32Array.from(ids(count));
  const reading = new Reading(
    cache.rows[0],
    { tokens, positions: Uint32Array.from(tokens.keys()), reach: tokens.length },
    (from, to) => ({
      heads: [
        {
          rows: Uint32Array.from({ length: to - from }, (_, i) => i),
          argmax: { data, stride: 2, first: from },
        },
      ],
    }),
  );
  model.engine.scheduler.add([reading]);
  await reading.finished;
  for (const [i, row] of (logits.tolist() as number[][][])[0].entries())
    assert.is(data[2 * i], row.indexOf(Math.max(...row)), `row ${i}`);
});

test("more threads than cores wait and do not spin", async () => {
  await using one = await MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
  await using many = await MixtralForCausalLM.from_pretrained(demo, { threads: 8 });
  const [a, b] = await Promise.all(
    [one, many].map((model) => model.generate({ input_ids: ids(30), max_new_tokens: 10 })),
  );
  assert.equal(a.tolist(), b.tolist());
});

test("memory that cannot be had is named", async () => {
  const error = await failure(MixtralForCausalLM.from_pretrained(small, { threads: 1, bank_bytes: 65536 }));
  assert.instance(error, MemoryError);
  assert.ok((error as MemoryError).needed > 65536);
});

test("stop strings and a text streamer", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const inputs = tokenizer("My favourite condiment is");
  let text = "";
  const streamer = new TextStreamer(tokenizer, { skip_prompt: true, callback_function: (piece) => (text += piece) });
  const out = await model.generate({ ...inputs, max_new_tokens: 40, stop_strings: ["India"], tokenizer, streamer });
  assert.match(tokenizer.decode(out.tolist()[0], { skip_special_tokens: true }), /chutney\. In India$/);
  assert.is(text.trim(), "chutney. In India");
});

test.run();
