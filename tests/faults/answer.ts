// What the tests of faults ask of a model: its answer to one prompt, which is known.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MixtralForCausalLM } from "../../src/index.ts";
import { demo } from "../fixtures.ts";

interface Greedy {
  input_ids: number[];
  new_ids: number[];
}

/** A prompt and the first tokens of the demo model's answer, as transformers gave them. */
const [{ input_ids, new_ids }] = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"))
  .greedy as Greedy[];
const count = Math.min(4, new_ids.length);
export const prompt = input_ids;
export const expected = [...input_ids, ...new_ids.slice(0, count)];

/** Prompt and answer of a model that should be the demo model. */
export async function answer(model: MixtralForCausalLM, signal?: AbortSignal): Promise<number[]> {
  return (await model.generate({ input_ids: prompt, max_new_tokens: count, signal })).tolist()[0];
}
