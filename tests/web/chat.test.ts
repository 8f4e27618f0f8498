// The chat page by role and label, at three sizes, over a double of the engine: what people do with it.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ask, at, type ChatPage, chatPage, double, openChats, sizes, texts } from "./chat_page.ts";
import type { Double } from "./double.ts";

let chat: ChatPage;
const doubleOf = (page: Page): Promise<Double> => page.evaluate(() => (window as unknown as { double: Double }).double);

for (const { name, width, height } of sizes) {
  const test = suite(`chat page, ${name}`);
  const viewport = { width, height };

  test.before(async () => {
    chat = await chatPage({ engine: double });
  });
  test.after(() => chat.close());

  test("a question is answered, piece by piece, by the demo model, which nobody had to start", async () => {
    const { page, context, complaints } = await chat.open({ viewport }, { piece_ms: 30 });
    const { box, send, stop, retry, messages } = at(page);
    assert.ok(await send.isDisabled(), "nothing to send");
    assert.ok(await stop.isDisabled(), "nothing to stop");
    await box.fill("one two three four five six seven eight");
    await send.click();
    const lengths = new Set<number>();
    await messages.nth(1).waitFor();
    while (!(await retry.isVisible())) lengths.add((await messages.nth(1).innerText()).length);
    assert.ok(lengths.size >= 3, `the answer grows: ${[...lengths]}`);
    assert.equal(await texts(page), [
      "one two three four five six seven eight",
      "You said: one two three four five six seven eight",
    ]);
    assert.is(await box.inputValue(), "");
    assert.match(await messages.nth(1).innerText(), /9 tokens · [\d.]+ tokens\/s/);
    assert.equal((await doubleOf(page)).loads, ["demo"]);
    assert.equal(complaints, []);
    // Nothing is wider than the window.
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await context.close();
  });

  test("a message that is sent while the model loads waits for it", async () => {
    const { page, context } = await chat.open({ viewport }, { load_ms: 800 });
    await page.getByRole("progressbar", { name: "Loading Demo model" }).waitFor();
    assert.match(await page.locator(".model-line").innerText(), /Fetching Demo model [\d.]+ MB of 12.0 MB · 4.0 MB\/s/);
    await ask(page, "early");
    assert.equal(await texts(page), ["early", "You said: early"]);
    await context.close();
  });

  test("Stop ends an answer, and what there is of it stays, over a reload too", async () => {
    const { page, context } = await chat.open({ viewport }, { piece_ms: 80 });
    const { box, send, stop, messages, retry } = at(page);
    await box.fill("a long way to go and then a longer one and so on and on");
    await send.click();
    await page.getByText("You said").waitFor();
    await stop.click();
    await retry.waitFor();
    const [, answer] = await texts(page);
    assert.match(answer, /^You said/);
    assert.not.match(answer, /on and on$/);
    assert.match(await messages.nth(1).innerText(), /stopped/);
    assert.ok(await stop.isDisabled());
    await page.reload();
    await retry.waitFor();
    assert.equal(await texts(page), ["a long way to go and then a longer one and so on and on", answer]);
    await context.close();
  });

  test("Retry answers again, an edited message is answered anew, what came after it is gone", async () => {
    const { page, context } = await chat.open({ viewport });
    await ask(page, "first");
    await ask(page, "second");
    await page.evaluate(() => {
      (window as unknown as { double: Double }).double.answers = { second: "another answer" };
    });
    await at(page).retry.click();
    await page.getByText("another answer").waitFor();
    assert.equal(await texts(page), ["first", "You said: first", "second", "another answer"]);
    const asked = (await doubleOf(page)).turns.at(-1)!;
    assert.equal(asked.before, [
      { role: "user", content: "first" },
      { role: "assistant", content: "You said: first" },
    ]);

    const [message] = await page.locator(".message.user").all();
    await message.hover();
    await message.getByRole("button", { name: "Edit" }).click();
    const editor = page.getByRole("textbox", { name: "Edited text" });
    assert.is(await editor.inputValue(), "first");
    await editor.fill("changed");
    await page.getByRole("button", { name: "Save and answer" }).click();
    await page.getByText("You said: changed").waitFor();
    await at(page).retry.waitFor();
    assert.equal(await texts(page), ["changed", "You said: changed"]);
    await context.close();
  });

  test("several chats are kept: chosen, renamed, exported as the terminal's /save writes, deleted", async () => {
    const { page, context } = await chat.open({ viewport, acceptDownloads: true });
    await at(page).settings.click();
    await page.getByRole("textbox", { name: "System prompt" }).fill("Be brief.");
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await ask(page, "about pesto");
    await openChats(page);
    await page.getByRole("button", { name: "New chat" }).click();
    await ask(page, "about ketchup");
    await page.reload();
    await at(page).retry.waitFor();
    assert.equal(await texts(page), ["about ketchup", "You said: about ketchup"]);
    await openChats(page);
    const { chats } = at(page);
    assert.equal(await chats.locator(".chat-title").allInnerTexts(), ["about ketchup", "about pesto"]);
    await chats.getByRole("button", { name: "about pesto", exact: true }).click();
    assert.equal(await texts(page), ["about pesto", "You said: about pesto"]);

    await openChats(page);
    await chats.locator(".chat", { hasText: "about pesto" }).hover();
    await chats.getByRole("button", { name: "Rename about pesto" }).click();
    await page.getByRole("textbox", { name: "Title" }).fill("Green sauce");
    await page.keyboard.press("Enter");
    await chats.locator(".chat", { hasText: "Green sauce" }).hover();
    const [saved] = await Promise.all([
      page.waitForEvent("download"),
      chats.getByRole("button", { name: "Export Green sauce" }).click(),
    ]);
    assert.is(saved.suggestedFilename(), "green-sauce.json");
    assert.is(
      readFileSync(await saved.path(), "utf8"),
      `${JSON.stringify(
        [
          { role: "system", content: "Be brief." },
          { role: "user", content: "about pesto" },
          { role: "assistant", content: "You said: about pesto" },
        ],
        null,
        2,
      )}\n`,
    );
    await chats.getByRole("button", { name: "Delete Green sauce" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    assert.equal(await chats.locator(".chat-title").allInnerTexts(), ["about ketchup"]);
    await page.reload();
    await openChats(page);
    assert.equal(await chats.locator(".chat-title").allInnerTexts(), ["about ketchup"]);
    await context.close();
  });

  test("what was exported is imported, and gone on with", async () => {
    const { page, context } = await chat.open({ viewport });
    await openChats(page);
    const [chooser] = await Promise.all([
      page.waitForEvent("filechooser"),
      page.getByRole("button", { name: "Import" }).click(),
    ]);
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "What?" },
      { role: "assistant", content: "That." },
    ];
    await chooser.setFiles({
      name: "c.json",
      mimeType: "application/json",
      buffer: Buffer.from(JSON.stringify(messages)),
    });
    await page.getByText("That.").waitFor();
    await ask(page, "And?");
    assert.equal((await doubleOf(page)).turns.at(-1)!.before, messages);
    await context.close();
  });

  test("a file that is picked takes the demo model's place; a file that is dropped, too", async () => {
    const { page, context } = await chat.open({ viewport }, { load_ms: 100 });
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "my.gguf", mimeType: "", buffer: Buffer.from("GGUF") });
    await page.locator(".model-line", { hasText: "my.gguf" }).getByText("of memory").waitFor();
    const transfer = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(["GGUF"], "dropped.gguf"));
      return data;
    });
    await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
    await page.locator(".model-line", { hasText: "dropped.gguf" }).getByText("of memory").waitFor();
    await at(page).models.click();
    const [chooser] = await Promise.all([
      page.waitForEvent("filechooser"),
      page.getByRole("button", { name: "Open files" }).click(),
    ]);
    await chooser.setFiles(
      ["config.json", "model.safetensors", "README.md", "tokenizer.json"].map((name) => ({
        ...{ name, mimeType: "", buffer: Buffer.from(name) },
      })),
    );
    await page.locator(".model-line", { hasText: "config.json" }).getByText("of memory").waitFor();
    assert.equal((await doubleOf(page)).loads, [
      ...["demo", "my.gguf", "dropped.gguf"],
      "config.json,model.safetensors,tokenizer.json",
    ]);
    await context.close();
  });

  test("settings go with a message; one that the library refuses is told, and nothing is sent", async () => {
    const { page, context } = await chat.open({ viewport });
    await at(page).settings.click();
    await page.getByRole("spinbutton", { name: "Temperature" }).fill("0.7");
    await page.getByRole("spinbutton", { name: "Seed" }).fill("7");
    await page.getByRole("spinbutton", { name: "Top p" }).fill("3");
    await page.getByText("top_p: expected a number from 0 to 1, found 3").waitFor();
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await at(page).box.fill("hello");
    await page.keyboard.press("Enter");
    await page.getByText("Settings: top_p: expected").waitFor();
    assert.is(await at(page).box.inputValue(), "hello");
    await at(page).settings.click();
    await page.getByRole("spinbutton", { name: "Top p" }).fill("");
    await page.getByText("top_p: expected a number").first().waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await ask(page, "hello");
    await at(page).retry.click();
    await page.waitForFunction(() => (window as unknown as { double: Double }).double.turns.length === 2);
    const { turns } = await doubleOf(page);
    assert.equal(
      turns.map(({ seed, sampling }) => [seed, sampling.temperature, sampling.top_p]),
      [
        [7, 0.7, null],
        [8, 0.7, null],
      ],
    );
    await context.close();
  });

  test("models are downloaded with figures, listed, loaded, removed; a download goes on after a reload, or is cancelled", async () => {
    const { page, context } = await chat.open({ viewport }, { download_ms: 1500 });
    await page.getByText("of memory").waitFor();
    await at(page).models.click();
    const panel = page.getByRole("complementary", { name: "Models" });
    await panel.getByRole("textbox", { name: "Name or address" }).fill("owner/name:Q4_K_M");
    await panel.getByRole("button", { name: "Download", exact: true }).click();
    await panel.getByText(/[\d.]+ [MG]B of 4.0 GB · 40.0 MB\/s · (1 min|\d+ s) left/).waitFor();
    await page.reload();
    await at(page).models.click();
    await panel.getByRole("progressbar", { name: "Downloading owner/name:Q4_K_M" }).waitFor();
    await panel.getByRole("button", { name: "Cancel download" }).click();
    await panel.getByText("No model is stored.").waitFor();
    await page.reload();
    await at(page).models.click();
    await panel.getByText("No model is stored.").waitFor();
    assert.is(await panel.getByRole("progressbar", { name: /Downloading/ }).count(), 0, "cancelled for good");

    await panel.getByRole("textbox", { name: "Name or address" }).fill("owner/name:Q4_K_M");
    await page.keyboard.press("Enter");
    await panel.getByRole("button", { name: "Load", exact: true }).waitFor();
    await panel.getByText("4.0 GB used of 60.0 GB").waitFor();
    await page.waitForFunction(() =>
      (window as unknown as { double: Double }).double.loads.includes("owner/name:Q4_K_M"),
    );
    await panel.getByRole("button", { name: "Remove owner/name:Q4_K_M" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await panel.getByText("No model is stored.").waitFor();
    await context.close();
  });

  test("the heat map's figures are those that the engine told", async () => {
    const { page, context } = await chat.open({ viewport });
    await page.getByText("of memory").waitFor();
    await at(page).experts.click();
    await page.getByText("With the next answer").waitFor();
    if (width < 1100) await page.keyboard.press("Escape");
    await ask(page, "one two three four five six seven eight nine ten eleven twelve");
    const check = async () => {
      if (!(await page.getByRole("slider", { name: "Token" }).isVisible())) await at(page).experts.click();
      await page.getByRole("slider", { name: "Token" }).waitFor();
      return page
        .locator(".shares tbody tr")
        .evaluateAll((rows) =>
          rows.map((row) =>
            [...row.querySelectorAll("td")].map((cell) => [Number(cell.dataset["count"]), Number(cell.textContent)]),
          ),
        );
    };
    const { told } = await page.evaluate(() => {
      const { told } = (window as unknown as { double: Double }).double;
      return { told: told.map(({ experts, weights }) => ({ experts: [...experts], weights: [...weights] })) };
    });
    assert.ok(told.length > 8);
    const counts = Array.from({ length: 4 }, () => new Array(8).fill(0));
    for (const { experts } of told) for (let i = 0; i < 8; i++) counts[i >> 1][experts[i]]++;
    const wanted = counts.map((row) => row.map((count) => [count, Math.round((100 * count) / told.length)]));
    assert.equal(await check(), wanted);
    // A token's details, by keys.
    const slider = page.getByRole("slider", { name: "Token" });
    await slider.focus();
    await page.keyboard.press("End");
    const { experts, weights } = told.at(-1)!;
    const words = Array.from({ length: 4 }, (_, layer) => {
      const all = [0, 1].map((i) => `${experts[2 * layer + i]} (${Math.round(100 * weights[2 * layer + i])} %)`);
      return `layer ${layer}: ${all.join(", ")}`;
    });
    assert.is(
      await slider.getAttribute("aria-valuetext"),
      `Token ${told.length} of ${told.length}, “t${told.length - 1}”. ${words.join("; ")}`,
    );
    // It is kept with the chat.
    await page.reload();
    await at(page).retry.waitFor();
    assert.equal(await check(), wanted);
    await context.close();
  });

  test.run();
}
