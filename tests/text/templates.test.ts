// Templates of every construct against Jinja2's own text: corners, generated ones, and those of fine-tunes of Mixtral.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenizerError } from "../../src/errors.ts";
import { renderChatTemplate } from "../../src/text/chat_template.ts";
import { root } from "../fixtures.ts";

const read = (name: string) => JSON.parse(readFileSync(join(root, "tests", "text", name), "utf8"));
const templates = read("templates.json");
const hub = read("hub.json");

/** What is refused although Jinja2 renders it, by what the error says; docs/compatibility.md has the same list. */
const REFUSED: Record<string, RegExp> = {
  "filters that templates of conversations do not use": /no filter here is named/,
  "attributes and methods of Python's": /the attribute \w+ of .* is not supported/,
  "globals cycler, joiner, lipsum, self": /the global \w+ is not supported/,
  "tags block, extends, include, import, from, autoescape": /\{% \w+ %\} is not supported/,
  "integers beyond 2^53": /beyond 2\^53/,
  "powers that are rounded otherwise": /\*\* .* is not supported|a power beyond/,
  "keys of dicts other than strings and integers": /as a dict's key/,
  "functions, namespaces, loops and generators as text": /cannot be printed/,
  "formatting by %": /% after a string/,
  "+ between escaped and other text": /\+ between escaped text/,
};

/** Jinja2's outcome against ours: undefined where they are the same, else what is the matter. */
function outcome(run: () => string, text: string | null): { refused?: string; wrong?: string } {
  try {
    const found = run();
    return found === text ? {} : { wrong: `rendered ${JSON.stringify(found)}` };
  } catch (error) {
    if (!(error instanceof TokenizerError)) return { wrong: `threw ${error}` };
    if (text === null) return {};
    return { refused: error.message };
  }
}

test("every template renders Jinja2's text, raises where it does, or is refused by the name of a construct", () => {
  const { messages, ...variables } = templates.variables;
  const wrong: string[] = [];
  const refused: string[] = [];
  for (const [template, text] of templates.cases as [string, string | null][]) {
    const result = outcome(() => renderChatTemplate(template, messages, variables), text);
    const known = result.refused !== undefined && Object.values(REFUSED).some((error) => error.test(result.refused!));
    if (known) refused.push(template);
    else if (result.refused ?? result.wrong)
      wrong.push(`${JSON.stringify(template)}: ${result.refused ?? result.wrong}, expected ${JSON.stringify(text)}`);
  }
  const { length } = templates.cases;
  console.log(
    `\n# ${length - refused.length - wrong.length} of ${length} templates as in Jinja2, ${refused.length} refused`,
  );
  assert.equal(wrong, []);
  assert.ok(length > 700 && refused.length < length / 30);
});

test("what fine-tunes of Mixtral use, over conversations of every kind", () => {
  const wrong: string[] = [];
  for (const [name, conversation, options, text, message] of hub.cases) {
    const template: string = hub.templates[name];
    const tools = options.tools ? hub.tools : null;
    const documents = options.tools && template.includes("documents") ? hub.documents : null;
    const given = { bos_token: "<s>", eos_token: "</s>", ...options, tools, documents };
    // The ends of a source's lines make no difference.
    for (const end of ["\n", "\r\n", "\r"]) {
      const source = template.replaceAll("\n", end);
      let error = "";
      const run = () => {
        try {
          return renderChatTemplate(source, hub.conversations[conversation], given);
        } catch (cause) {
          error = (cause as Error).message;
          throw cause;
        }
      };
      const result = outcome(run, text);
      const problem = result.refused ?? result.wrong ?? (error.includes(message ?? "") ? undefined : error);
      if (problem !== undefined)
        wrong.push(`${name}, ${conversation}, ${JSON.stringify(options)}, ${JSON.stringify(end)}: ${problem}`);
    }
  }
  console.log(`# ${hub.cases.length} conversations in ${Object.keys(hub.templates).length} templates`);
  assert.equal(wrong, []);
});

test("the ends of lines within text, strings and comments", () => {
  const source = "a\n\n  {# b\n #}\n{% if true %}\n{{ 'c\nd' }}\n{% raw %}\n e\n{% endraw %}\n{% endif %}\nf\n";
  for (const end of ["\n", "\r\n", "\r"])
    assert.is(
      renderChatTemplate(source.replaceAll("\n", end), [{ role: "user" }], {}),
      "a\n\nc\nd\n\n e\nf",
      JSON.stringify(end),
    );
});

const failure = (template: string): TokenizerError => {
  try {
    renderChatTemplate(template, [{ role: "user", content: "hi" }], {});
  } catch (error) {
    if (error instanceof TokenizerError) return error;
    throw error;
  }
  throw new Error(`rendered: ${template}`);
};

test("errors name the construct and its line", () => {
  const cases: Record<string, RegExp> = {
    "a\n\n{% if true %}\n{{ messages | groupby('role') }}{% endif %}": /line 4: no filter here is named groupby/,
    "{{ 1 }}\n{{ 1 +\n}}": /line 3: expected an expression, found the tag's end/,
    "{% include 'x' %}": /line 1: \{% include %\} is not supported/,
    "\r\n\r\n{% endfor %}": /line 3: no tag is named endfor/,
    "{% if true %}\n": /line 1: expected \{% elif %\} or \{% else %\} or \{% endif %\}, found the template's end/,
    "{{ 'a'.zfill(3) }}": /the attribute zfill of a string is not supported/,
    "{{ 1 + 'a' }}": /\+ between an integer and a string/,
    "\n{{ messages[0].x.y }}": /line 2: an undefined value has no attributes/,
    "{% macro f(a) %}{% endmacro %}\n{{ f(b=1) }}": /line 2: macro f takes no argument named b/,
  };
  for (const [template, message] of Object.entries(cases)) assert.match(failure(template).message, message);
});

test("nothing of a template or a message reaches a terminal unescaped", () => {
  const codes = "\u0000\u001b]0;x\u0007\u007f\u009b2J\u202e\u2066\u2028";
  const json = JSON.stringify(codes);
  const sources = [
    `{{ raise_exception(${json}) }}`,
    `{% ${codes} %}`,
    `{{ 'a'${codes} }}`,
    `{{ messages | selectattr('role', ${json}) | list }}`,
    `{{ 'a' | map(${json}) | list }}`,
    `{{ dict(**{${json}: 1}) | tojson(**{${json}: 1}) }}`,
    `{% macro f() %}{% endmacro %}{{ f(**{${json}: 1}) }}`,
    `{{ 'a' | round(1, ${json}) }}{{ 1 | round(1, ${json}) }}`,
    `{{ strftime_now('%' ~ ${json}) }}`,
    `{{ {} | dictsort(by=${json}) }}`,
  ];
  for (const source of sources) {
    const error = failure(source);
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      assert.not.match(cause.message, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, source);
  }
  assert.is(failure(`{{ raise_exception(${json}) }}`).message.startsWith("\\u{0}\\u{1b}]0;x\\u{7}"), true);
  assert.ok(failure("{{ raise_exception('x' * 1000000) }}").message.length < 1100);
});

test.run();
