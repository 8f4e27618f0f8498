// The router against float64: which experts, in which order, with which weights.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bits, builds, Kernels } from "./harness.ts";
import { normal } from "./random.ts";

const kernels = builds.map((build) => new Kernels(build, 128));

function route(k: Kernels, x: Float32Array, gate: Float32Array, experts: number, count: number) {
  k.reset();
  const [logits, picked, weights] = [k.alloc(4 * experts), k.alloc(4 * count), k.alloc(4 * count)];
  k.fn.router_logits(k.put(x), k.put(gate), x.length, experts, logits);
  k.fn.select_experts(logits, experts, count, picked, weights);
  return {
    logits: k.f32(logits, experts).slice(),
    picked: [...k.u32(picked, count)],
    weights: k.f32(weights, count).slice(),
  };
}

test("logits, picks and weights follow float64", () => {
  let worst = 0;
  for (const cols of [1, 5, 32, 50, 255, 4096])
    for (const [experts, count] of [
      [1, 1],
      [2, 2],
      [8, 2],
      [5, 3],
      [64, 6],
      [256, 8],
    ]) {
      const x = normal(cols + experts, cols);
      const gate = normal(cols * experts, cols * experts, 2 / Math.sqrt(cols));
      const [plain, relaxed] = kernels.map((k) => route(k, x, gate, experts, count));
      assert.equal(bits(relaxed.logits), bits(plain.logits));
      assert.equal(bits(relaxed.weights), bits(plain.weights));
      assert.equal(relaxed.picked, plain.picked);
      for (let e = 0; e < experts; e++) {
        let sum = 0;
        let abs = 0;
        for (let c = 0; c < cols; c++) {
          sum += x[c] * gate[e * cols + c];
          abs += Math.abs(x[c] * gate[e * cols + c]);
        }
        assert.ok(Math.abs(plain.logits[e] - sum) <= cols * 2 ** -24 * abs);
      }
      // From the kernel's own logits on: ranks, and the softmax divided by the sum of what was picked.
      const order = [...plain.logits.keys()].sort((a, b) => plain.logits[b] - plain.logits[a] || a - b);
      assert.equal(plain.picked, order.slice(0, count));
      const top = plain.logits[order[0]];
      const exps = plain.picked.map((e) => Math.exp(plain.logits[e] - top));
      const total = exps.reduce((a, b) => a + b, 0);
      for (let i = 0; i < count; i++) {
        const error = Math.abs(plain.weights[i] - exps[i] / total) / (exps[i] / total);
        assert.ok(error < 1e-6, `${experts} experts, pick ${i}: ${plain.weights[i]}, expected ${exps[i] / total}`);
        worst = Math.max(worst, error);
      }
    }
  console.log(`# router: largest relative error of a weight ${worst.toExponential(2)}`);
});

test("ties go to the lower index", () => {
  const x = Float32Array.of(1);
  for (const k of kernels) {
    const tied = route(k, x, Float32Array.of(1, 3, 2, 3, 3, 2), 6, 4);
    assert.equal(tied.picked, [1, 3, 4, 2]);
    assert.is(tied.weights[0], tied.weights[1]);
    assert.equal(route(k, x, new Float32Array(8), 8, 2), {
      logits: new Float32Array(8),
      picked: [0, 1],
      weights: Float32Array.of(0.5, 0.5),
    });
  }
});

test("far logits, infinities and NaN still pick distinct experts", () => {
  for (const k of kernels) {
    const far = route(k, Float32Array.of(1), Float32Array.of(-3e38, 3e38, 0, -1), 4, 2);
    assert.equal(far.picked, [1, 2]);
    assert.equal([...far.weights], [1, 0]);
    const nan = route(k, Float32Array.of(NaN), new Float32Array(4), 4, 2);
    assert.equal(nan.picked, [0, 1]);
    const some = route(k, Float32Array.of(1), Float32Array.of(1, NaN, 2, 5, NaN, 3), 6, 4);
    assert.is(new Set(some.picked).size, 4);
    assert.ok(some.picked.every((e) => e < 6));
  }
});

test.run();
