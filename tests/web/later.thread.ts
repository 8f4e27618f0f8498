// A team's thread that dies when it is given its second job, of an error that nothing of its own hears of.
import { serveThread } from "../../src/model/thread.ts";
import { browser } from "../../src/platform/browser.ts";
import type { HostPort } from "../../src/platform/platform.ts";

const { post, on_message } = browser.host_port();
let jobs = 0;
const port: HostPort = {
  post,
  on_message: (listener) =>
    on_message((message) => {
      const { type } = message as { type: string };
      if (type !== "job" || ++jobs < 2 || !self.name.endsWith(" 1")) return listener(message);
      setTimeout(() => {
        throw new Error("it died in the midst");
      });
    }),
};
serveThread(browser, port);
