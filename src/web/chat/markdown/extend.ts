// Blocks that go on: what is there already of their code, items or rows stays, and only what is new is made.
import type { Token, Tokens } from "marked";
import { listItem, tableRow } from "./nodes.ts";

/**
 * Makes the node of a block that of the block as it is now.
 * @returns whether it could be; where not, nothing has changed
 */
export function extendBlock(node: Node, before: Token, now: Token): boolean {
  if (!(node instanceof HTMLElement) || before.type !== now.type) return false;
  if (now.type === "code") return extendCode(node, before as Tokens.Code, now as Tokens.Code);
  if (now.type === "list") return extendList(node, before as Tokens.List, now as Tokens.List);
  if (now.type === "table") return extendTable(node, before as Tokens.Table, now as Tokens.Table);
  return false;
}

function extendCode(block: HTMLElement, before: Tokens.Code, now: Tokens.Code): boolean {
  const content = block.querySelector("pre > code");
  if (!content || before.lang !== now.lang || !now.text.startsWith(before.text)) return false;
  const rest = now.text.slice(before.text.length);
  if (rest !== "") content.append(rest);
  return true;
}

function extendList(list: HTMLElement, before: Tokens.List, now: Tokens.List): boolean {
  if (before.ordered !== now.ordered || before.start !== now.start) return false;
  // An item's paragraphs depend on whether the list is loose.
  const same = ({ raw, loose }: Tokens.ListItem, i: number) =>
    raw === now.items[i]?.raw && loose === now.items[i].loose;
  replaceFrom(
    list,
    before.items.findIndex((item, i) => !same(item, i)),
    before.items.length,
    now.items,
    listItem,
  );
  return true;
}

function extendTable(region: HTMLElement, before: Tokens.Table, now: Tokens.Table): boolean {
  const body = region.querySelector("tbody");
  const texts = (row: readonly Tokens.TableCell[] | undefined) =>
    row?.map(({ text, align }) => `${align} ${text}`).join("|");
  if (!body || texts(before.header) !== texts(now.header)) return false;
  const differs = before.rows.findIndex((row, i) => texts(row) !== texts(now.rows[i]));
  replaceFrom(body, differs, before.rows.length, now.rows, tableRow);
  return true;
}

/** @param differs - the first child that is another now; -1 where all stay */
function replaceFrom<T>(
  parent: HTMLElement,
  differs: number,
  length: number,
  now: readonly T[],
  make: (one: T) => HTMLElement,
): void {
  const from = differs < 0 ? length : differs;
  while (parent.children.length > from) parent.lastElementChild!.remove();
  parent.append(...now.slice(from).map(make));
}
