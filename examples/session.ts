// A conversation that is kept: each turn computes what is new. It is stored, gone on with, and a turn is taken back.
import { AutoModelForCausalLM, AutoTokenizer, ChatSession } from "tramontane";

const path = "models/demo";
const tokenizer = await AutoTokenizer.from_pretrained(path);
await using model = await AutoModelForCausalLM.from_pretrained(path);

const session = new ChatSession(model, tokenizer);
for (const question of ["What colour is ketchup?", "What is ketchup made of?"]) {
  console.log(`> ${question}`);
  for await (const text of session.send(question, { max_new_tokens: 60 })) process.stdout.write(text);
  console.log(`\n(${session.prompt_tokens} tokens, ${session.cached_tokens} of them known; ${session.finish_reason})`);
}
const stored = JSON.stringify(session.messages);
session.dispose();

const later = new ChatSession(model, tokenizer, { messages: JSON.parse(stored) });
later.undo();
console.log(await later.prompt("What is mustard made of?"));
later.dispose();
