// The pipeline of texts and conversations: how long answers are where nobody says so, and what the template is told.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoTokenizer, InputError, MixtralForCausalLM, TextGenerationPipeline } from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";

const tokenizer = await AutoTokenizer.from_pretrained(demo);
/** A model that never ends by itself. */
const shape = {
  ...{ vocab_size: 1536, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1 },
  ...{ num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 400, eos_token_id: null },
};
const model = await MixtralForCausalLM.from_config(shape, { threads: 1, seed: 3 });
const generator = new TextGenerationPipeline(model, tokenizer);

/** Tokens of the longest sequence that criteria are asked about. */
async function tokens(input: string, options: object): Promise<number> {
  let most = 0;
  const stopping_criteria = ([ids]: number[][]) => {
    most = ids.length;
    return false;
  };
  await generator(input, { ...options, stopping_criteria });
  return most;
}

test("256 new tokens where nothing is said, or what room is left; else what is said", async () => {
  const prompt = tokenizer.encode("Hello").length;
  assert.is(await tokens("Hello", {}), prompt + 256);
  assert.is(await tokens("Hello", { max_new_tokens: 3 }), prompt + 3);
  assert.is(await tokens("Hello", { generation_config: { max_new_tokens: 4 } }), prompt + 4);
  assert.is(await tokens("Hello", { max_length: 9 }), 9);
  assert.is(await tokens("no ".repeat(150).trim(), {}), 400);
});

test("one answer for one prompt, several where they are asked for; conversations with tools and a template", async () => {
  const options = { max_new_tokens: 2, return_full_text: false };
  const [{ generated_text }] = await generator("Hello", options);
  assert.type(generated_text, "string");
  const both = await generator(["Hello", "Mustard"], { ...options, num_beams: 2, num_return_sequences: 2 });
  assert.equal(
    both.map((answers) => answers.length),
    [2, 2],
  );

  const chat_template = "{{ tools[0].name }} {{ messages[0].content }}{{ documents | length }}";
  const chat = [{ role: "user", content: "Hi" }];
  const [{ generated_text: answer }] = await generator(chat, {
    ...options,
    tools: [{ name: "f" }],
    documents: [],
    chat_template,
  });
  const ids = tokenizer.encode("f Hi0", { add_special_tokens: false });
  const wanted = (await model.generate({ input_ids: ids, max_new_tokens: 2 })).slice(null, [-2, null]);
  assert.equal(answer, [
    { role: "assistant", content: tokenizer.decode(wanted, { skip_special_tokens: true }).trim() },
  ]);
  const error = await failure(generator("Hello", { ...options, maxNewTokens: 3 } as object));
  assert.instance(error, InputError);
  assert.match(error.message, /unknown option maxNewTokens: did you mean max_new_tokens\?/);
});

test.after(() => model.dispose());
test.run();
