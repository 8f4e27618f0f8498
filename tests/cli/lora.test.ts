// --lora and merge, as their users meet them.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fixture, json, safetensors } from "../fixtures.ts";
import { tramontane } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const base = fixture("fixtures/lora/base");
const [a, b] = ["w2_and_gate_v4", "head_and_embedding_lora"].map((name) => fixture(`fixtures/lora/${name}`));
const ids = json("fixtures/lora/w2_and_gate_v4/expected.json").input_ids[0];

/** The logits that the command prints. */
async function logits(model: string, ...adapters: string[]): Promise<number[]> {
  const lora = adapters.flatMap((adapter) => ["--lora", adapter]);
  const args = ["logits", "-m", model, "--ids", ids.join(), "--json", "--threads", "1", ...lora];
  const { status, stdout, stderr } = await tramontane(args);
  assert.is(status, 0, stderr);
  return JSON.parse(stdout).logits.flat();
}

function near(found: readonly number[], expected: ArrayLike<number>): void {
  const worst = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  assert.ok(worst <= 1e-3, `differs by ${worst}, allowed 1e-3`);
}

test("logits with an adapter are PEFT's; scales and several", async () => {
  const { tensors } = safetensors(fixture("fixtures/lora/w2_and_gate_v4/expected.safetensors"));
  near(await logits(base, a), tensors.logits.data as Float32Array);
  near(await logits(base, `${a}=1.0`), tensors.logits.data as Float32Array);
  near(await logits(base, `${a}=0`), tensors.logits_without.data as Float32Array);
  const both = await logits(base, `${a}=0.5`, b);
  const out = join(folder, "merged");
  const args = ["merge", "-m", base, "--lora", `${a}=0.5`, "--lora", b, "--dtype", "f32", out];
  const { status, stdout, stderr } = await tramontane(args);
  assert.equal([status, stdout, stderr], [0, "", `${out}: written\n`]);
  assert.equal(readdirSync(out).sort(), ["config.json", "model.safetensors"]);
  near(await logits(out), both);
  const again = await tramontane([...args, "--json"]);
  assert.is(again.status, 1);
  assert.match(again.stderr, /merged: expected nothing, where a folder is to be made/);
});

test("what is wrong is told", async () => {
  for (const [args, code, words] of [
    [["merge", "-m", base, join(folder, "x")], 2, /required option '--lora <path\[=scale\]>'/],
    [["merge", "-m", base, "--lora", a], 2, /missing required argument 'out'/],
    [["merge", "-m", base, "--lora", a, "--dtype", "q4_0", "x"], 2, /Allowed choices are f32, f16, bf16/],
    [["logits", "-m", base, "--ids", "1", "--lora", `${a}=`], 2, /expected an adapter's folder, or PATH=SCALE/],
    [["logits", "-m", base, "--ids", "1", "--lora", `${a}=much`], 1, /w2_and_gate_v4=much: .*found nothing/],
    [["logits", "-m", base, "--ids", "1", "--lora", base], 1, /adapter_config\.json: missing/],
  ] as [string[], number, RegExp][]) {
    const { status, stdout, stderr } = await tramontane(args);
    assert.equal([status, stdout], [code, ""], stderr);
    assert.match(stderr, words);
  }
});

test.run();
