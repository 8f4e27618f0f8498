// Line ends: LF, CRLF and CR are the same wherever text is read. Standard input is in tests/cli.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { renderChatTemplate } from "../../src/text/chat_template.ts";
import { AutoTokenizer, tokenizer_from_gguf } from "../../src/text/load_tokenizer.ts";
import { demo } from "../fixtures.ts";
import { memoryFiles } from "../repositories.ts";

const ENDS = ["\n", "\r\n", "\r"];
const withEnds = (text: string, end: string) => text.replaceAll("\n", end);
const conversation = [
  { role: "user", content: "one\r\ntwo" },
  { role: "assistant", content: "three" },
];
// What a template says of line ends: in text, behind blocks, in literals, at the end (one goes). Jinja2 3.1 has them all LF.
const template =
  "a\n{%- for m in messages %}\n  {% if m.role == 'user' %}\n<{{ m.content }}>\n{% endif %}\n{% endfor %}\n{{ 'x\ny' }}\n\n";
const rendered = "a<one\r\ntwo>\nx\ny\n";

test("chat templates, wherever they come from", () => {
  for (const end of ENDS) {
    const source = withEnds(template, end);
    assert.is(renderChatTemplate(source, conversation, {}), rendered, JSON.stringify(end));
    const gguf = new Map<string, unknown>([
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "a"]],
      ["tokenizer.chat_template", source],
    ]);
    const tokenizer = tokenizer_from_gguf(gguf, "x.gguf");
    assert.is(tokenizer.apply_chat_template(conversation, { tokenize: false }), rendered);
  }
});

test("every JSON file and template of a folder", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lines-"));
  try {
    const said: unknown[] = [];
    for (const [i, end] of ENDS.entries()) {
      const path = join(folder, `${i}`);
      mkdirSync(path);
      for (const name of readdirSync(demo).filter((file) => /\.(json|jinja)$/.test(file))) {
        const text = readFileSync(join(demo, name), "utf8");
        const spread = name.endsWith(".json") ? JSON.stringify(JSON.parse(text), null, 1) : text;
        writeFileSync(join(path, name), withEnds(spread, end));
      }
      writeFileSync(join(path, "added_tokens.json"), `{${end}"<|im_end|>":${end}1536${end}}${end}`);
      const tokenizer = await AutoTokenizer.from_pretrained(path);
      const messages = [{ role: "user", content: "What is pesto made of?<|im_end|>" }];
      said.push([tokenizer.apply_chat_template(messages, { tokenize: false }), tokenizer.encode("a<|im_end|>")]);
    }
    assert.equal(said[1], said[0]);
    assert.equal(said[2], said[0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("config.json, generation_config.json and an index of shards", async () => {
  const messages: string[] = [];
  for (const end of ENDS) {
    const files = {
      "config.json": withEnds('{\n"model_type":\n"mixtral"\n}', end),
      "generation_config.json": withEnds('{\n"top_k": 3\n}', end),
      "model.safetensors.index.json": withEnds('{\n"weight_map": {\n"a": "a.safetensors"\n}\n}', end),
    };
    // Read to the end: what is missing is the shard.
    messages.push(await openCheckpoint(memoryFiles(files)).then(String, (error) => error.message));
  }
  assert.equal(new Set(messages).size, 1);
  assert.match(messages[0], /a\.safetensors: missing/);
});

test.run();
