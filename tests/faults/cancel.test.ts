// Cancelling: an AbortSignal ends a load at once, a prefill within the chunk that runs, a decode with the token that runs, and the
// model is usable at once. Chunks and tokens are counted; only loads are timed, by a bound of ten times what is promised, and
// where many threads start, of which each takes its time, by what a whole load takes.

import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import type { StepKind } from "../../src/model/profile.ts";
import { safetensorsFile, smallConfig, smallShapes } from "../checkpoint/safetensors.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";
import { answer, expected } from "./answer.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const reason = new Error("enough");
const ids = (count: number) => Array.from({ length: count }, (_, i) => (i * 37 + 5) % 150);

/** A model of 510 MB whose file is one hole: it is read as fast as memory is. */
function largeModel(): string {
  const vocab_size = 16_000_000;
  const shapes = Object.entries(smallShapes()).map(([name, shape]): [string, number[]] => [
    name,
    shape.map((size) => (size === smallConfig.vocab_size ? vocab_size : size)),
  ]);
  let at = 0;
  const header = Object.fromEntries(
    shapes.map(([name, shape]) => {
      const begin = at;
      at += 4 * shape.reduce((a, b) => a * b);
      return [name, { dtype: "F32", shape, data_offsets: [begin, at] }];
    }),
  );
  const bytes = safetensorsFile(header);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...smallConfig, vocab_size }));
  writeFileSync(join(folder, "model.safetensors"), bytes);
  truncateSync(join(folder, "model.safetensors"), bytes.length + at);
  return folder;
}

test("a load ends soon after its signal, wherever it is", async () => {
  const cases: [string, string, object, number[]][] = [
    ["reading 510 MB", largeModel(), { threads: 2, mmap: false, chunk_size: 1 }, [10, 40, 80, 120]],
    ["mapping", demo, { threads: 2 }, [0, 5, 10, 20]],
    ["starting 64 threads", demo, { threads: 64 }, [10, 60, 200, 400]],
  ];
  for (const [what, path, options, delays] of cases) {
    const begin = performance.now();
    await (await MixtralForCausalLM.from_pretrained(path, options)).dispose();
    const most = Math.max(1000, performance.now() - begin);
    let slowest = 0;
    let stopped = 0;
    for (const delay of delays) {
      const controller = new AbortController();
      let aborted = 0;
      setTimeout(() => {
        aborted = performance.now();
        controller.abort(reason);
      }, delay);
      try {
        await (await MixtralForCausalLM.from_pretrained(path, { ...options, signal: controller.signal })).dispose();
      } catch (error) {
        assert.is(error, reason);
        slowest = Math.max(slowest, performance.now() - aborted);
        stopped++;
      }
    }
    console.log(`# ${what}: ${stopped} of ${delays.length} stopped, at most ${slowest.toFixed(0)} ms after the signal`);
    assert.ok(stopped > 0, `${what}: every load was over before its signal`);
    assert.ok(slowest < most, `${what}: ${slowest} ms`);
  }
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  assert.equal(await answer(model), expected);
});

/** Aborts when a model that profiles has computed so many steps of a kind. */
function abortAfter(model: MixtralForCausalLM, kind: StepKind, steps: number): AbortSignal {
  const controller = new AbortController();
  const before = model.profile!.count(kind).steps;
  const look = () => {
    if (model.profile!.count(kind).steps - before >= steps) controller.abort(reason);
    else setImmediate(look);
  };
  look();
  return controller.signal;
}

test("a prefill ends with the chunk that runs", async () => {
  const options = { threads: 2, chunk_size: 64, profile: true };
  await using model = await MixtralForCausalLM.from_pretrained(demo, options);
  for (const call of [
    (signal: AbortSignal) => model({ input_ids: ids(1600), signal }),
    (signal: AbortSignal) => model.generate({ input_ids: ids(1600), max_new_tokens: 4, signal }),
  ]) {
    const before = model.profile!.count("prefill").steps;
    const error = await failure(call(abortAfter(model, "prefill", 3)));
    assert.is(error.cause ?? error, reason); // generate's error is its own, with what it has done
    const steps = model.profile!.count("prefill").steps - before;
    // A chunk may end before the turn in which it is aborted; 25 chunks would be the whole prompt.
    assert.ok(steps <= 6, `${steps} of 25 chunks`);
    assert.equal(await answer(model), expected, "usable at once");
    assert.is(model.info().cache_bytes, 0);
  }
});

test("a decode ends with the token that runs", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, profile: true });
  const controller = new AbortController();
  let tokens = 0;
  const streamer = {
    put: () => void (++tokens === 6 && controller.abort(reason)), // the prompt, then five tokens
    end() {},
  };
  const call = model.generate({
    input_ids: ids(5),
    max_new_tokens: 200,
    min_new_tokens: 200,
    streamer,
    signal: controller.signal,
  });
  assert.is((await failure(call)).cause, reason);
  const { steps } = model.profile!.count("decode");
  assert.ok(steps >= 4 && steps <= 6, `${steps}: four tokens were computed, and at most two on their way`);
  assert.equal(await answer(model), expected, "usable at once");

  const before = model.profile!.count("decode").steps;
  const generating = model.generate({
    input_ids: ids(5),
    max_new_tokens: 500,
    min_new_tokens: 500,
    signal: abortAfter(model, "decode", 8),
  });
  const { partial } = (await failure(generating)) as unknown as { partial: { dims: number[] } };
  const computed = model.profile!.count("decode").steps - before;
  assert.ok(computed < 100, `${computed} of 500 tokens`);
  assert.ok(partial.dims[1] >= 5 + 8 - 1);
  assert.equal(await answer(model), expected);
});

test("a call that shares a chunk with another leaves it at once, and the other is right", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 4096, step_ms: 5 });
  const alone = await model({ input_ids: ids(1600), use_cache: false });
  const controller = new AbortController();
  const start = performance.now();
  const left = failure(model.generate({ input_ids: ids(1700), max_new_tokens: 4, signal: controller.signal }));
  const stays = model({ input_ids: ids(1600), use_cache: false });
  await new Promise((resolve) => setTimeout(resolve, 15));
  controller.abort(reason);
  assert.is((await left).cause, reason);
  const leaving = performance.now() - start;
  // What is begun now gets other pages and slots than those that the chunk still writes to.
  assert.equal(await answer(model), expected);
  assert.ok(sameBits((await stays).logits.data as Float32Array, alone.logits.data as Float32Array));
  console.log(`# left after ${leaving.toFixed(0)} ms, the chunk took ${(performance.now() - start).toFixed(0)}`);
  assert.is(model.info().cache_bytes, 0);
});

test("a call that waits behind another ends at once", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 64, max_sequences: 1 });
  const long = model.generate({ input_ids: ids(800), max_new_tokens: 2 });
  const controller = new AbortController();
  const waiting = failure(model.generate({ input_ids: ids(5), signal: controller.signal }));
  controller.abort(reason);
  assert.is((await waiting).cause, reason);
  assert.is((await long).dims[1], 802);
});

test.run();
