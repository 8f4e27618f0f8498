// The documents and examples as pages of the site, in pages/: where each goes, with links that lead there. What the site's own
// config needs of them is told, too.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, extname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

const site = dirname(fileURLToPath(import.meta.url));
const root = dirname(site);
export const pagesFolder = join(site, "pages");
const read = (path) => readFileSync(join(root, path), "utf8");

/** The contents: headings and, below each, links to documents. */
const CONTENTS = "docs/README.md";

const list = (folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => !path.includes("/node_modules/") && !path.includes("/dist/"));

const documents = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...list("docs"),
  "examples/README.md",
];

const isPicture = (path) => /\.(svg|png)$/.test(path);

/** The page of a document. */
function pageOf(path) {
  if (path === "README.md") return "index.md";
  if (path === CONTENTS) return "contents.md";
  if (!path.includes("/")) return `project/${path.toLowerCase()}`; // beside docs/security.md there is SECURITY.md
  return path.replace(/^docs\//, "").replace(/README(?=\.md$)/, "index");
}

/** Programs of examples/ by their pages: a file, or a folder of files. */
const programs = new Map(
  readdirSync(join(root, "examples"))
    .filter((name) => name !== "README.md")
    .map((name) => [`examples/${name}`, `examples/${name.replace(/\.\w+$/, "")}.md`]),
);

/** Where every path of the repository is found that has a page. */
const places = new Map([
  ...documents.filter((path) => path.endsWith(".md")).map((path) => [path, pageOf(path)]),
  ...programs,
  ["examples", "examples/index.md"],
]);

/** Applies `change` to what is neither a block of code nor a heading. */
const outsideCode = (text, change) =>
  text
    .split(/^(```[\s\S]*?^```|#.*)$/m)
    .map((part, i) => (i % 2 ? part : change(part)))
    .join("");

/** A document's text with links to pages. @throws where a link leads to nothing that has one */
function withLinks(path, text) {
  const links = /(`[^`]*`)|\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)/g;
  return outsideCode(text, (part) =>
    part.replace(links, (whole, code, target, anchor = "") => {
      if (code) return whole;
      const there = posix.join(posix.dirname(path), target).replace(/\/$/, "");
      if (isPicture(there)) return `](./${posix.relative(posix.dirname(pageOf(path)), pageOf(there))})`;
      const page = places.get(there);
      if (!page) throw new Error(`${path}: links to ${target}, which has no page`);
      return `](/${page}${anchor})`;
    }),
  );
}

/** A document's text, in which names that the library exports lead to its reference. */
function withReferences(text, reference) {
  return outsideCode(text, (part) =>
    part.replace(/\[[^\]]*\]\([^)]*\)|(?<!`)`(\w+)`(?!`)/g, (whole, name) =>
      reference.has(name) ? `[${whole}](${reference.get(name)})` : whole,
    ),
  );
}

/** The page of a program: what its first comment says, and its files. */
function programPage(path) {
  const folder = statSync(join(root, path)).isDirectory();
  const files = folder ? list(path).filter((name) => /\.(m?[jt]s|html|json)$/.test(name)) : [path];
  const shown = files
    .filter((name) => !name.endsWith("package-lock.json"))
    .map((name) => `${folder ? `## ${posix.relative(path, name)}\n\n` : ""}${fence(extname(name), read(name))}`);
  return `# ${posix.basename(path)}\n\n${shown.join("\n\n")}\n`;
}

const fence = (extension, text) => `\`\`\`${extension.slice(1).replace("mjs", "js")}\n${text.trim()}\n\`\`\``;

/** The reference that typedoc has made: kinds of exports, and of each kind the names and their pages. */
function readReference() {
  const kinds = JSON.parse(readFileSync(join(pagesFolder, "api", "navigation.json"), "utf8"));
  return kinds.map(({ title, children }) => ({
    text: title,
    collapsed: true,
    items: children.map(({ title, path }) => ({ text: title, link: `/api/${path}` })),
  }));
}

/** Writes all pages but the reference. */
export function writePages() {
  const reference = new Map(readReference().flatMap(({ items }) => items.map(({ text, link }) => [text, link])));
  for (const name of readdirSync(pagesFolder)) if (name !== "api") rmSync(join(pagesFolder, name), { recursive: true });
  const write = (page, text) => {
    mkdirSync(dirname(join(pagesFolder, page)), { recursive: true });
    writeFileSync(join(pagesFolder, page), text);
  };
  for (const path of documents) {
    if (path.endsWith(".md")) write(pageOf(path), withReferences(withLinks(path, read(path)), reference));
    if (isPicture(path)) {
      mkdirSync(dirname(join(pagesFolder, pageOf(path))), { recursive: true });
      cpSync(join(root, path), join(pagesFolder, pageOf(path)));
    }
  }
  for (const [path, page] of programs) write(page, programPage(path));
}

/** The sidebars: what the contents list, by their headings; beside the reference, its names. */
export function readSidebars() {
  const [, ...sections] = read(CONTENTS).split(/^## /m);
  const contents = sections.map((section) => ({
    text: section.split("\n", 1)[0],
    items: [...section.matchAll(/^- \[([^\]]+)\]\(([^)]+)\)/gm)].map(([, text, target]) => ({
      text,
      link: `/${places.get(posix.join("docs", target).replace(/\/$/, ""))}`,
    })),
  }));
  return { "/": contents, "/api/": [{ text: "By purpose", link: "/reference.md" }, ...readReference()] };
}
