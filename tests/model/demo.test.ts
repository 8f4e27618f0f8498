// The demo model against transformers: greedy ids and text, one answer of 600 tokens far past its window of 256, and all
// 49 facts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM, AutoTokenizer, type CausalLM, type Message, pipeline } from "../../src/index.ts";
import { demo, fixture, hasFixture, safetensors } from "../fixtures.ts";

const expected = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
const { tensors } = safetensors(join(demo, "expected", "expected.safetensors"));
const tokenizer = await AutoTokenizer.from_pretrained(demo);
let model: CausalLM;

test.before(async () => {
  model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
});
test.after(() => model.dispose());

for (const given of expected.greedy) {
  test(`greedy ${given.name}`, async () => {
    if (given.prompt !== undefined) assert.equal(tokenizer.encode(given.prompt), given.input_ids);
    const out = await model.generate({
      input_ids: given.input_ids,
      ...(given.generate ?? {}),
      max_new_tokens: given.max_new_tokens,
      return_dict_in_generate: true,
      output_logits: true,
    });
    out.past_key_values!.dispose();
    const ids = out.sequences.tolist()[0].slice(given.input_ids.length);
    assert.equal(ids, given.new_ids);
    assert.equal(tokenizer.decode(ids, { skip_special_tokens: true }), given.text);
    const logits = tensors[`${given.name}.logits`];
    if (!logits) return;
    const last = (await model({ input_ids: given.input_ids, logits_to_keep: 1, use_cache: false })).logits.data;
    const difference = Math.max(
      ...Array.from(logits.data as Float32Array, (value, i) => Math.abs(value - Number(last[i]))),
    );
    assert.ok(difference <= 1e-4, `the prompt's last logits differ by ${difference}`);
  });
}

async function checkFacts(path: string): Promise<void> {
  const generator = await pipeline("text-generation", path, { threads: 2 });
  const chats: Message[][] = expected.facts.map(({ ask }: { ask: string }) => [{ role: "user", content: ask }]);
  const answers = await generator(chats, { max_new_tokens: 60 });
  await generator.dispose();
  const wrong = expected.facts.filter(({ answers: right }: { answers: string[] }, i: number) => {
    const text = answers[i][0].generated_text.at(-1)!.content;
    return !right.some((start) => text.startsWith(start));
  });
  assert.equal(wrong, []);
  assert.is(expected.facts.length, 49);
}

test("all 49 facts", () => checkFacts(demo));

// The GGUF form is not shipped: 12 MB. Its tokenizer and chat template come from its own metadata.
if (hasFixture("models/demo/demo-Q8_0.gguf")) {
  test("all 49 facts from the Q8_0 GGUF", () => checkFacts(fixture("models/demo/demo-Q8_0.gguf")));
}

test.run();
