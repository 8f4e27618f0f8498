// Calls of transformers' that the checkpoints' own fixtures do not make: tests/fixtures/calls, whose script says how.
// Tolerances: logits 2e-4 and losses 1e-4 relative, as for those checkpoints; ids equal.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM } from "../../src/generation/auto.ts";
import { type CausalLM, MistralForCausalLM, MixtralForCausalLM } from "../../src/generation/causal_lm.ts";
import type { KeyValueCache } from "../../src/model/cache.ts";
import { fixture, root } from "../fixtures.ts";

const folder = join(root, "tests", "fixtures", "calls");
const { cases } = JSON.parse(readFileSync(join(folder, "calls.json"), "utf8"));
const logits_tolerance = 2e-4;

function checkClose(found: ArrayLike<number>, expected: readonly number[], tolerance: number, where: string): void {
  assert.is(found.length, expected.length, where);
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs(found[i] - value) <= tolerance, `${where}: value ${i} is ${found[i]}, expected ${value}`);
}

async function forward(model: CausalLM, { steps, at, expected }: any, where: string): Promise<void> {
  let cache: KeyValueCache | undefined;
  for (const [i, step] of steps.entries()) {
    const out = await model({ ...step, past_key_values: cache, use_cache: true });
    cache = out.past_key_values;
    if (i < steps.length - 1) continue;
    for (const [n, [row, column]] of at.entries())
      checkClose(
        out.logits[row][column].data as Float32Array,
        expected.logits[n],
        logits_tolerance,
        `${where}, ${row}, ${column}`,
      );
    if (expected.loss !== undefined)
      assert.ok(Math.abs(out.loss! - expected.loss) <= 1e-4 * expected.loss, `${where}: loss ${out.loss}`);
  }
  cache?.dispose();
}

async function generate(model: CausalLM, { inputs, expected }: any, where: string): Promise<void> {
  const out = await model.generate({ ...inputs, return_dict_in_generate: true, output_scores: true });
  assert.equal(out.sequences.tolist(), expected.sequences, where);
  assert.is(out.beam_indices === undefined, expected.beam_indices === undefined, where);
  if (expected.beam_indices) {
    // The reference counts the steps up to the longest beam that it has looked at, too.
    assert.equal(out.beam_indices!.tolist(), expected.beam_indices, where);
    checkClose(out.sequences_scores!.data as Float32Array, expected.sequences_scores, logits_tolerance, where);
  }
  const beams = out.beam_indices ?? null;
  const given = model.compute_transition_scores(out.sequences, out.scores!, beams, beams === null);
  for (const [row, scores] of expected.transition_scores.entries())
    checkClose(given.row(row).data as Float32Array, scores, logits_tolerance, `${where}, transition scores ${row}`);
  assert.is(out.finish_reasons.length, expected.sequences.length);
  out.past_key_values?.dispose();
}

const ways = [{ threads: 2 }, { threads: 3, chunk_size: 5, attn_implementation: "eager", simd: "plain" }] as const;
for (const name of new Set<string>(cases.map((each: any) => each.model))) {
  for (const way of ways) {
    test(`${name}, ${JSON.stringify(way)}`, async () => {
      await using model = await AutoModelForCausalLM.from_pretrained(
        name === "mistral" ? join(folder, name) : fixture(`fixtures/hf/${name}`),
        way,
      );
      assert.instance(model, name === "mistral" ? MistralForCausalLM : MixtralForCausalLM);
      for (const [i, each] of cases.entries()) {
        if (each.model !== name) continue;
        await (each.call === "forward" ? forward : generate)(model, each, `case ${i}`);
      }
      assert.is(model.info().cache_bytes, 0);
    });
  }
}

test.run();
