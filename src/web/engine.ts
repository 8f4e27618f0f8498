// The script of the engine's worker, and of the team's threads, which it starts from the same script: their names tell them.
import { serveThread } from "../model/thread.ts";
import { browser } from "../platform/browser.ts";
import { isThread, serveWithin } from "../platform/browser_threads.ts";
import type { Channel } from "./messages.ts";
import { EngineServer } from "./server.ts";
import { LibraryService } from "./service.ts";

if (isThread()) serveThread(browser, browser.host_port());
else {
  serveWithin((port) => serveThread(browser, port));
  serve(globalThis as unknown as Channel);
}

/** Answers a page. */
function serve(channel: Channel): void {
  const service = new LibraryService();
  service.server = new EngineServer(channel, service);
}
