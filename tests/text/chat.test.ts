// Chat templates against transformers' apply_chat_template, and the ids of what they render.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, TokenizerError } from "../../src/errors.ts";
import { type ChatMessage, renderChatTemplate } from "../../src/text/chat_template.ts";
import { json } from "../fixtures.ts";
import { forms } from "./sources.ts";

interface Case {
  name?: string;
  template: string;
  conversation: string;
  tools?: string;
  variables?: Record<string, unknown>;
  options?: Record<string, unknown>;
  text?: string;
  error?: { raised_by_template: boolean; message?: string };
  legacy?: number[];
  metaspace_first?: number[];
  library_differs?: boolean;
}
const chat = json("tokenizers/chat.json");

process.env.TZ = "UTC";
const RealDate = Date;
class FixedDate extends RealDate {
  constructor() {
    super(`${chat.now}Z`);
  }
}

/** A case's text, or the error, as the clock of the fixtures stands. */
function outcome(c: Case, template: string, messages: ChatMessage[]): { text: string } | { error: unknown } {
  globalThis.Date = FixedDate as DateConstructor;
  try {
    const tools = c.tools === undefined ? undefined : chat.tools[c.tools];
    return {
      text: renderChatTemplate(template, messages, {
        ...chat.variables,
        ...c.variables,
        ...c.options,
        tools,
      }),
    };
  } catch (error) {
    return { error };
  } finally {
    globalThis.Date = RealDate;
  }
}

const withText = ({ content, ...message }: ChatMessage): ChatMessage => ({
  ...message,
  content: Array.isArray(content) ? content.map(({ text }) => text).join("\n") : content,
});
let foldedCases = 0;

/** Undefined where the outcome is as it should be, else what it was. */
function difference(c: Case, template: string, conversation: string): string | undefined {
  const messages: ChatMessage[] = chat.conversations[conversation];
  const result = outcome(c, template, messages);
  // Where transformers' templates fail at parts, ours get their text.
  const folded = c.error && !c.error.raised_by_template && messages.some(({ content }) => Array.isArray(content));
  const expected = folded ? outcome(c, template, messages.map(withText)) : c;
  if (folded && "text" in result) foldedCases++;
  if ("text" in result)
    return "text" in expected && result.text === expected.text ? undefined : `rendered ${JSON.stringify(result.text)}`;
  const message = (result.error as Error).message;
  if (!(result.error instanceof TokenizerError || result.error instanceof InputError))
    return `threw no error of ours: ${message}`;
  if (!c.error) return `threw ${message}`;
  return !c.error.raised_by_template || message.includes(c.error.message!) ? undefined : `threw ${message}`;
}

test("every case of every template", () => {
  const wrong: string[] = [];
  for (const c of chat.cases as Case[]) {
    const d = difference(c, chat.templates[c.template], c.conversation);
    if (d)
      wrong.push(
        `${c.template}, ${c.conversation}, ${JSON.stringify(c.options)}: ${d}, expected ${JSON.stringify(c.text ?? c.error)}`,
      );
  }
  console.log(`\n# ${chat.cases.length - wrong.length} of ${chat.cases.length} cases as transformers renders them`);
  assert.equal(wrong, []);
  assert.ok(foldedCases >= 5, `found ${foldedCases} conversations with parts for templates that know texts alone`);
});

/** What is refused although Jinja has it: filters that chat templates do not use. */
const DIFFERENT = ["rare: batch slice", "rare: format", "rare: groupby", "rare: wordcount truncate"];

test("expressions: all but those with filters that there are none of", () => {
  const found = (chat.expressions as Case[]).flatMap((c) => {
    const d = difference(c, c.template, chat.expressions_on);
    return d ? [[c.name!, d]] : [];
  });
  console.log(
    `# ${chat.expressions.length - found.length} of ${chat.expressions.length} expressions as Jinja evaluates them`,
  );
  assert.equal(found.map(([name]) => name).sort(), DIFFERENT, found.map(([name, d]) => `${name}: ${d}`).join("\n"));
});

test("the ids of rendered conversations, special tokens from the text alone", () => {
  let compared = 0;
  for (const c of chat.cases as Case[]) {
    if (!c.legacy) continue;
    for (const [form, tokenizer] of Object.entries(forms)) {
      const ids = tokenizer.encode(c.text!, { add_special_tokens: false });
      assert.equal(ids, c[form as "legacy" | "metaspace_first"], `${form}: ${c.template}, ${c.conversation}`);
      compared++;
    }
  }
  console.log(`# ${compared} rendered conversations encoded`);
  assert.ok(compared > 100);
});

test("apply_chat_template gives tensors, arrays, ids or text", () => {
  const tokenizer = forms.legacy;
  const messages = chat.conversations.four;
  const c = chat.cases.find((other: Case) => other.template === "mixtral_v01" && other.conversation === "four");
  assert.is(tokenizer.apply_chat_template(messages, { tokenize: false }), c.text);
  const { input_ids, attention_mask } = tokenizer.apply_chat_template(messages);
  assert.equal(input_ids.tolist(), [c.legacy]);
  assert.equal(attention_mask.tolist(), [c.legacy.map(() => 1)]);
  assert.equal(tokenizer.apply_chat_template(messages, { return_dict: false }).tolist(), [c.legacy]);
  assert.equal(tokenizer.apply_chat_template(messages, { return_dict: false, return_tensor: false }), c.legacy);
  assert.equal(tokenizer.apply_chat_template(messages, { return_tensor: false }).input_ids, c.legacy);
  assert.equal(
    tokenizer.apply_chat_template(messages, { truncation: true, max_length: 3, return_tensor: false }).input_ids,
    c.legacy.slice(0, 3),
  );
});

test("a template can be given as text or by name, and sees further options", () => {
  const tokenizer = forms.legacy;
  const messages = [{ role: "user", content: "hi" }];
  const own = tokenizer.chat_template;
  assert.is(
    tokenizer.apply_chat_template(messages, {
      tokenize: false,
      chat_template: "{{ eos_token }}{{ mood }}",
      mood: "calm",
    }),
    "</s>calm",
  );
  tokenizer.chat_template = { default: "plain", tool_use: "tools", rag: "documents" };
  const render = (options: object) => tokenizer.apply_chat_template(messages, { tokenize: false, ...options });
  assert.equal(
    [render({}), render({ tools: chat.tools.weather }), render({ chat_template: "rag" })],
    ["plain", "tools", "documents"],
  );
  tokenizer.chat_template = { rag: "documents" };
  assert.throws(
    () => render({}),
    (error: unknown) => error instanceof TokenizerError && /named default, found rag/.test(error.message),
  );
  tokenizer.chat_template = undefined;
  assert.throws(
    () => render({}),
    (error: unknown) => error instanceof TokenizerError && /found none; pass chat_template/.test(error.message),
  );
  tokenizer.chat_template = own;
});

test("what is no conversation is refused", () => {
  const render = (messages: unknown, options = {}) =>
    renderChatTemplate("{{ messages | length }}", messages as never, options);
  for (const messages of [undefined, "hi", [], ["hi"], [null], [[{ role: "user", content: "hi" }]]])
    assert.throws(
      () => render(messages),
      (error: unknown) => error instanceof InputError && error.message.startsWith("messages"),
    );
  assert.throws(
    () => render([{ role: "user" }], { continue_final_message: true }),
    (error: unknown) => error instanceof InputError,
  );
  const both = { add_generation_prompt: true, continue_final_message: true };
  assert.throws(
    () => render([{ role: "user", content: "hi" }], both),
    (error: unknown) => error instanceof InputError,
  );
  assert.throws(
    () => render([{ role: "user", content: "hi" }], { continue_final_message: true }),
    (error: unknown) => error instanceof InputError && /leaves the last message/.test(error.message),
  );
});

test("a template cannot take time or memory without end", () => {
  const hostile: Record<string, string> = {
    range: "{{ range(10 ** 8) | list }}",
    "nested loops":
      "{% for i in range(60000) %}{% for j in range(60000) %}{% for k in range(60000) %}{% endfor %}{% endfor %}{% endfor %}",
    doubling:
      "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "doubling a list":
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    times: "{{ 'x' * 10 ** 9 }}",
    "replace in replace": "{% set s = 'a' * 100000 %}{{ s.replace('a', s) }}",
    join: "{{ range(60000) | join('x' * 1000000) }}",
    indent: "{{ ('a\n' * 100000) | indent(100000) }}",
    "indent of JSON": "{{ range(60000) | list | tojson(indent=100000000) | length }}{{ 'x' * 10 ** 9 }}",
    "macro without end": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "macros that call themselves twice":
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "the same with many arguments":
      "{% macro f(n, a=1, b=2, c=3, d=4, e=5, g=6, h=7) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "the same with many arguments given":
      "{% macro f(n) %}{{ varargs }}{% if n %}{{ f(n - 1, *l) }}{{ f(n - 1, *l) }}{% endif %}{% endmacro %}{% set l = range(5000) | list %}{{ f(40) }}",
    "loops deep in macros": `{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% else %}${"{% for i in range(60000) %}".repeat(2)}{% if nothing %}{% endif %}${"{% endfor %}".repeat(2)}{% endif %}{% endmacro %}{{ f(150) }}`,
    "names looked for in many scopes": `${"{% with %}".repeat(150)}${"{% for i in range(60000) %}".repeat(2)}{{ nothing }}{{ nothing }}${"{% endfor %}".repeat(2)}${"{% endwith %}".repeat(150)}`,
    "loops that recurse": "{% for i in [1, 2] recursive %}{{ loop([1, 2]) if loop.depth < 60 }}{% endfor %}",
    "turns left out": "{% for i in range(60000) %}{% for j in range(60000) if j < 0 %}{% endfor %}{% endfor %}",
    "turns that end early":
      "{% for i in range(60000) %}{% for j in range(60000) %}{% continue %}{% endfor %}{% endfor %}",
    "generators of generators": `{% for i in range(60000) %}{{ range(60000)${" | map('string')".repeat(40)} | first }}{% endfor %}`,
    "slices backwards":
      "{% for i in range(60000) %}{% for j in range(60000) %}{{ 'abc'[::-1] }}{% endfor %}{% endfor %}",
    "texts compared":
      "{% set s = 'x' * 10 ** 7 %}{% set t = 'x' * 10 ** 7 %}{% for i in range(60000) %}{% if s < t or s == t and s in t %}{% endif %}{% endfor %}",
    titles: "{% set s = ' b' * 2000000 %}{% for i in range(60000) %}{{ (s | title) == s.title() }}{% endfor %}",
    "tags without an end": "{%".repeat(30_000),
    "quotes without an end": `{{ '${"\\'".repeat(30_000)}`,
    "comments without an end": "{#-".repeat(20_000),
    "white space in tags": `{%${" ".repeat(60_000)}if x ${" ".repeat(5_000)}`,
    "a long chain of operators": `{{ 1${" + 1".repeat(16_000)} + }}`,
    "deep blocks": `${"{% if 1 %}".repeat(3_000)}${"{% endif %}".repeat(3_000)}`,
    "long digits": `{{ ${"1".repeat(60_000)} }}`,
    "deep parentheses": `{{ ${"(".repeat(30_000)}1${")".repeat(30_000)} }}`,
    "deep lists": `{{ ${"[".repeat(30_000)}1${"]".repeat(30_000)} }}`,
    "long source": "x".repeat(100_000),
    "itself in itself": "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
    "a list in itself twice":
      "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "the same as JSON":
      "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}",
    "the same compared":
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(50) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    "a long text as a list": "{{ ('x' * 10 ** 7) | list }}",
    "a long text split": "{{ ('x ' * 10 ** 6).split() }}{{ ('x ' * 10 ** 6).split('x') }}",
    "a long text by lines": "{{ ('\\n' * 10 ** 6).splitlines() }}",
    "places in a long text":
      "{% set s = 'x' * 10 ** 7 %}{% for i in range(60000) %}{% if s[i] == 'y' %}y{% endif %}{% endfor %}",
    "much output": "{% for i in range(60000) %}{{ 'x' * 10000 }}{% endfor %}",
    "many lists":
      "{% set ns = namespace(l=[]) %}{% for i in range(60000) %}{% set ns.l = [ns.l, range(60000)] %}{% endfor %}",
    "spaces before a tag": `${" ".repeat(60_000)}{{ nope() }}`,
  };
  for (const [name, template] of Object.entries(hostile)) {
    const start = performance.now();
    assert.throws(
      () => renderChatTemplate(template, [{ role: "user", content: "hi" }], {}),
      (error: unknown) => error instanceof TokenizerError,
      name,
    );
    const seconds = (performance.now() - start) / 1000;
    if (seconds > 0.5) console.log(`# ${name}: ${seconds.toFixed(1)} s`);
    assert.ok(seconds < 10, `${name}: ${seconds} s`);
  }
});

test("a template reaches nothing of JavaScript", () => {
  const render = (template: string) => renderChatTemplate(template, [{ role: "user", content: "hi" }], {});
  for (const name of ["constructor", "__proto__", "toString", "value", "builtins", "type"])
    for (const object of ["messages", "messages[0]", "'a'", "1", "none", "range", "namespace()", "messages[0].get"])
      assert.is(render(`{{ (${object}).${name} }}{{ (${object})['${name}'] }}`), "", `${object}.${name}`);
});

test.run();
