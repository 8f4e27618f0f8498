// A block of code, with its language and a button that copies it.
import { copyText } from "../copy.ts";

const languageOf = (info: string): string => /^[\w+#.-]{1,30}/.exec(info.trim())?.[0] ?? "";

export function codeBlock(code: string, info: string): HTMLElement {
  const [block, bar, name, button, pre, content] = ["div", "div", "span", "button", "pre", "code"].map((tag) =>
    document.createElement(tag),
  );
  const language = languageOf(info);
  block.className = "code";
  bar.className = "code-bar";
  name.textContent = language || "text";
  button.textContent = "Copy code";
  (button as HTMLButtonElement).type = "button";
  button.addEventListener("click", async () => {
    const copied = await copyText(content.textContent ?? "");
    button.textContent = copied ? "Copied" : "Not copied";
    setTimeout(() => {
      button.textContent = "Copy code";
    }, 1600);
  });
  // It scrolls, so keys must reach it.
  pre.tabIndex = 0;
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", language ? `Code, ${language}` : "Code");
  content.textContent = code;
  pre.append(content);
  bar.append(name, button);
  block.append(bar, pre);
  return block;
}

/** Lets a block of code go on, where that is all that is new. @returns whether it was */
export function extendCode(block: Node, before: string, code: string): boolean {
  if (!code.startsWith(before)) return false;
  const content = (block as HTMLElement).querySelector("pre > code");
  if (!content) return false;
  const rest = code.slice(before.length);
  if (rest !== "") content.append(rest);
  return true;
}
