// What a profile makes of the threads' records: means of their times, rates of all of them, a trace.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import type { PhaseName, PhaseRecord } from "../../src/model/phases.ts";
import { Profile } from "../../src/model/profile.ts";
import type { Job, JobResult } from "../../src/model/step.ts";

const step = (rows: number, sequences: number, lane = 1) =>
  ({ type: "step", step: { rows, lane, sequences: Array.from({ length: sequences }) } }) as unknown as Job & {
    type: "step";
  };
const record = (phase: PhaseName, layer: number, start: number, busy: number, waited: number, bytes = 0, macs = 0) =>
  ({ phase, layer, start, busy, waited, bytes, macs }) satisfies PhaseRecord;
const results = (...threads: PhaseRecord[][]): JobResult[] => threads.map((phases) => ({ complete: true, phases }));

test("sums by phase and by layer, of tokens and of prompts", () => {
  const profile = new Profile(2);
  const decode = (start: number) =>
    results(
      [
        record("embed", -1, start, 1, 1),
        record("o", 0, start + 2, 3, 1, 4e6, 8e6),
        record("o", 1, start + 6, 2, 0, 2e6),
      ],
      [record("embed", -1, start, 2, 0), record("o", 0, start + 2, 1, 3, 2e6, 0), record("o", 1, start + 6, 1, 1, 2e6)],
    );
  profile.add(step(2, 2), decode(100));
  profile.add(step(1, 1), decode(200));
  profile.add(step(30, 2), results([record("head", -1, 300, 10, 0)], [record("head", -1, 301, 4, 6)]));
  assert.equal(profile.count("decode"), { steps: 2, rows: 3 });
  assert.equal(profile.count("prefill"), { steps: 1, rows: 30 });
  const [embed, o] = profile.byPhase("decode");
  // 6e6 bytes in layer 0 and 4e6 in layer 1, twice; busy 4 + 3 and waiting 4 + 1 of both threads, twice.
  assert.equal(embed, { name: "embed", count: 2, busy_ms: 3, waited_ms: 1, gb_per_s: 0, gmac_per_s: 0 });
  assert.equal([o.name, o.count, o.busy_ms, o.waited_ms], ["o", 4, 7, 5]);
  assert.ok(Math.abs(o.gb_per_s - 20e6 / 0.012 / 1e9) < 1e-12);
  assert.ok(Math.abs(o.gmac_per_s - 16e6 / 0.012 / 1e9) < 1e-12);
  const layers = profile.byLayer("decode");
  assert.equal(
    layers.map(({ name, count, busy_ms, waited_ms }) => [name, count, busy_ms, waited_ms]),
    [
      ["rest", 2, 3, 1],
      ["layer 0", 2, 4, 4],
      ["layer 1", 2, 3, 1],
    ],
  );
  assert.equal(
    profile.byPhase("prefill").map(({ name, busy_ms }) => [name, busy_ms]),
    [["head", 7]],
  );
});

test("a chunk that came in parts is one step", () => {
  const profile = new Profile(1);
  profile.add(step(100, 1, 0), results([record("o", 0, 0, 5, 0)]));
  profile.add(step(1, 1), results([record("o", 0, 5, 1, 0)]));
  profile.add({ type: "resume" }, results([record("o", 0, 6, 7, 0)]));
  assert.equal(profile.count("prefill"), { steps: 1, rows: 100 });
  assert.is(profile.byPhase("prefill")[0].busy_ms, 12);
  assert.is(profile.byPhase("decode")[0].busy_ms, 1);
});

test("the trace: microseconds from the first phase on, each phase and the wait behind it, of 200 steps at most", () => {
  const profile = new Profile(2);
  profile.add(step(1, 1), results([record("o", 3, 1000.5, 2, 0.5, 10, 20)], [record("o", 3, 1000.25, 1, 1.75)]));
  const { traceEvents } = profile.trace() as { traceEvents: Record<string, unknown>[] };
  const base = { ph: "X", pid: 1, cat: "decode" };
  const args = { layer: 3, rows: 1 };
  assert.equal(traceEvents, [
    { ...base, tid: 0, name: "o", ts: 250, dur: 2000, args: { ...args, bytes: 10, macs: 20 } },
    { ...base, tid: 0, name: "wait", ts: 2250, dur: 500 },
    { ...base, tid: 1, name: "o", ts: 0, dur: 1000, args: { ...args, bytes: 0, macs: 0 } },
    { ...base, tid: 1, name: "wait", ts: 1000, dur: 1750 },
  ]);
  for (let i = 0; i < 250; i++) profile.add(step(1, 1), results([record("o", 0, 2000, 1, 0)]));
  assert.is((profile.trace() as { traceEvents: unknown[] }).traceEvents.length, 4 + 199 * 2);
});

test("a token multiplies by every weight once: bytes and products of a model whose experts are all picked", async () => {
  const shape = {
    vocab_size: 64,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_local_experts: 2,
    num_experts_per_tok: 2,
  };
  await using model = await MixtralForCausalLM.from_config(shape, { threads: 2, profile: true });
  await model({ input_ids: [[5]], use_cache: false });
  const { traceEvents } = model.profile!.trace() as {
    traceEvents: { name: string; args?: { layer: number; bytes: number; macs: number } }[];
  };
  const phases = traceEvents.flatMap(({ name, args }) => (args ? [{ name, ...args }] : []));
  const sum = (of: "bytes" | "macs") => phases.reduce((total, phase) => total + phase[of], 0);
  const weights = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 2 * 3 * 32 * 48) + 64 * 32;
  assert.equal([sum("bytes"), sum("macs")], [4 * weights, weights]);
  for (const { name, layer } of phases)
    assert.is(layer < 0, ["embed", "head", "head norm", "outputs"].includes(name), `${name}: layer ${layer}`);
});

test.run();
