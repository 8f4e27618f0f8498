// Settings that change nothing are told, once each; those that do are not, nor those of the model's own files.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GenerationConfig } from "../../src/config/generation_config.ts";
import type { GenerateInputs } from "../../src/generation/generate_inputs.ts";
import { idleSettings } from "../../src/generation/idle_settings.ts";
import { AutoTokenizer, MixtralForCausalLM } from "../../src/index.ts";
import { demo } from "../fixtures.ts";

/** The settings that a call sets in vain, of a model with settings of its own. */
function idle(inputs: GenerateInputs, own: object = {}, new_tokens = 20): string[] {
  const { assistant_model, top_logprobs, ...settings } = inputs;
  const { generation_config, ...call } = settings;
  return [...idleSettings(inputs, GenerationConfig.resolve(call, generation_config, own), new_tokens).keys()];
}

test("what waits for another setting", () => {
  for (const [inputs, expected] of [
    [{ temperature: 0.7, top_p: 0.9 }, ["temperature", "top_p"]],
    [{ temperature: 0.7, do_sample: true }, []],
    [{ generation_config: { min_p: 0.1 } }, ["min_p"]],
    [{ temperature: 0 }, []],
    [{ temperature: 1, top_k: 50, top_p: 1 }, []],
    [{ early_stopping: true, length_penalty: 2 }, ["length_penalty", "early_stopping"]],
    [{ early_stopping: true, length_penalty: 2, num_beams: 2 }, []],
    [{ output_scores: true }, ["output_scores"]],
    [{ output_scores: true, return_dict_in_generate: true }, []],
    [{ top_logprobs: 3 }, ["top_logprobs"]],
    [{ max_matching_ngram_size: 3 }, ["max_matching_ngram_size"]],
    [{ num_assistant_tokens: 3, prompt_lookup_num_tokens: 3 }, ["num_assistant_tokens"]],
    [{ num_assistant_tokens_schedule: "constant" }, ["num_assistant_tokens_schedule"]],
    [{ num_assistant_tokens_schedule: "constant", prompt_lookup_num_tokens: 3 }, []],
    [{ max_length: 9, max_new_tokens: 9 }, ["max_length"]],
    [{ max_length: 9 }, []],
    [{ min_new_tokens: 21 }, ["min_new_tokens"]],
    [{ min_new_tokens: 20 }, []],
  ] as [GenerateInputs, string[]][])
    assert.equal(idle(inputs), expected, JSON.stringify(inputs));
  assert.equal(idle({}, { temperature: 0.7, top_p: 0.9 }), [], "the model's own settings");
  assert.equal(idle({ temperature: 0.7 }, { do_sample: true }), [], "the model samples");
});

test("a program is told once", async () => {
  const shape = { vocab_size: 33, hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1 };
  const config = { ...shape, num_attention_heads: 1, num_key_value_heads: 1 };
  await using model = await MixtralForCausalLM.from_config(config, { threads: 1 });
  const warnings: string[] = [];
  const hear = ({ name, message }: Error) => void (name === "TramontaneWarning" && warnings.push(message));
  process.on("warning", hear);
  const call = { input_ids: [1, 2], max_new_tokens: 1, temperature: 0.5, min_new_tokens: 3 };
  await Promise.all([model.generate(call), model.generate(call)]);
  await model.generate(call);
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const options = { tools: [{ type: "function" }], documents: [] };
  tokenizer.pad_token = tokenizer.eos_token;
  tokenizer("Hi", { max_length: 5, truncation: true });
  tokenizer("Hi", { max_length: 5, padding: "max_length" });
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(warnings.length, 2, "max_length has an effect with truncation, and with such padding");
  tokenizer("One two three four", { max_length: 3 });
  for (const _ of [1, 2]) tokenizer.apply_chat_template([{ role: "user", content: "Hi" }], options);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", hear);
  assert.equal(warnings, [
    "generate: temperature has no effect without do_sample: true",
    "generate: min_new_tokens: 3 are more than there may be: 1, by max_new_tokens",
    'tokenizer: max_length has no effect without truncation: true or padding: "max_length"',
    "apply_chat_template: the template does not read tools: the model is not told of them",
  ]);
});

test.run();
