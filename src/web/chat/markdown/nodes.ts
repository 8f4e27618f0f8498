// Markdown's tokens as nodes of the page. Every node is made here by name, and every text is a text node: HTML that a model
// writes is shown as it stands, links go to http, https and mailto only, and no image is fetched.
import type { Token, Tokens } from "marked";
import { codeBlock } from "./code_block.ts";
import { decodeEntities } from "./entities.ts";

const protocols = ["http:", "https:", "mailto:"];

/** Where a link may go; undefined where it may not. */
export function safeHref(href: string): string | undefined {
  try {
    const url = new URL(decodeEntities(href));
    return protocols.includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined; // relative: to nothing that the model could know of
  }
}

function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  children: readonly Node[] = [],
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

const text = (content: string): Text => document.createTextNode(content);

export const nodesOf = (tokens: readonly Token[] | undefined): Node[] => (tokens ?? []).flatMap(nodeOf);

const inner = ({ tokens, text: plain = "" }: Tokens.Generic): Node[] =>
  tokens ? nodesOf(tokens) : [text(decodeEntities(plain))];

function link(href: string, children: readonly Node[]): Node[] {
  const safe = safeHref(href);
  if (safe === undefined) return [element("span", children)];
  const anchor = element("a", children);
  anchor.href = safe;
  anchor.rel = "noopener noreferrer";
  anchor.target = "_blank";
  return [anchor];
}

function list(token: Tokens.List): HTMLElement {
  const made = element(token.ordered ? "ol" : "ul", token.items.map(listItem));
  if (token.ordered && typeof token.start === "number" && token.start !== 1)
    made.setAttribute("start", `${token.start}`);
  return made;
}

export const listItem = (item: Tokens.ListItem): HTMLElement => {
  const made = element("li", nodesOf(item.tokens));
  if (item.task) made.className = "task";
  return made;
};

const tableCell = (name: "th" | "td") => (cell: Tokens.TableCell) => {
  const made = element(name, nodesOf(cell.tokens));
  if (name === "th") made.scope = "col";
  if (cell.align) made.className = `align-${cell.align}`;
  return made;
};

export const tableRow = (row: readonly Tokens.TableCell[]): HTMLElement => element("tr", row.map(tableCell("td")));

function table({ header, rows }: Tokens.Table): HTMLElement {
  const head = element("thead", [element("tr", header.map(tableCell("th")))]);
  const body = element("tbody", rows.map(tableRow));
  const scroller = element("div", [element("table", [head, body])]);
  scroller.className = "table";
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", "Table");
  return scroller;
}

/** Headings of an answer stand below those of the page. */
const heading = (depth: number, children: readonly Node[]): HTMLElement =>
  element(`h${Math.min(6, depth + 2)}` as "h3", children);

/** What each kind of token becomes; others become their text. */
const makers: Readonly<Record<string, (token: any) => Node[]>> = {
  space: () => [],
  br: () => [element("br")],
  hr: () => [element("hr")],
  paragraph: (token) => [element("p", inner(token))],
  heading: (token: Tokens.Heading) => [heading(token.depth, inner(token))],
  blockquote: (token) => [element("blockquote", inner(token))],
  code: (token: Tokens.Code) => [codeBlock(token.text, token.lang ?? "")],
  list: (token: Tokens.List) => [list(token)],
  table: (token: Tokens.Table) => [table(token)],
  strong: (token) => [element("strong", inner(token))],
  em: (token) => [element("em", inner(token))],
  del: (token) => [element("del", inner(token))],
  codespan: (token: Tokens.Codespan) => [element("code", [text(token.text)])],
  link: (token: Tokens.Link) => link(token.href, inner(token)),
  image: (token: Tokens.Image) => link(token.href, [text(`[image: ${decodeEntities(token.text) || token.href}]`)]),
  checkbox: ({ checked }: Tokens.Checkbox) => [text(checked ? "☑ " : "☐ ")],
  escape: (token: Tokens.Escape) => [text(token.text)],
  text: (token) => inner(token),
  // References are not looked up, as the answer grows; so what they refer to is shown.
  def: ({ tag, href }: Tokens.Def) => [element("p", [text(`[${tag}]: `), ...link(href, [text(href)])])],
  html: ({ block, raw }) => [block ? element("p", [text(raw.trim())]) : text(raw)],
};

const nodeOf = (token: Token): Node[] =>
  Object.hasOwn(makers, token.type) ? makers[token.type](token) : [text(token.raw)];
