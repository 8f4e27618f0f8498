// Deno 2: deno install, then deno run --allow-read --allow-ffi main.ts "What is pesto made of?" [MODEL].
// Without --allow-ffi the weights are read instead of mapped.
import { pipeline } from "tramontane";
import demo from "tramontane-demo";

const [content = "What is pesto made of?", path = demo] = Deno.args;
await using generator = await pipeline("text-generation", path);
const [{ generated_text }] = await generator([{ role: "user", content }], { max_new_tokens: 200 });
console.log(generated_text.at(-1)?.content);
