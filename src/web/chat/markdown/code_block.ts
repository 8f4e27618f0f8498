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
