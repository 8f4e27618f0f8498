// The chat page in Chromium: built once for a test file, with the library or with the double in its place.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { root } from "../fixtures.ts";
import { launchChromium } from "./browser.ts";

/** Phone, tablet, desktop. */
export const sizes = [
  { name: "phone", width: 360, height: 740 },
  { name: "tablet", width: 820, height: 1180 },
  { name: "desktop", width: 1440, height: 900 },
] as const;

const script = (name: string) => import(pathToFileURL(join(root, "scripts", "web", name)).href);

export interface ChatPage {
  readonly address: string;
  readonly folder: string;
  readonly browser: Browser;
  /** A page in a context of its own, and what it and its console have complained of. */
  open(
    options?: BrowserContextOptions,
    double?: object,
  ): Promise<{ page: Page; context: BrowserContext; complaints: string[] }>;
  /** One more tab of a context. */
  tab(context: BrowserContext): Promise<{ page: Page; complaints: string[] }>;
  close(): Promise<void>;
}

/** @param options - engine: a source in the place of the page's engine.ts; isolated: whether the host sends the headers */
export async function chatPage({
  engine,
  isolated = true,
}: {
  engine?: string | undefined;
  isolated?: boolean;
} = {}): Promise<ChatPage> {
  const [{ buildPage }, { serve }] = await Promise.all([script("build.mjs"), script("serve.mjs")]);
  const folder = mkdtempSync(join(tmpdir(), "tramontane-chat-"));
  await buildPage(folder, { engine });
  const { address, close } = await serve(folder, { isolated });
  const browser = await launchChromium();
  const tab = async (context: BrowserContext) => {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const complaints: string[] = [];
    page.on("pageerror", ({ message }) => complaints.push(message));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(address);
    return { page, complaints };
  };
  return {
    ...{ address, folder, browser, tab },
    async open(options = {}, double = {}) {
      const context = await browser.newContext({ reducedMotion: "reduce", ...options });
      await context.addInitScript((given) => {
        (window as { double?: object }).double = given;
      }, double);
      return { context, ...(await tab(context)) };
    },
    async close() {
      await browser.close();
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const double = join(root, "tests", "web", "chat", "double.ts");

/** The message box, and what stands about it, by role and label. */
export const at = (page: Page) => ({
  box: page.getByRole("textbox", { name: "Message", exact: true }),
  send: page.getByRole("button", { name: "Send", exact: true }),
  stop: page.getByRole("button", { name: "Stop", exact: true }),
  retry: page.getByRole("button", { name: "Retry", exact: true }),
  messages: page.getByRole("list", { name: "Conversation" }).locator("> li"),
  settings: page.getByRole("button", { name: "Settings", exact: true }),
  models: page.getByRole("button", { name: "Models", exact: true }),
  experts: page.getByRole("button", { name: "Experts", exact: true }),
  chats: page.getByRole("navigation", { name: "Chats" }),
});

/** Says something, and waits until it is answered. */
export async function ask(page: Page, text: string): Promise<void> {
  const { box, send, retry } = at(page);
  const answers = page.locator(".message.assistant[data-message]");
  const before = await answers.count();
  await box.fill(text);
  await send.click();
  await answers.nth(before).waitFor();
  await retry.waitFor();
}

/** The text of each message, without what can be done with it. */
export const texts = (page: Page): Promise<string[]> =>
  page.locator(".messages .bubble, .messages .markdown").allInnerTexts();

/** Opens the list of chats where it lies over the conversation. */
export async function openChats(page: Page): Promise<void> {
  const button = page.getByRole("button", { name: "Chats", exact: true });
  await at(page).box.waitFor({ state: "attached" });
  if (await button.isVisible()) await button.click();
}
