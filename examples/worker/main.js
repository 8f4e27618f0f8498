// A model off the main thread: node main.js "What is pesto made of?" [MODEL]. Deno and Bun run it, too.
import process from "node:process";
import demo from "tramontane-demo";
import { openModel } from "./model.js";

const [question = "What is pesto made of?", path = demo] = process.argv.slice(2);
const model = openModel(path);
for await (const text of model.ask(question)) process.stdout.write(text);
console.log();
await model.close();
