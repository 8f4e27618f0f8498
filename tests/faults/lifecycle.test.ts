// Loading and disposing, many times: neither memory nor mappings, threads nor handles stay. 100 times here; TRAMONTANE_LOADS
// says otherwise.
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { answer, expected } from "./answer.ts";

const loads = Number(process.env.TRAMONTANE_LOADS ?? 100);

/** What this process holds, as Linux tells it. */
function held() {
  const status = readFileSync("/proc/self/status", "utf8");
  const figure = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
  const maps = readFileSync("/proc/self/maps", "utf8").trim().split("\n");
  return {
    addresses_GiB: figure("VmSize") / 2 ** 20,
    resident_MiB: figure("VmRSS") / 2 ** 10,
    threads: figure("Threads"),
    maps: maps.length,
    mapped: maps.filter((line) => line.includes("safetensors")).length,
    handles: readdirSync("/proc/self/fd").length,
  };
}

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
  assert.equal(await answer(model), expected);
  if (i % 3 === 0) await model({ input_ids: [1, 2, 3] }); // its cache is forgotten
  await model.dispose();
}

if (process.platform === "linux")
  test(`${loads} loads and disposals`, async () => {
    for (let i = 0; i < 20; i++) await live(i);
    const before = held();
    for (let i = 0; i < loads; i++) await live(i);
    // Garbage is the runtime's: it is given the occasion to collect.
    const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(now: boolean): void } };
    for (let i = 0; i < 3; i++) {
      gc?.();
      Bun?.gc(true);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    // Deno's pool of threads for files takes ten seconds to shrink.
    for (let i = 0; i < 30 && held().threads > before.threads; i++)
      await new Promise((resolve) => setTimeout(resolve, 500));
    const after = held();
    for (const [when, figures] of Object.entries({ before, after }))
      console.log(
        `# ${when} ${loads} loads: ${Object.entries(figures)
          .map(([name, figure]) => `${figure.toFixed(0)} ${name}`)
          .join(", ")}`,
      );
    assert.is(after.mapped, 0, "weights stay mapped");
    assert.ok(after.threads <= before.threads + 4, `${after.threads} threads`);
    assert.ok(after.handles <= before.handles + 16, `${after.handles} handles`);
    // The weights have 22 MB: two models' more is garbage, ten models' would be a leak.
    assert.ok(after.resident_MiB < before.resident_MiB + 64, `${after.resident_MiB} MiB`);
    assert.ok(after.maps < before.maps + 200, `${after.maps} mappings`);
    assert.ok(after.addresses_GiB < before.addresses_GiB + 200, `${after.addresses_GiB} GiB of addresses`);
  });

test.run();
