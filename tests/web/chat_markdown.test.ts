// What models write, on the page: Markdown as nodes, hostile text as text, and a cost in proportion to an answer's length.
import { join } from "node:path";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../fixtures.ts";
import { ask, type ChatPage, chatPage, double } from "./chat_page.ts";

interface Streamed {
  html: string;
  text: string;
  read: number;
}
declare const markdownStream: {
  MarkdownStream: new (root: HTMLElement) => { push(piece: string): void; end(): void; read: number };
};

let chat: ChatPage;
let bare: Page;

test.before(async () => {
  chat = await chatPage({ engine: double });
  const { outputFiles } = await build({
    entryPoints: [join(root, "src", "web", "chat", "markdown", "stream.ts")],
    ...{ bundle: true, format: "iife", globalName: "markdownStream", write: false },
  });
  bare = await (await chat.browser.newContext()).newPage();
  await bare.addScriptTag({ content: outputFiles[0].text });
});
test.after(() => chat.close());

/** Streams a text in pieces of a length. */
const stream = (text: string, length: number): Promise<Streamed> =>
  bare.evaluate(
    ([text, length]) => {
      const element = document.createElement("div");
      document.body.replaceChildren(element);
      const stream = new markdownStream.MarkdownStream(element);
      for (let i = 0; i < text.length; i += length) stream.push(text.slice(i, i + length));
      stream.end();
      return { html: element.innerHTML, text: element.innerText, read: stream.read };
    },
    [text, length] as const,
  );

const sample = [
  "# Pesto\n\nIt is **green**, *mostly*, ~~not red~~, `a < b`, 1 &lt; 2.\n\n",
  "1. crush\n2. stir\n   - slowly\n   - well\n\n3. eat\n\n- [x] done\n- [ ] not\n\n",
  "```js\nconst a = 1;\n\nif (a < 2) run();\n```\n\n    indented\n\n",
  "| a | b |\n|:-:|--:|\n| 1 | `2` |\n| 3 | **4** |\n\n> quoted\n> [link](https://example.com/?a=1&b=2)\n\n---\n\nend",
].join("");

test("Markdown becomes nodes, the same however the text is cut", async () => {
  const whole = await stream(sample, sample.length);
  for (const length of [1, 2, 3, 7, 40])
    assert.is((await stream(sample, length)).html, whole.html, `pieces of ${length}`);
  assert.is((await stream(sample.replaceAll("\n", "\r\n"), 1)).html, whole.html, "with other line ends");
  const { html } = whole;
  assert.match(
    html,
    /^<h3>Pesto<\/h3><p>It is <strong>green<\/strong>, <em>mostly<\/em>, <del>not red<\/del>, <code>a &lt; b<\/code>, 1 &lt; 2\.<\/p>/,
  );
  assert.match(
    html,
    /<ol><li>.*?crush.*?<\/li><li>.*?stir.*?<ul><li>slowly<\/li><li>well<\/li><\/ul>.*?<\/li><li>.*?eat.*?<\/li><\/ol>/,
  );
  assert.match(html, /<li class="task">☑ done<\/li>/);
  assert.match(html, /<span>js<\/span>.*<code>const a = 1;\n\nif \(a &lt; 2\) run\(\);<\/code>/s);
  assert.match(html, /<td class="align-center">1<\/td><td class="align-right"><code>2<\/code><\/td>/);
  assert.match(
    html,
    /<a href="https:\/\/example\.com\/\?a=1&amp;b=2" rel="noopener noreferrer" target="_blank">link<\/a>/,
  );
});

const hostile = [
  "<script>window.harm = 1</script>",
  '<img src=x onerror="window.harm = 1">',
  "before <b onclick='window.harm = 1'>raw</b> after",
  "<iframe srcdoc='<script>parent.harm = 1</script>'></iframe>",
  "[a](javascript:window.harm=1) [b](JaVaScRiPt:window.harm=1) [c](&#106;avascript:window.harm=1) [d](java\tscript:window.harm=1)",
  "[e](data:text/html,<script>window.harm=1</script>) [f](vbscript:x) [g](/relative) [h](file:///etc/passwd) [i](blob:x)",
  "![pixel](https://tracker.example/pixel.png) ![x](javascript:window.harm=1)",
  '[j](https://example.com "title\\" onmouseover=\\"window.harm=1")',
  "<javascript:window.harm=1> <https://example.org/>",
  "[ref]: javascript:window.harm=1",
  "`<script>window.harm = 1</script>`",
  "```html\n<script>window.harm = 1</script>\n```",
  "| <img src=x onerror=window.harm=1> | b |\n|---|---|\n| <svg onload=window.harm=1> | [x](javascript:0) |",
  "<style>* { display: none }</style>",
  "&lt;script&gt;window.harm = 1&lt;/script&gt; &#0; &#xD800; &#x110000; &unknown;",
].join("\n\n");

test("hostile text stays text: no HTML, no other links, no requests", async () => {
  const { page, context, complaints } = await chat.open({}, { answers: { harm: hostile }, piece_ms: 0 });
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  await ask(page, "harm");
  const answer = page.locator(".messages .markdown");
  assert.is(await page.evaluate(() => (window as { harm?: number }).harm), undefined);
  const found = await answer.evaluate((element) => ({
    names: [...new Set([...element.querySelectorAll("*")].map((one) => one.localName))].sort(),
    links: [...element.querySelectorAll("a")].map((link) => [link.getAttribute("href"), link.rel, link.target]),
    handlers: [...element.querySelectorAll("*")].flatMap((one) =>
      one.getAttributeNames().filter((name) => /^on|^style$|^src/.test(name)),
    ),
    text: (element as HTMLElement).innerText,
  }));
  assert.equal(
    found.names.filter((name) => ["script", "img", "iframe", "svg", "style", "b", "object"].includes(name)),
    [],
  );
  assert.equal(found.handlers, []);
  const safe = (href: string) => [href, "noopener noreferrer", "_blank"];
  assert.equal(found.links, [
    safe("https://tracker.example/pixel.png"),
    safe("https://example.com/"),
    safe("https://example.org/"),
  ]);
  assert.match(found.text, /<script>window\.harm = 1<\/script>/);
  assert.match(found.text, /<img src=x onerror="window\.harm = 1">/);
  assert.match(found.text, /before <b onclick='window\.harm = 1'>raw<\/b> after/);
  assert.match(found.text, /&unknown;/);
  assert.equal(
    requests.filter((url) => !url.startsWith(chat.address)),
    [],
  );
  assert.equal(complaints, []);
  await context.close();
});

test("what a reader could not bear is shown as it stands", async () => {
  for (const [what, text] of [
    ["quotes", "> ".repeat(20_000)],
    ["lists", Array.from({ length: 600 }, (_, i) => `${"  ".repeat(i)}- a`).join("\n")],
    ["brackets", "[".repeat(20_000)],
    ["emphasis", "*a **b ".repeat(5_000)],
    ["one line", "word ".repeat(50_000)],
  ] as const) {
    const begun = performance.now();
    const { text: shown } = await stream(text, text.length);
    assert.ok(shown.length > 0, what);
    assert.ok(performance.now() - begun < 10_000, `${what}: ${Math.round(performance.now() - begun)} ms`);
  }
});

test("a table of thousands of cells comes whole", async () => {
  const rows = Array.from({ length: 2000 }, (_, i) => `| ${i} | b${i} | c | d |`).join("\n");
  await stream(`| a | b | c | d |\n|---|---|---|---|\n${rows}\n`, 50);
  assert.is(await bare.locator("tbody tr").count(), 2000);
  assert.is(await bare.locator("td").last().innerText(), "d");
});

test("reading costs in proportion to the length, for many blocks and for a single one", async () => {
  const kinds: Record<string, (n: number) => string> = {
    paragraphs: (n) => "A sentence of some words.\n\n".repeat(n / 27),
    "one paragraph": (n) => "A sentence of some words. ".repeat(n / 26),
    code: (n) => `\`\`\`js\n${"const a = 1; // one\n".repeat(n / 20)}\`\`\`\n`,
    list: (n) => "- an item\n".repeat(n / 10),
    table: (n) => `| a | b |\n|---|---|\n${"| one | two |\n".repeat(n / 14)}`,
  };
  for (const [what, make] of Object.entries(kinds)) {
    const ratios: number[] = [];
    for (const n of [10_000, 40_000, 80_000]) ratios.push((await stream(make(n), 4)).read / n);
    console.log(
      `# ${what}: ${ratios.map((ratio) => ratio.toFixed(0)).join(", ")} characters read for each of 10,000, 40,000, 80,000`,
    );
    // A block up to 1500 characters is read with each piece: 1500 / 2 / 4 for each character, at most.
    assert.ok(Math.max(...ratios) < 200 && ratios[2] < ratios[0] * 1.2, `${what}: ${ratios}`);
  }
});

test("code is copied by its button", async () => {
  const { page, context } = await chat.open(
    { permissions: ["clipboard-read", "clipboard-write"] },
    { answers: { code: "```js\nconst a = `<b>`;\n```" } },
  );
  await ask(page, "code");
  await page.getByRole("button", { name: "Copy code" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.is(await page.evaluate(() => navigator.clipboard.readText()), "const a = `<b>`;");
  await page.locator(".message.assistant").getByRole("button", { name: "Copy", exact: true }).click();
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("```js"));
  await context.close();
});

test.run();
