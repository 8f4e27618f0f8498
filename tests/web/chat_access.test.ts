// The chat page for those who use keys, screen readers, less motion: axe in light and dark at three sizes, and by keys alone.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ask, at, type ChatPage, chatPage, double, openChats, sizes, texts } from "./chat_page.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
declare const window: Window & {
  axe: {
    run(options: object): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
  };
};

let chat: ChatPage;
test.before(async () => {
  chat = await chatPage({ engine: double });
});
test.after(() => chat.close());

/** What axe finds, by everything it knows, best practices too. */
async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run({ resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`),
    );
  });
}

const answer = [
  "# Title\n\nText with `code`, a [link](https://example.com) and ~~more~~.\n\n> quoted\n\n- one\n- two\n",
  "```js\nconst a = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
].join("\n");

for (const colorScheme of ["light", "dark"] as const)
  for (const { name, ...viewport } of sizes)
    test(`axe finds nothing: ${name}, ${colorScheme}`, async () => {
      const { page, context } = await chat.open(
        { viewport, colorScheme, bypassCSP: true },
        { answers: { all: answer }, models: [{ name: "owner/name", bytes: 4e9, complete: true }] },
      );
      const found: Record<string, string[]> = {};
      const check = async (what: string) => {
        const list = await violations(page);
        if (list.length > 0) found[what] = list;
      };
      await page.getByText("of memory").waitFor();
      await check("welcome");
      await ask(page, "all");
      await check("answer");
      await page.locator(".figures summary").click();
      for (const panel of [at(page).models, at(page).experts, at(page).settings]) {
        await panel.click();
        const label = (await panel.textContent())!;
        await page.getByRole("complementary", { name: label }).waitFor();
        if (label === "Experts") await page.getByRole("slider", { name: "Token" }).focus();
        await check(label);
        await page.getByRole("button", { name: "Close", exact: true }).click();
      }
      await openChats(page);
      await page.locator(".chat").hover();
      await check("chats");
      await page.getByRole("button", { name: "Delete all" }).click();
      await check("dialog");
      await page.keyboard.press("Escape");
      await context.close();
      assert.equal(found, {});
    });

test("axe finds nothing where something went wrong, nor while it loads", async () => {
  for (const colorScheme of ["light", "dark"] as const) {
    const { page, context } = await chat.open(
      { colorScheme, bypassCSP: true },
      { load_ms: 1500, load_fails: { code: "MEMORY", message: "too much" } },
    );
    await page.getByRole("progressbar").waitFor();
    assert.equal(await violations(page), []);
    await page.getByRole("alert").waitFor();
    assert.equal(await violations(page), []);
    await context.close();
  }
});

test("by keys alone: ask, stop, retry, edit, rename, delete", async () => {
  const { page, context } = await chat.open({}, { piece_ms: 30 });
  const { box, stop, retry, chats } = at(page);
  await box.waitFor();
  const focused = () =>
    page.evaluate(
      () => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent ?? "",
    );
  const tabTo = async (name: string) => {
    for (let i = 0; i < 60; i++) {
      if ((await focused()) === name) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`${name} is not reached by Tab`);
  };
  assert.ok(await box.evaluate((element) => element === document.activeElement), "the message box has the focus");
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two three four five six seven eight nine ten eleven twelve thirteen fourteen");
  await page.keyboard.press("Enter");
  await page.getByText("You said").waitFor();
  await page.keyboard.press("Escape");
  await retry.waitFor();
  assert.ok(await stop.isDisabled());
  const [question, stopped] = await texts(page);
  assert.match(question, /^one\ntwo three/);
  assert.not.match(stopped, /fourteen/);
  assert.ok(await box.evaluate((element) => element === document.activeElement), "the focus has stayed");

  await page.locator(".skip").focus();
  await tabTo("Retry");
  await page.keyboard.press("Enter");
  await page.locator(".messages").getByText("fourteen").nth(1).waitFor();
  await retry.waitFor();

  await page.locator(".skip").focus();
  await tabTo("Edit");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement?.getAttribute("aria-label") === "Edit");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("short");
  await page.keyboard.press("Enter");
  await page.locator(".markdown").getByText("You said: short").waitFor();
  await retry.waitFor();
  assert.ok(
    await box.evaluate((element) => element === document.activeElement),
    "the focus is in the message box again",
  );

  await page.locator(".skip").focus();
  const title = await page.locator(".header .title").innerText();
  await tabTo(`Rename ${title}`);
  await page.keyboard.press("Enter");
  await page.keyboard.type("Named");
  await page.keyboard.press("Enter");
  await chats.getByRole("button", { name: "Named", exact: true }).waitFor();
  await page.locator(".skip").focus();
  await tabTo("Delete Named");
  await page.keyboard.press("Enter");
  await tabTo("Delete");
  await page.keyboard.press("Enter");
  await page.getByText("Chats are kept here").waitFor();
  await context.close();
});

test("a panel takes the focus, Escape gives it back to what opened it", async () => {
  for (const { name, ...viewport } of sizes) {
    const { page, context } = await chat.open({ viewport });
    const { settings } = at(page);
    await settings.focus();
    await page.keyboard.press("Enter");
    const heading = page.getByRole("heading", { name: "Settings" });
    await heading.waitFor();
    assert.ok(await heading.evaluate((element) => element === document.activeElement), name);
    if (viewport.width < 1100) await page.keyboard.press("Escape");
    else await page.getByRole("button", { name: "Close", exact: true }).press("Enter");
    await heading.waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement?.textContent === "Settings", undefined, { timeout: 3000 });
    await context.close();
  }
});

test("a screen reader hears an answer once, not token by token", async () => {
  const { page, context } = await chat.open({}, { piece_ms: 20 });
  await page.evaluate(() => {
    const heard: string[] = [];
    Object.assign(window, { heard });
    const add = (text: string | null) => text && heard.push(text);
    Object.assign(document, { ariaNotify: add });
    // Whatever changes in a live region is heard.
    new MutationObserver((changes) => {
      for (const { target } of changes) {
        const live = (target instanceof Element ? target : target.parentElement)?.closest(
          "[aria-live],[role=status],[role=alert],[role=log]",
        );
        if (live && live.getAttribute("aria-live") !== "off") add(live.textContent);
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await ask(page, "one two three four five six seven eight nine ten");
  await page.waitForFunction(() =>
    (window as unknown as { heard: string[] }).heard.some((text) => text.startsWith("You said")),
  );
  const heard = await page.evaluate(() =>
    (window as unknown as { heard: string[] }).heard.filter((text) => text !== "Demo model is ready"),
  );
  assert.equal([...new Set(heard)].sort(), [
    "Answering",
    "Demo model has answered",
    "You said: one two three four five six seven eight nine ten",
  ]);
  assert.ok(heard.length <= 4, heard.join(" | "));
  await context.close();
});

test("colours are the system's, or those that were chosen, over a reload too", async () => {
  const { page, context } = await chat.open({ colorScheme: "light" });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Dark" }).click();
  const dark = await ground();
  assert.is.not(dark, light);
  await page.reload();
  assert.is(await ground(), dark);
  await page.getByRole("button", { name: "As the system" }).click();
  assert.is(await ground(), light);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.is(await ground(), dark);
  await context.close();
});

test("nothing moves where less motion is wanted", async () => {
  const { page, context } = await chat.open({ reducedMotion: "reduce" }, { piece_ms: 200 });
  await at(page).box.fill("move");
  await page.keyboard.press("Enter");
  await page.locator(".pulse").first().waitFor();
  assert.is(await page.evaluate(() => document.getAnimations().length), 0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.ok(await page.evaluate(() => document.getAnimations().length > 0), "else something does");
  await context.close();
});

test.run();
