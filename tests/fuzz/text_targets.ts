// Mutants of what tokenizers are made of: tokenizer.json, tokenizer.model, a GGUF's vocabulary, the config files beside them,
// chat templates. What loads must also encode, decode and render.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Repository } from "../../src/checkpoint/repository.ts";
import { TramontaneError } from "../../src/errors.ts";
import { renderChatTemplate } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import { parse_tool_calls } from "../../src/text/tool_calls.ts";
import { demo, fixture, json, root } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";
import { type Draw, mutateBytes, mutateJSON, mutateTemplate } from "./mutate.ts";
import type { Target } from "./targets.ts";

const text = "Basil pesto 🦩 <s> </s>\n\tà la carte";
const messages = [
  { role: "user", content: "What is pesto made of?" },
  { role: "assistant", content: "Basil." },
  { role: "user", content: "And?" },
];

/** Null, or the message of an ordinary error. */
async function ordinary(run: () => Promise<unknown> | unknown): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    if (error instanceof TramontaneError) return error.message;
    throw error;
  }
}

const uses = (repository: Repository) =>
  ordinary(async () => {
    const tokenizer = await loadTokenizer(repository);
    const ids = tokenizer.encode(text);
    tokenizer.decode(ids);
    const stream = tokenizer.decode_stream();
    for (const id of ids) stream.push(id);
    stream.end();
    parse_tool_calls(tokenizer.decode(ids));
    await ordinary(() => tokenizer.parse_tool_calls(tokenizer.encode_messages(messages)));
    if (tokenizer.chat_template) tokenizer.apply_chat_template(messages, { add_generation_prompt: true });
  });

const read = (name: string) => readFileSync(join(demo, name));
const config = JSON.parse(read("tokenizer_config.json").toString());
const template = json("tokenizers/chat.json").templates;
const tokenizer = smallTokenizer();

/** The demo's tokenizer with its first 100 merges: a mutation in a thousand tokens would seldom meet one that matters. */
function smallTokenizer(): string {
  const file = JSON.parse(read("tokenizer.json").toString());
  const merges: (string | [string, string])[] = file.model.merges.slice(0, 100);
  const parts = merges.flatMap((merge) => (typeof merge === "string" ? merge.split(" ") : merge));
  const made = merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge).join(""));
  const needed = new Set([...parts, ...made]);
  const kept = (token: string) => /^<.*>$/.test(token) || needed.has(token) || [...token].length === 1;
  file.model.vocab = Object.fromEntries(
    Object.entries(file.model.vocab as Record<string, number>).filter(([token]) => kept(token)),
  );
  file.model.merges = merges;
  return JSON.stringify(file);
}

const folder = (files: Record<string, string | Uint8Array>) =>
  uses(memoryFiles({ "tokenizer.json": tokenizer, "tokenizer_config.json": JSON.stringify(config), ...files }));

const tekken = (name: string) => readFileSync(join(root, "tests", "text", "tekken_small", name), "utf8");
const tekkenFile = fewTokens();

/** The small file with its first 300 tokens, so that half of the mutants meet something else than a token. */
function fewTokens(): string {
  const { vocab, config, special_tokens } = JSON.parse(tekken("tekken.json"));
  const sizes = { default_num_special_tokens: 40, default_vocab_size: 340, num_vocab_tokens: 300 };
  return JSON.stringify({ config: { ...config, ...sizes }, special_tokens, vocab: vocab.slice(0, 300) });
}

const gguf = new Uint8Array(readFileSync(fixture("fixtures/gguf/bad/base.gguf")));

const calls = [
  'Let me see. [TOOL_CALLS] [{"name": "wind", "arguments": {"at": [1, -2.5e3, null], "s": "\\u00e9[ARGS]"}, "id": "abcdefghi"}]</s>',
  '[TOOL_CALLS]wind[CALL_ID]abcdefghi[ARGS]{"at": "noon"}[TOOL_CALLS]rain[ARGS]{"where": {"x": true}}',
];

const signs = ["*", "+", "?", "|", "[", "]", "(?!", ")", "{0,1000}", "\\p{L}", "\\s", "[^a]", "a", "++", "\\"];

/** A file with a pattern of other signs: what is one must not take long. */
function mutatePattern(good: string, draw: Draw): string {
  const file = JSON.parse(good);
  for (let left = 1 + draw(6); left > 0; left--) {
    const at = draw(file.config.pattern.length);
    const sign = signs[draw(signs.length)];
    file.config.pattern = file.config.pattern.slice(0, at) + sign + file.config.pattern.slice(at + draw(4));
  }
  return JSON.stringify(file);
}

export const textTargets: readonly Target[] = [
  {
    name: "tokenizer.json",
    mutant: (draw) => mutateJSON(tokenizer, draw),
    open: (mutant) => folder({ "tokenizer.json": mutant }),
  },
  {
    name: "tekken.json",
    mutant: (draw) => (draw(2) ? mutateJSON(tekkenFile, draw) : mutatePattern(tekkenFile, draw)),
    open: (mutant) => uses(memoryFiles({ "tekken.json": mutant })),
  },
  {
    name: "tokenizer.json of Tekken",
    mutant: (draw) => mutateJSON(tekken("tokenizer.json"), draw),
    open: (mutant) => folder({ "tokenizer.json": mutant }),
  },
  {
    name: "answers with calls of tools",
    mutant: (draw) => mutateJSON(calls[draw(calls.length)], draw),
    open: (mutant) => ordinary(() => void parse_tool_calls(mutant as string)),
  },
  {
    name: "tokenizer.model",
    mutant: (draw) => mutateBytes(new Uint8Array(read("tokenizer.model")), 2 ** 16, draw),
    open: (mutant) => uses(memoryFiles({ "tokenizer.model": mutant })),
  },
  {
    name: "vocabulary of a GGUF",
    mutant: (draw) => mutateBytes(gguf, 2114, draw),
    open: (mutant) => uses(memoryFiles({ "m.gguf": mutant }, "m.gguf")),
  },
  {
    name: "tokenizer_config.json",
    mutant: (draw) => mutateJSON(JSON.stringify({ ...config, chat_template: template.mixtral_v01 }), draw),
    open: (mutant) => folder({ "tokenizer_config.json": mutant }),
  },
  {
    name: "chat template",
    mutant: (draw) => {
      const all = Object.values(template) as string[];
      return mutateTemplate(all[draw(all.length)], draw);
    },
    open: (mutant) =>
      ordinary(() => {
        const variables = { bos_token: "<s>", eos_token: "</s>", add_generation_prompt: true };
        renderChatTemplate(mutant as string, messages, variables);
      }),
  },
];
