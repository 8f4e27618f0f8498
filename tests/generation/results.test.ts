// What generate gives back beside the tokens: log-probabilities of the likeliest, why rows ended, what it took; guidance.
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { InterruptableStoppingCriteria, MixtralForCausalLM } from "../../src/index.ts";
import { fixture } from "../fixtures.ts";
import { sameBits } from "../model/compare.ts";

const model = await MixtralForCausalLM.from_pretrained(fixture("fixtures/hf/base"), { threads: 2 });
test.after(() => model.dispose());
const input_ids = [
  [5, 90, 33, 12],
  [17, 4, 60, 8],
];
type WithDict = GenerateInputs & { return_dict_in_generate: true };
const generate = async (more: Partial<GenerateInputs>) => {
  const { past_key_values, ...rest } = await model.generate({
    input_ids,
    max_new_tokens: 12,
    ...more,
    return_dict_in_generate: true,
  } as WithDict);
  past_key_values?.dispose();
  return rest;
};

test("top_logprobs: of what the model gave, whoever chooses, whatever the processors make of it", async () => {
  for (const more of [
    {},
    { do_sample: true, seed: 3, temperature: 0.5, top_k: 5 },
    { logits_processor: () => {} },
    { suppress_tokens: [1, 2, 3], output_logits: true },
  ] as Partial<GenerateInputs>[]) {
    const settings = { ...more, output_logits: true };
    const { sequences, logits, logprobs } = await generate({ ...settings, top_logprobs: 3 });
    const ids = sequences.tolist() as number[][];
    for (const [row, steps] of logprobs!.entries()) {
      for (const [step, { token, logprob, top }] of steps.entries()) {
        assert.is(token, ids[row][4 + step]);
        const values = Array.from(logits![step].row(row).data as Float32Array, Number);
        const norm = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
        assert.ok(Math.abs(logprob - (values[token] - norm)) < 1e-6);
        const best = [...values.keys()].sort((a, b) => values[b] - values[a] || a - b).slice(0, 3);
        assert.equal(
          top.map((each) => each.token),
          best,
        );
        for (const each of top) assert.ok(Math.abs(each.logprob - (values[each.token] - norm)) < 1e-6);
      }
    }
    assert.equal((await generate(more)).logprobs, undefined);
  }
  assert.equal((await generate({ top_logprobs: 0 })).logprobs![0][0].top, []);
});

test("finish_reasons and timings", async () => {
  const { sequences } = await generate({});
  const [a, b] = sequences.tolist() as number[][];
  const first = a[6];
  assert.ok(b.slice(4).indexOf(first) !== 2);
  const ended = await generate({ eos_token_id: first, pad_token_id: 0 });
  assert.equal(ended.finish_reasons[0], "stop");
  assert.equal((await generate({ eos_token_id: first, max_new_tokens: 1 })).finish_reasons, ["length", "length"]);
  const limited = await generate({ max_time: 1e-9 });
  assert.equal(limited.finish_reasons, ["length", "length"]);
  const stopped = await generate({ stopping_criteria: (ids) => ids.map((_, row) => row === 1) });
  assert.equal(stopped.finish_reasons, ["length", "stop"]);
  const both = await generate({ max_new_tokens: 3, eos_token_id: first });
  assert.equal(both.finish_reasons[0], "stop", "an end at the limit is an end");
  const { timings } = await generate({});
  assert.is(timings.prompt_tokens, 8);
  assert.is(timings.new_tokens, 24);
  assert.ok(timings.prompt_ms > 0 && timings.generate_ms > 0);
});

test("a call that is interrupted from outside gives back what there is, the same tokens as without", async () => {
  const whole = (await generate({})).sequences.tolist() as number[][];
  const stop = new InterruptableStoppingCriteria();
  let told = 0;
  const streamer = {
    put: () => void (++told === 4 && stop.interrupt()), // the prompts, then three tokens
    end: () => {},
  };
  const { sequences, finish_reasons } = await generate({ stopping_criteria: [stop], streamer });
  const [row] = sequences.tolist() as number[][];
  // The step that is under way may be among them, of some rows.
  assert.ok(row.length >= 7 && row.length <= 9, `${row.length} tokens`);
  const first = (rows: number[][]) => rows.map((ids) => ids.slice(0, 7));
  assert.equal(first(sequences.tolist()), first(whole));
  assert.equal(finish_reasons, ["stop", "stop"]);
  assert.is((await generate({ stopping_criteria: stop })).sequences.dims[1], 5, "it stays interrupted");
  stop.reset();
  assert.equal((await generate({ stopping_criteria: stop })).sequences.tolist(), whole);
});

test("guidance: a scale of 1 is none; each row equals the row alone; the host's and several answers", async () => {
  const guided = {
    guidance_scale: 2,
    negative_prompt_ids: [
      [9, 9],
      [40, 2],
    ],
    output_scores: true,
  };
  const together = await generate(guided);
  for (const row of [0, 1]) {
    const alone = await generate({
      ...guided,
      input_ids: [input_ids[row]],
      negative_prompt_ids: [guided.negative_prompt_ids[row]],
    });
    assert.equal((alone.sequences.tolist() as number[][])[0], (together.sequences.tolist() as number[][])[row]);
    for (const [i, scores] of alone.scores!.entries())
      assert.ok(sameBits(scores.data as Float32Array, together.scores![i].row(row).data as Float32Array));
  }
  assert.equal((await generate({ guidance_scale: 1 })).sequences.tolist(), (await generate({})).sequences.tolist());
  const drawn = { guidance_scale: 1.5, do_sample: true, seed: 8, input_ids: [input_ids[0]], top_k: 0 };
  const three = (await generate({ ...drawn, num_return_sequences: 3 })).sequences.tolist() as number[][];
  assert.equal(three[0], ((await generate(drawn)).sequences.tolist() as number[][])[0]);
  assert.ok(new Set(three.map(String)).size > 1);
  const beams = await generate({ guidance_scale: 1.5, num_beams: 3 });
  const other = await generate({ guidance_scale: 1.5, num_beams: 3, input_ids: [input_ids[1]] });
  const row = (other.sequences.tolist() as number[][])[0];
  assert.equal((beams.sequences.tolist() as number[][])[1].slice(0, row.length), row);
  assert.is(model.info().cache_bytes, 0);
});

test.run();
