// What the page says and does where something fails, in two tabs, and without a network.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ask, at, type ChatPage, chatPage, double, texts } from "./chat_page.ts";
import type { Double } from "./double.ts";

let chat: ChatPage;
test.before(async () => {
  chat = await chatPage({ engine: double });
});
test.after(() => chat.close());

const change = (page: Page, to: Partial<Double>): Promise<void> =>
  page.evaluate((to) => void Object.assign((window as unknown as { double: Double }).double, to), to);

test("a model that cannot be loaded: what the library says, what helps, and another try", async () => {
  const message = "model.gguf: needs 28.0 GB of memory, 6.0 GB are free";
  const { page, context } = await chat.open({}, { load_fails: { code: "MEMORY", message } });
  const alert = page.getByRole("alert");
  await alert.getByText("There is not enough memory").waitFor();
  await alert.getByText(message).waitFor();
  await alert.getByText(/take a smaller model/).waitFor();
  await page.evaluate(() => {
    delete (window as unknown as { double: Double }).double.load_fails;
  });
  await alert.getByRole("button", { name: "Start again" }).click();
  await page.getByText("of memory,").waitFor();
  await ask(page, "now");
  await context.close();
});

test("the engine dies while it answers: the page says so, keeps what there is, and starts again", async () => {
  const { page, context } = await chat.open();
  await ask(page, "before");
  await change(page, { answer_fails: { code: "ENGINE", message: "a worker died", after: 3 } });
  await at(page).box.fill("a question that is answered in part");
  await page.keyboard.press("Enter");
  await page.getByText("The engine has stopped").first().waitFor();
  await page.getByText("a worker died").first().waitFor();
  const [, , question, part] = await texts(page);
  assert.is(question, "a question that is answered in part");
  assert.match(part, /^You said/);
  // One button starts the model again, and answers.
  await page.getByRole("button", { name: "Start again" }).click();
  await page.locator(".markdown").getByText("You said: a question that is answered in part").waitFor();
  await context.close();
});

test("an answer that fails before its first word: Try again gives it; a retry that fails keeps the answer before", async () => {
  const { page, context } = await chat.open();
  await page.getByText("of memory,").waitFor();
  await change(page, {
    answer_fails: { code: "INPUT", message: "the message has 9 tokens, the context holds 8", after: 0 },
  });
  await at(page).box.fill("too long");
  await page.keyboard.press("Enter");
  await page.getByText("the message has 9 tokens, the context holds 8").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".markdown").getByText("You said: too long").waitFor();
  await change(page, { answer_fails: { code: "INPUT", message: "not now", after: 0 } });
  await at(page).retry.click();
  await page.getByText("not now").waitFor();
  assert.equal(await texts(page), ["too long", "You said: too long"]);
  await context.close();
});

test("a message that was never answered is not shown to the model, nor exported", async () => {
  const { page, context } = await chat.open({ acceptDownloads: true });
  await page.getByText("of memory,").waitFor();
  await change(page, { answer_fails: { code: "INPUT", message: "not now", after: 0 } });
  await at(page).box.fill("never answered");
  await page.keyboard.press("Enter");
  await page.getByText("not now").waitFor();
  await ask(page, "answered");
  await ask(page, "too");
  const { before } = await page.evaluate(() => (window as unknown as { double: Double }).double.turns.at(-1)!);
  const said = [
    { role: "user", content: "answered" },
    { role: "assistant", content: "You said: answered" },
  ];
  assert.equal(before, said);
  await page.locator(".chat").hover();
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: /^Export/ }).click(),
  ]);
  assert.equal(JSON.parse(readFileSync(await saved.path(), "utf8")).slice(0, 2), said);
  await context.close();
});

test("a download that fails says why, keeps its place, and goes on", async () => {
  const { page, context } = await chat.open(
    {},
    { download_fails: { code: "HUB", message: "owner/name: the hub says 404" } },
  );
  await at(page).models.click();
  await page.getByRole("textbox", { name: "Name or address" }).fill("owner/name");
  await page.keyboard.press("Enter");
  await page.getByText("owner/name: the hub says 404").waitFor();
  await page.evaluate(() => {
    delete (window as unknown as { double: Double }).double.download_fails;
  });
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("button", { name: "Load", exact: true }).waitFor();
  await context.close();
});

test("loading is cancelled", async () => {
  const { page, context } = await chat.open({}, { load_ms: 60_000 });
  await page.locator(".model-line").getByRole("button", { name: "Cancel" }).click();
  await page.getByText("No model is loaded").waitFor();
  await change(page, { load_ms: 10 });
  await ask(page, "hello"); // starts it
  await context.close();
});

test("an answer that a reload cuts short is kept as far as it was", async () => {
  const { page, context } = await chat.open({}, { piece_ms: 150 });
  await at(page).box.fill("a message that is long enough that its answer takes some seconds to be written down here");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(2800);
  await page.reload();
  await at(page).retry.waitFor();
  const [, answer] = await texts(page);
  assert.match(answer, /^You said/);
  await context.close();
});

test("two tabs show the same chats, answer one at a time, and undo nothing of each other's", async () => {
  const { page, context } = await chat.open({}, { piece_ms: 40 });
  await ask(page, "first");
  const { page: other } = await chat.tab(context);
  await at(other).retry.waitFor();
  assert.equal(await texts(other), ["first", "You said: first"]);

  // While one answers, the other cannot in the same chat, and says why; its message is not lost.
  await at(page).box.fill("a message with a long answer that goes on and on for a while");
  await page.keyboard.press("Enter");
  await page.locator(".growing").waitFor({ state: "attached" });
  await at(other).box.fill("meanwhile");
  await other.keyboard.press("Enter");
  await other.getByText("being answered in another tab").waitFor();
  await other.waitForFunction(() => document.querySelector<HTMLTextAreaElement>("#message-box")!.value === "meanwhile");
  // Renamed in one while the other answers: both stay.
  await other.locator(".chat").hover();
  await other.getByRole("button", { name: "Rename first" }).click();
  await other.getByRole("textbox", { name: "Title" }).fill("Renamed");
  await other.keyboard.press("Enter");
  await page.locator(".chat-title", { hasText: "Renamed" }).waitFor();
  await at(page).retry.waitFor();
  await other.locator(".markdown").getByText("for a while").waitFor();
  const both = ["first", "You said: first", "a message with a long answer that goes on and on for a while"];
  assert.equal((await texts(page)).slice(0, 3), both);
  assert.equal(await texts(other), await texts(page));
  assert.is(await page.locator(".header .title").innerText(), "Renamed");

  // Each in a chat of its own, at the same time.
  await other.getByRole("button", { name: "New chat" }).click();
  await Promise.all([ask(page, "here"), ask(other, "there")]);
  for (const tab of [page, other]) {
    await tab.reload();
    await at(tab).retry.waitFor();
    assert.equal((await tab.locator(".chat-title").allInnerTexts()).sort(), ["Renamed", "there"]);
  }

  // Deleted in one, gone in the other.
  await page.locator(".chat", { hasText: "Renamed" }).hover();
  await page.getByRole("button", { name: "Delete Renamed" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await other.locator(".chat-title", { hasText: "Renamed" }).waitFor({ state: "detached" });
  await context.close();
});

test("a chat that is deleted while it is answered stays deleted", async () => {
  const { page, context } = await chat.open({}, { piece_ms: 100 });
  await at(page).box.fill("a message with a long answer that goes on and on");
  await page.keyboard.press("Enter");
  await page.locator(".growing").waitFor({ state: "attached" });
  const { page: other } = await chat.tab(context);
  await other.locator(".chat").hover();
  await other.getByRole("button", { name: /^Delete/ }).click();
  await other.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Chats are kept here").waitFor();
  await page.waitForTimeout(3000);
  await page.reload();
  await page.getByText("Chats are kept here").waitFor();
  await context.close();
});

test("without a network the page comes back as it was", async () => {
  const { page, context, complaints } = await chat.open();
  await ask(page, "online");
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    while (!(await caches.match("demo/demo-Q8_0.gguf"))) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  await context.setOffline(true);
  await page.reload();
  await at(page).retry.waitFor();
  assert.equal(await texts(page), ["online", "You said: online"]);
  await ask(page, "offline");
  assert.is(await page.evaluate(async () => (await (await fetch("demo/demo-Q8_0.gguf")).text()).length), 6);
  assert.ok(await page.evaluate(() => crossOriginIsolated));
  assert.equal(complaints, []);
  await context.close();
});

test("on a host without the headers the page gets its threads by the service worker", async () => {
  const plain = await chatPage({ engine: double, isolated: false });
  const { page, context } = await plain.open();
  await page.waitForFunction(() => crossOriginIsolated);
  await ask(page, "isolated");
  await context.close();
  await plain.close();
});

test.run();
