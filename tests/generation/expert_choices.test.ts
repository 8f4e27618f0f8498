// experts_callback: what generate tells of each token is what the router's logits of the whole sequence say.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type ExpertChoices,
  type GenerateInputs,
  MistralForCausalLM,
} from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";

const model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
const tokenizer = await AutoTokenizer.from_pretrained(demo);
tokenizer.pad_token = "<unk>";
tokenizer.padding_side = "left";
const [layers, experts, k] = [6, 8, 2];

/** What the layers choose for the tokens of a row, by a forward pass: the rule of Hugging Face's MixtralSparseMoeBlock. */
async function routed(ids: readonly number[]): Promise<{ experts: number[]; weights: number[] }[]> {
  const { router_logits } = await model({ input_ids: [[...ids]], output_router_logits: true });
  return ids.map((_, position) => {
    const chosen: { experts: number[]; weights: number[] } = { experts: [], weights: [] };
    for (const logits of router_logits!) {
      const row = [...(logits.data as Float32Array).subarray(position * experts, (position + 1) * experts)];
      const most = Math.max(...row);
      const order = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, k);
      const shares = order.map((expert) => Math.exp(row[expert] - most));
      const sum = shares.reduce((a, b) => a + b);
      chosen.experts.push(...order);
      chosen.weights.push(...shares.map((share) => share / sum));
    }
    return chosen;
  });
}

async function check(inputs: GenerateInputs, rows: number): Promise<void> {
  const told: ExpertChoices[] = [];
  const output = await model.generate({
    ...inputs,
    max_new_tokens: 20,
    min_new_tokens: 20,
    experts_callback: (choices) => void told.push(choices),
  });
  const sequences = output.tolist() as number[][];
  assert.is(sequences.length, rows);
  const mask = inputs.attention_mask as { tolist(): number[][] } | undefined;
  for (const [row, ids] of sequences.entries()) {
    const mine = told.filter((choices) => choices.row === row);
    const from = ids.length - 20;
    assert.equal(
      mine.map(({ position }) => position),
      Array.from({ length: 19 }, (_, i) => from + i),
      "all but the last",
    );
    const padding = mask ? Math.max(0, mask.tolist()[Math.min(row, mask.tolist().length - 1)].indexOf(1)) : 0;
    const expected = await routed(ids.slice(padding));
    for (const { position, token, experts, weights } of mine) {
      assert.is(token, ids[position]);
      const wanted = expected[position - padding];
      assert.equal([...experts], wanted.experts, `row ${row}, position ${position}`);
      assert.is(weights.length, layers * k);
      for (const [i, weight] of weights.entries()) assert.ok(Math.abs(weight - wanted.weights[i]) < 1e-6);
    }
  }
}

test("greedy, one row", () => check(tokenizer("My favourite condiment is"), 1));

test("sampled, two rows with padding", () =>
  check(
    {
      ...tokenizer(["My favourite condiment is", "Count with me: three"], { padding: true }),
      do_sample: true,
      seed: 3,
    },
    2,
  ));

test("several answers to a prompt, and a function of the caller's among the processors", () =>
  check(
    {
      ...tokenizer("Mustard"),
      ...{ do_sample: true, temperature: 2, seed: 5, num_return_sequences: 3 },
      logits_processor: [(_ids, logits) => logits],
    },
    3,
  ));

test("an answer that ends by itself tells of all tokens but the last", async () => {
  const told: number[] = [];
  const chat = tokenizer.apply_chat_template([{ role: "user", content: "What is pesto made of?" }], {
    add_generation_prompt: true,
  });
  const output = await model.generate({
    ...chat,
    max_new_tokens: 60,
    experts_callback: ({ token }) => void told.push(token),
  });
  const [prompt] = chat.input_ids.tolist() as number[][];
  const [ids] = output.tolist() as number[][];
  assert.equal(told, ids.slice(prompt.length, -1));
});

test("it is refused where it means nothing", async () => {
  const inputs = tokenizer("Mustard");
  const experts_callback = () => {};
  for (const more of [{ num_beams: 2 }, { prompt_lookup_num_tokens: 4 }])
    assert.match(
      (await failure(model.generate({ ...inputs, ...more, experts_callback }))).message,
      /^experts_callback: expected num_beams 1/,
    );
  assert.match(
    (await failure(model.generate({ ...inputs, experts_callback: 3 as never }))).message,
    /^experts_callback: expected a function/,
  );
  const shape = { vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 };
  const dense = await MistralForCausalLM.from_config(
    { ...shape, num_attention_heads: 4, num_key_value_heads: 2 },
    { seed: 7 },
  );
  assert.match(
    (await failure(dense.generate({ input_ids: [[1]], experts_callback }))).message,
    /expected a mixture of experts/,
  );
  await dense.dispose();
});

test.after(() => model.dispose());

test.run();
