// Where weights stand: within their bank, each byte of theirs alone, however tight banks are.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MemoryError } from "../../src/errors.ts";
import { planWeights, type WeightPlan } from "../../src/memory/plan.ts";
import type { SourceFile } from "../../src/platform/platform.ts";
import { formats, rowBytes } from "../../src/quant/formats.ts";
import type { MatrixRef, MixtralWeights } from "../../src/weights/weights.ts";
import { random } from "../kernels/twin.ts";

const [LOW, PAGE] = [1 << 16, 4096];

/** A model whose norms are as large as its matrices, some with columns in an order, some made while it loads. */
function weights(seed: number, layers: number): MixtralWeights {
  const next = random(seed);
  const files = [0, 1].map((i) => ({ path: `file ${i}` }) as SourceFile);
  const ends = [100, 5000];
  const matrix = (name: string, rows: number, cols = 1024): MatrixRef => {
    const [format, which] = [formats.Q4_0, next() % 2];
    const bytes = rows * rowBytes(format, cols);
    const offset = ends[which];
    ends[which] += bytes + (next() % 3) * 3000;
    const order = next() % 2 ? Uint32Array.from({ length: cols }, (_, i) => cols - 1 - i) : undefined;
    const shape = { name, format, rows, cols, bytes };
    if (next() % 4 === 0) return { ...shape, order, recipe: { parts: [] } } as unknown as MatrixRef;
    return { ...shape, order: undefined, file: files[which], offset } as MatrixRef;
  };
  const constant = (name: string, values: number) =>
    ({ name, format: formats.F32, rows: 1, cols: values, bytes: values * 4, file: files[0], offset: 0 }) as MatrixRef;
  const expert = (i: number, e: number) => ({
    w1: matrix(`${i}.${e}.w1`, 20 + (next() % 40)),
    w2: matrix(`${i}.${e}.w2`, 20 + (next() % 40)),
    w3: matrix(`${i}.${e}.w3`, 20 + (next() % 40)),
  });
  const embed_tokens = matrix("embed", 50);
  return {
    embed_tokens,
    norm: constant("norm", 9000),
    head: { weight: embed_tokens },
    qk_interleaved: false,
    layers: Array.from({ length: layers }, (_, i) => ({
      input_layernorm: constant(`${i}.input`, 8000),
      post_attention_layernorm: constant(`${i}.post`, 12000),
      q_proj: matrix(`${i}.q`, 32),
      k_proj: matrix(`${i}.k`, 16),
      v_proj: matrix(`${i}.v`, 16),
      o_proj: matrix(`${i}.o`, 32),
      router: constant(`${i}.router`, 4000),
      experts: Array.from({ length: 4 }, (_, e) => expert(i, e)),
    })),
  } as unknown as MixtralWeights;
}

/** Every stretch of a bank that the plan gives to something. */
function stretches(plan: WeightPlan): { bank: number; from: number; to: number; what: string }[] {
  return [
    ...plan.constants.map(({ bank, address, from }) => ({
      bank,
      from: address,
      to: address + from.rows * from.cols * 4,
      what: from.name,
    })),
    ...plan.orders.map(({ bank, address, order }) => ({
      bank,
      from: address,
      to: address + order.byteLength,
      what: "an order",
    })),
    ...plan.made.map(({ bank, address, from }) => ({ bank, from: address, to: address + from.bytes, what: from.name })),
    ...plan.segments.map(({ bank, address, bytes, offset }) => ({
      bank,
      from: address,
      to: address + bytes,
      what: `bytes from ${offset}`,
    })),
  ].sort((a, b) => a.bank - b.bank || a.from - b.from);
}

test("banks hold what they can hold, and nothing stands on anything else", () => {
  const counts = new Set<number>();
  for (let seed = 1; seed <= 6; seed++) {
    const model = weights(seed, 5);
    const shape = { layers: model.layers.map(() => ({})) } as any;
    for (let capacity = 500_000; capacity < 2_000_000; capacity += 7_001) {
      let plan: WeightPlan;
      try {
        plan = planWeights(shape, model, LOW, PAGE, capacity, true);
      } catch (error) {
        assert.instance(error, MemoryError);
        continue;
      }
      counts.add(plan.bank_bytes.length);
      const all = stretches(plan);
      for (const [i, { bank, from, to, what }] of all.entries()) {
        assert.ok(from >= LOW && to <= plan.bank_bytes[bank], `${what} of bank ${bank}: [${from}, ${to})`);
        const before = all[i - 1];
        if (before?.bank === bank) assert.ok(before.to <= from, `${what} begins within ${before.what}`);
      }
      for (const [bank, bytes] of plan.bank_bytes.entries())
        assert.ok(bytes <= capacity, `seed ${seed}: bank ${bank} has ${bytes} bytes of ${capacity}`);
    }
  }
  assert.ok(counts.size > 3, `${[...counts]} banks`);
});

test("what fits one bank is in one, and a unit that fits none is refused by name", () => {
  const model = weights(1, 5);
  const shape = { layers: model.layers.map(() => ({})) } as any;
  assert.is(planWeights(shape, model, LOW, PAGE, 1 << 26, true).bank_bytes.length, 1);
  assert.throws(
    () => planWeights(shape, model, LOW, PAGE, LOW + 60_000, true),
    (error: unknown) => error instanceof MemoryError && /embedding and head: needs \d+ bytes/.test(error.message),
  );
});

test.run();
