// A thread that holds a lock and a file until it is ended.
import { browser } from "../../src/platform/browser.ts";

addEventListener("message", async ({ data }) => {
  await browser.lock(data);
  const file = await browser.patch(data);
  await file.truncate(100);
  await file.sync();
  postMessage("held");
});
