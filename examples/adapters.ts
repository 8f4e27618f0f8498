// Two LoRA adapters beside one model: one for all calls, others by call and by row, and both merged into a checkpoint.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AutoModelForCausalLM, merge } from "tramontane";

const folder = "tests/fixtures/lora"; // a small random model, and adapters that PEFT has written for it
const [style, facts] = [`${folder}/experts_fused`, `${folder}/head_and_embedding_lora`];
await using model = await AutoModelForCausalLM.from_pretrained(`${folder}/base`);
await model.load_adapter(style, { adapter_name: "style" });
await model.load_adapter(facts, { adapter_name: "facts", scale: 0.5 });
model.set_adapter("style");

const prompt = [133, 89, 70, 89, 50];
const settings = { max_new_tokens: 8, pad_token_id: 0 };
const answer = async (options: object) => {
  const ids = await model.generate({ ...settings, input_ids: prompt, ...options });
  return ids[0].slice(prompt.length).tolist().join(" ");
};
console.log("the active one", await answer({}));
console.log("none          ", await answer({ adapter: null }));
console.log("both, added up", await answer({ adapter: ["style", "facts"] }));

// Rows of one batch with different adapters.
const rows = [prompt, prompt, prompt];
const ids = await model.generate({ ...settings, input_ids: rows, adapter_names: ["style", "__base__", "facts"] });
for (const row of ids) console.log("a row         ", row.slice(prompt.length).tolist().join(" "));
await model.delete_adapter(["style", "facts"]);

const out = mkdtempSync(join(tmpdir(), "merged-"));
await merge(`${folder}/base`, [style, { path: facts, scale: 0.5 }], out, { dtype: "f32" });
await using merged = await AutoModelForCausalLM.from_pretrained(out);
const same = await merged.generate({ ...settings, input_ids: prompt });
console.log("merged        ", same[0].slice(prompt.length).tolist().join(" "));
rmSync(out, { recursive: true });
