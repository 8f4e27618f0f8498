// The barrier on its own: who comes after a failure is told, who waits when it happens is freed; how rows are shared.
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  Barrier,
  CONTROL_BYTES,
  failBarrier,
  layersPassed,
  share,
  WorkCounter,
  wantPause,
} from "../../src/threads/barrier.ts";

/** What `wait` does in another thread, which may hang: its error's message, "met", or "hangs". */
async function waiting(control: SharedArrayBuffer, threads: number, then = () => {}): Promise<string> {
  const module = new URL("../../src/threads/barrier.js", import.meta.url).href;
  const code = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(${JSON.stringify(module)}).then(({ Barrier }) => {
      const barrier = new Barrier(workerData, ${threads}, ${threads});
      parentPort.postMessage("began");
      try { barrier.wait(); parentPort.postMessage("met"); } catch (error) { parentPort.postMessage(error.message); }
    });`;
  const worker = new Worker(code, { eval: true, workerData: control });
  try {
    return await new Promise((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", (message) => {
        if (message !== "began") return resolve(message);
        setTimeout(() => resolve("hangs"), 3000);
        then();
      });
    });
  } finally {
    await worker.terminate();
  }
}

test("who comes after the team has failed is told at once", async () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  failBarrier(control);
  assert.match(await waiting(control, 2), /failed/);
});

test("who waits when the team fails is told", async () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  assert.match(await waiting(control, 2, () => setTimeout(() => failBarrier(control), 50)), /failed/);
});

test("who waits goes on when the last has come", async () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const own = new Barrier(control, 2, 2);
  assert.is(await waiting(control, 2, () => setTimeout(() => own.wait(), 50)), "met");
});

test("a wish to pause is taken once, and can be taken back", () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const barrier = new Barrier(control, 1, 1);
  assert.not(barrier.waitOrPause());
  wantPause(control, true);
  assert.ok(barrier.pauseWanted);
  barrier.wait();
  assert.ok(barrier.pauseWanted, "a barrier that does not decide leaves it");
  assert.ok(barrier.waitOrPause());
  assert.not(barrier.pauseWanted);
  assert.not(barrier.waitOrPause());
  wantPause(control, true);
  wantPause(control, false);
  assert.not(barrier.waitOrPause());
});

test("the host sees how many layers were passed", () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  assert.is(layersPassed(control), 0);
  new Barrier(control, 2, 2).passed(7);
  assert.is(layersPassed(control), 7);
});

test("share: contiguous, whole grains, even, nothing twice", () => {
  assert.equal(
    [0, 1, 2].map((thread) => share(100, thread, 3, 16)),
    [
      [0, 32],
      [32, 64],
      [64, 100],
    ],
  );
  for (const [count, threads, grain] of [
    [0, 3, 1],
    [1, 4, 1],
    [7, 3, 2],
    [1000, 7, 16],
  ]) {
    let at = 0;
    for (let thread = 0; thread < threads; thread++) {
      const [from, to] = share(count, thread, threads, grain);
      assert.is(from, at);
      assert.ok(to === count || to % grain === 0);
      assert.ok(to - from <= Math.ceil(Math.ceil(count / grain) / threads) * grain);
      at = to;
    }
    assert.is(at, count);
  }
});

test("each phase hands its units out from 0", () => {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const counters = [0, 1].map((thread) => new WorkCounter(control, thread));
  for (let phase = 0; phase < 10; phase++) {
    for (const counter of counters) counter.begin();
    assert.equal([counters[0].next(), counters[1].next(), counters[0].next()], [0, 1, 2], `phase ${phase}`);
    assert.is(counters[1].taken, 3);
  }
});

test.run();
