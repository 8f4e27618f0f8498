// Threads that die, or cannot start: the calls fail with an error that has the cause, nothing hangs, and a new load works.
// runs in: isolated
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EngineError, InputError, MixtralForCausalLM } from "../../src/index.ts";
import { configure } from "../../src/platform/assets.ts";
import { failure } from "../contract/disk.ts";
import { pick } from "./engine_here.ts";
import type { Expected } from "./expected.ts";

const { demo }: Expected = await (await fetch("/expected.json")).json();
const path = await pick(demo.files);
const load = () => MixtralForCausalLM.from_pretrained(path, { threads: 2 });
const ask = { input_ids: [1, 5, 6, 7], max_new_tokens: 8 };

/** Runs with another script for threads than the engine's. */
async function withScript(script: string, run: () => Promise<void>): Promise<void> {
  configure({ worker_url: new URL(script, import.meta.url) });
  try {
    await run();
  } finally {
    configure({ worker_url: new URL("./engine.js", import.meta.url) });
  }
}

test("a thread that dies in a step", async () => {
  await withScript("./later.thread.js", async () => {
    const model = await load();
    await model({ input_ids: [1, 5, 6] });
    const died = /thread 1 of the team failed: .*it died in the midst.*dispose the model and load it again/;
    await failure(() => model.generate(ask), EngineError, died);
    await failure(() => model.generate(ask), EngineError, died);
    await model.dispose();
  });
  await using again = await load();
  assert.is((await again.generate(ask)).dims[1], 12);
});

test("threads that die as they start, and scripts that are none", async () => {
  for (const [script, why] of [
    ["./dying.thread.js", /thread \d of the team failed: .*it died/],
    ["./none.js", /thread \d of the team failed: tramontane \d: http.*\/web\/none\.js cannot be run as a worker/],
    ["/expected.json", /cannot be run as a worker/],
    ["https://example.org/engine.js", /thread \d of the team failed: /],
  ] as const)
    await withScript(script, () => failure(load, EngineError, why));
  await using again = await load();
  assert.is((await again.generate(ask)).dims[1], 12);
});

test("a model that is disposed of in a step", async () => {
  const model = await load();
  const running = model.generate({ ...ask, max_new_tokens: 200 });
  setTimeout(() => model.dispose(), 30);
  await failure(() => running, EngineError, /disposed/);
});

test("what a browser cannot do is refused", async () => {
  const load = (options: object) => () => MixtralForCausalLM.from_pretrained(path, options);
  await failure(load({ mmap: true }), InputError, /mmap: true was given, but a browser maps no files/);
});

test.run();
