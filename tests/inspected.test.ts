// console.log shows models and what belongs to them in a line each.
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoTokenizer, MixtralForCausalLM, TextGenerationPipeline } from "../src/index.ts";
import { demo } from "./fixtures.ts";

test("a model, its tokenizer, a cache, a pipeline", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  await using model = await MixtralForCausalLM.from_pretrained(demo, { threads: 1 });
  const cache = model.create_cache(2);
  const lines = [model, tokenizer, cache, new TextGenerationPipeline(model, tokenizer), [model]].map((object) =>
    inspect(object),
  );
  const { mapped } = model.info();
  const said = `MixtralForCausalLM { ${demo}, 6 layers, BF16, 1 thread, ${mapped ? "mapped" : "read"} }`;
  assert.is(lines[0], said);
  assert.match(lines[1], /^Tokenizer { .*tokenizer\.json, 1536 tokens }$/);
  assert.is(lines[2], "KeyValueCache { 2 rows of 0 tokens }");
  assert.is(lines[3], `TextGenerationPipeline { MixtralForCausalLM, ${demo} }`);
  assert.is(lines[4].replace(/\s+/g, " "), `[ ${said} ]`);
  await model.dispose();
  assert.is(inspect(model), said, "after its end, too");
});

test.run();
