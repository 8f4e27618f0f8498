// Loading and disposing, many times: neither memory nor mappings, threads nor handles stay. 100 times here; TRAMONTANE_LOADS
// says otherwise.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { collect, held, showHeld } from "../soak/held.ts";
import { answer, expected } from "./answer.ts";

const loads = Number(process.env.TRAMONTANE_LOADS ?? 100);

let native = false;

/** One life of a model, in every way that a model can end. */
async function live(i: number): Promise<void> {
  const mmap = i % 2 === 0 ? "auto" : false;
  if (i % 10 === 9) {
    const controller = new AbortController();
    const { signal } = controller;
    setTimeout(() => controller.abort(new Error("enough")), i % 20);
    await failure(
      MixtralForCausalLM.from_pretrained(demo, { threads: 2, mmap, signal }).then(async (model) => {
        await model.dispose();
        throw new Error("loaded before");
      }),
    );
    return;
  }
  const model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2, mmap });
  if (i % 10 === 7) {
    const call = failure(model({ input_ids: Array.from({ length: 1000 }, (_, k) => k % 100) }));
    await model.dispose();
    await call;
    return;
  }
  native = model.info().device === "native";
  assert.equal(await answer(model), expected);
  if (i % 3 === 0) await model({ input_ids: [1, 2, 3] }); // its cache is forgotten
  await model.dispose();
}

if (process.platform === "linux")
  test(`${loads} loads and disposals`, async () => {
    for (let i = 0; i < 20; i++) await live(i);
    const before = held();
    for (let i = 0; i < loads; i++) await live(i);
    await collect();
    // Deno's pool of threads for files takes ten seconds to shrink.
    for (let i = 0; i < 30 && held().threads > before.threads; i++)
      await new Promise((resolve) => setTimeout(resolve, 500));
    const after = held();
    for (const [when, figures] of Object.entries({ before, after }))
      console.log(`# ${when} ${loads} loads: ${showHeld(figures)}`);
    assert.is(after.mapped, 0, "weights stay mapped");
    assert.ok(after.threads <= before.threads + 4, `${after.threads} threads`);
    assert.ok(after.handles <= before.handles + 16, `${after.handles} handles`);
    // The weights have 22 MB: two models' more is garbage, ten models' would be a leak.
    assert.ok(after.resident_MiB < before.resident_MiB + 64, `${after.resident_MiB} MiB`);
    // koffi keeps three mappings, 0.2 MB, of each thread that called native kernels, when that is gone, too.
    const kept = native && (await currentPlatform()).name === "node" ? 3 * 2 * loads : 0;
    assert.ok(after.maps < before.maps + 200 + kept, `${after.maps} mappings`);
    assert.ok(after.addresses_GiB < before.addresses_GiB + 200, `${after.addresses_GiB} GiB of addresses`);
  });

test.run();
