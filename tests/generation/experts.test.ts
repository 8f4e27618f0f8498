// Which experts were chosen for each new token: those of transformers' router logits, and of the forward pass over the whole
// answer where the host chooses tokens. expert_choices.test.ts has the ways in which the threads do.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ExpertChoices, type GenerateInputs, MixtralForCausalLM, Tensor } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture, json, safetensors } from "../fixtures.ts";

const ids = Array.from({ length: 9 }, (_, i) => (i * 37 + 5) % 100);

/** The two experts that router logits (rows, experts) choose at a position, and what each counts. */
function chosen(logits: Tensor, position: number): { experts: number[]; weights: number[] } {
  const row = Array.from(logits.row(position).data as Float32Array);
  const experts = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, 2);
  const powers = experts.map((expert) => Math.exp(row[expert] - row[experts[0]]));
  const sum = powers.reduce((a, b) => a + b);
  return { experts, weights: powers.map((power) => power / sum) };
}

/** Compares what was told of a row with the forward pass over its tokens. */
async function compare(model: MixtralForCausalLM, row: number[], told: readonly ExpertChoices[], prompt: number) {
  const { router_logits } = await model({ input_ids: [row], output_router_logits: true });
  assert.equal(
    told.map(({ position }) => position),
    Array.from({ length: row.length - prompt - 1 }, (_, i) => prompt + i),
  );
  for (const { position, token, experts, weights } of told) {
    assert.is(token, row[position]);
    const expected = router_logits!.map((logits) => chosen(logits, position));
    assert.equal(
      Array.from(experts),
      expected.flatMap((layer) => layer.experts),
    );
    // Float32's rounding of numbers up to 1.
    for (const [i, weight] of expected.flatMap((layer) => layer.weights).entries())
      assert.ok(Math.abs(weights[i] - weight) < 1e-6, `${weights[i]} and ${weight}`);
  }
}

const ways: Record<string, GenerateInputs> = {
  "with a processor": { logits_processor: (_ids, scores) => scores },
  "with guidance": { guidance_scale: 1.5, negative_prompt_ids: [[7, 8, 9]] },
};

for (const [name, options] of Object.entries(ways))
  test(`one row: ${name}`, async () => {
    await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 2 });
    const told: ExpertChoices[] = [];
    const experts_callback = (choices: ExpertChoices) => void told.push(choices);
    const inputs = { input_ids: [ids], max_new_tokens: 12, eos_token_id: -1, experts_callback, ...options };
    const [row] = ((await model.generate(inputs)) as Tensor).tolist() as number[][];
    assert.is(told.length, 11);
    await compare(model, row, told, ids.length);
  });

test("those of transformers' router logits, for an answer that is laid down", async () => {
  const { plain } = json("fixtures/hf/base/inputs.json");
  const { tensors } = safetensors(fixture("fixtures/hf/base/expected.safetensors"));
  await using model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"));
  const rows: number[][] = plain.input_ids;
  const told: ExpertChoices[] = [];
  await model.generate({
    ...{ input_ids: rows.map((row) => row.slice(0, 5)), max_new_tokens: 12, eos_token_id: -1 },
    prefix_allowed_tokens_fn: (row: number, sent: readonly number[]) => [rows[row][sent.length]],
    experts_callback: (choices) => void told.push(choices),
  });
  assert.is(told.length, 2 * 11);
  for (const { row, position, token, experts, weights } of told) {
    assert.is(token, rows[row][position]);
    for (const layer of [0, 1]) {
      const { data, shape } = tensors[`plain.router_logits.${layer}`];
      const logits = new Tensor("float32", data as Float32Array, shape);
      const expected = chosen(logits, row * 17 + position);
      assert.equal(Array.from(experts.slice(2 * layer, 2 * layer + 2)), expected.experts);
      // Logits are within 1e-5 of transformers' (tests/model); so are these.
      for (const i of [0, 1]) assert.ok(Math.abs(weights[2 * layer + i] - expected.weights[i]) < 1e-5);
    }
  }
});

test("streams tell, too, and what the callback throws ends the call", async () => {
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
  let told = 0;
  const experts_callback = () => void told++;
  const seen: number[] = [];
  for await (const id of model.stream({ input_ids: ids, max_new_tokens: 6, eos_token_id: -1, experts_callback }))
    seen.push(id as number);
  assert.equal([seen.length, told], [6, 5]);
  const own = new RangeError("mine");
  for (const callback of [
    () => {
      throw own;
    },
    () => Promise.reject(own),
  ])
    assert.is(
      await failure(model.generate({ input_ids: ids, max_new_tokens: 6, experts_callback: callback }) as never),
      own,
    );
});

test.run();
