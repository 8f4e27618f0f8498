// Cancelling: an AbortSignal ends a load at once, a prefill with the chunk that runs, a decode with the token that runs, and the
// model is usable at once. Chunks and tokens are counted; only loads are timed, by a bound of ten times what is promised.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { safetensorsFile, smallConfig, smallShapes } from "../checkpoint/safetensors.ts";
import { demo } from "../fixtures.ts";
import { answer, expected, failure } from "./answer.ts";

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
    assert.ok(slowest < 1000, `${what}: ${slowest} ms`);
  }
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  assert.equal(await answer(model), expected);
});

/** Counts the parts of steps that a model is asked for, and aborts when the given one begins. */
function abortAt(model: MixtralForCausalLM, part: number) {
  const { engine } = model;
  const controller = new AbortController();
  const counts = { submitted: 0 };
  const submit = engine.submit;
  engine.submit = ((...args: Parameters<typeof submit>) => {
    const result = submit.apply(engine, args);
    if (++counts.submitted === part) setTimeout(() => controller.abort(reason));
    return result;
  }) as typeof submit;
  const stop = () => {
    engine.submit = submit;
  };
  return { signal: controller.signal, counts, stop };
}

test("a prefill ends with the chunk that runs", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 64 });
  for (const call of [
    (signal: AbortSignal) => model({ input_ids: ids(1600), signal }),
    (signal: AbortSignal) => model.generate({ input_ids: ids(1600), max_new_tokens: 4, signal }),
  ]) {
    const { signal, counts, stop } = abortAt(model, 3);
    assert.is(await failure(call(signal)), reason as never);
    stop();
    // A chunk may end before the timer that aborts fires; 25 chunks would be the whole prompt.
    assert.ok(counts.submitted <= 4, `${counts.submitted} of 25 chunks`);
    assert.equal(await answer(model), expected, "usable at once");
    assert.is(model.info().cache_bytes, 0);
  }
});

test("a decode ends with the token that runs", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
  const controller = new AbortController();
  const counting = abortAt(model, Number.POSITIVE_INFINITY);
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
  assert.is(await failure(call), reason as never);
  counting.stop();
  assert.is(counting.counts.submitted, 5, "the prompt and four tokens were computed, the fifth was chosen");
  assert.equal(await answer(model), expected, "usable at once");

  const between = abortAt(model, 8);
  const generating = model.generate({
    input_ids: ids(5),
    max_new_tokens: 500,
    min_new_tokens: 500,
    signal: between.signal,
  });
  const { partial } = (await failure(generating)) as unknown as { partial: { dims: number[] } };
  between.stop();
  assert.ok(between.counts.submitted < 100, `${between.counts.submitted} of 500 tokens`);
  assert.ok(partial.dims[1] >= 5 + 8 - 1);
  assert.equal(await answer(model), expected);
});

test("a call that waits behind another ends at once", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, chunk_size: 64, max_sequences: 1 });
  const long = model.generate({ input_ids: ids(800), max_new_tokens: 2 });
  const controller = new AbortController();
  const waiting = failure(model.generate({ input_ids: ids(5), signal: controller.signal }));
  controller.abort(reason);
  assert.is(await waiting, reason as never);
  assert.is((await long).dims[1], 802);
});

test.run();
