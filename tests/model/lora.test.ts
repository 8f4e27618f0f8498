// LoRA adapters against PEFT: every folder of fixtures/lora. Tolerance 1e-3 on logits of up to 10, as the fixtures' README
// says: PEFT's own forward pass and its merged weights differ by up to 2e-4.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MixtralForCausalLM } from "../../src/index.ts";
import { fixture, fixturesFrom, hasFixture, json, safetensors } from "../fixtures.ts";
import { largestDifference } from "./compare.ts";

const TOLERANCE = 1e-3;

const all = [
  ...["q_v", "patterns", "rslora", "one_layer", "head_and_embedding_saved", "head_and_embedding_lora"],
  ...["experts_fused", "experts_parameters", "all_linear"],
  ...["experts_v4", "w2_and_gate_v4", "w1_v4", "some_experts_v4", "experts_rslora_v4"],
];
const folders = all.filter((name) => hasFixture(`fixtures/lora/${name}`));
assert.is(folders.length, fixturesFrom === "../shared" ? all.length : 4);
const base = fixture("fixtures/lora/base");
const adapterAt = (name: string) => fixture(`fixtures/lora/${name}`);

let worst = { difference: 0, where: "" };

for (const name of folders) {
  test(`${name}: logits and greedy ids`, async () => {
    const { tensors } = safetensors(fixture(`fixtures/lora/${name}/expected.safetensors`));
    const { input_ids, greedy } = json(`fixtures/lora/${name}/expected.json`);
    await using model = await MixtralForCausalLM.from_pretrained(base, { threads: 2 });
    await model.load_adapter(adapterAt(name));
    const { logits } = await model({ input_ids, use_cache: false });
    for (const which of ["logits", "logits_merged", "logits_explicit"].filter((key) => key in tensors)) {
      const difference = largestDifference(logits, tensors[which]);
      if (difference > worst.difference) worst = { difference, where: `${name}, ${which}` };
      assert.ok(difference <= TOLERANCE, `${which}: differs by ${difference}, allowed ${TOLERANCE}`);
    }
    const out = await model.generate({ input_ids, max_new_tokens: 10, eos_token_id: 2, pad_token_id: 0 });
    assert.equal(out.tolist(), greedy);
    const without = await model({ input_ids, use_cache: false, adapter: null });
    assert.ok(largestDifference(without.logits, tensors.logits_without) <= TOLERANCE, "without the adapter");
  });
}

test("report", () => {
  console.log(`# largest difference from PEFT: ${worst.difference.toExponential(1)} (${worst.where})`);
  assert.ok(worst.difference > 0);
});

test.run();
