// The documents: every link leads somewhere, the contents list them all, the API by purpose every name; the guide to errors
// knows every code, and quotes what the sources say.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as api from "../src/index.ts";
import { root } from "./fixtures.ts";

const read = (path: string) => readFileSync(join(root, path), "utf8");
const list = (folder: string, extension: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => path.endsWith(extension) && !path.includes("/node_modules/"));

const docs = list("docs", ".md");
const documents = [
  ...["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "models/demo/README.md"],
  ...docs,
  ...list("examples", ".md"),
];

/** A document without its code. */
const prose = (path: string) => read(path).replace(/^```[\s\S]*?^```/gm, "");

/** The links to other documents and places in them. */
const links = (path: string) =>
  [
    ...prose(path)
      .replace(/`[^`\n]*`/g, "")
      .matchAll(/\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]*))?\)/g),
  ].map(([, target, anchor]) => ({ target: target ? posix.join(posix.dirname(path), target) : path, anchor }));

/** The anchors of a document's headings, as GitHub makes them. */
const anchors = (path: string) =>
  [...prose(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-"),
  );

test("every link of the documents leads to a file, and to a heading of it", () => {
  let seen = 0;
  for (const path of documents)
    for (const { target, anchor } of links(path)) {
      seen++;
      assert.ok(existsSync(join(root, target)), `${path}: ${target} is not there`);
      if (anchor) assert.ok(anchors(target).includes(anchor), `${path}: ${target} has no heading #${anchor}`);
    }
  assert.ok(seen > 50, `found ${seen} links`);
});

test("the contents list every document", () => {
  const listed = links("docs/README.md").map(({ target }) => target);
  for (const path of docs) if (path !== "docs/README.md") assert.ok(listed.includes(path), `${path} is not listed`);
});

const guide = read("docs/troubleshooting.md");

test("the guide to errors has every code, with its class", () => {
  const classes = [
    ...read("src/errors.ts").matchAll(/^export class (\w+) extends TramontaneError[\s\S]*?super\("(\w+)"/gm),
  ];
  assert.ok(classes.length >= 8);
  for (const [, name, code] of classes)
    assert.match(guide, new RegExp(`^## ${code}\n\n\`${name}\`: .{40}`, "m"), `nothing about ${code}, \`${name}\``);
  const codes = classes.map(([, , code]) => code);
  for (const [, code] of guide.matchAll(/^## ([A-Z]+)$/gm)) assert.ok(codes.includes(code), `there is no code ${code}`);
});

test("the API by purpose has every name that the package exports", () => {
  const named = [...read("docs/reference.md").matchAll(/`(\w+)`/g)].map(([, name]) => name);
  assert.ok(Object.keys(api).length > 50);
  assert.equal(
    Object.keys(api).filter((name) => !named.includes(name)),
    [],
  );
});

test("the guide to errors quotes messages that the sources have", () => {
  const sources = list("src", ".ts").map(read).join("\n") + read("models/demo/chat_template.jinja");
  const quoted = guide
    .split("\n## ")
    .flatMap((section) => section.split("| the message has |").slice(1))
    .flatMap((table) => [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message]) => message));
  assert.ok(quoted.length >= 40, `found ${quoted.length}`);
  assert.equal(
    quoted.filter((message) => !sources.includes(message)),
    [],
  );
});

test.run();
