// Loads the model of a path, and prints what `info` tells: for runs with other permissions than the tests'.
import process from "node:process";
import { MixtralForCausalLM } from "../../src/index.ts";

await using model = await MixtralForCausalLM.from_pretrained(process.argv[2], { threads: 2 });
await model({ input_ids: [1, 5, 6] });
console.log(JSON.stringify(model.info()));
