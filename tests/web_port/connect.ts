// An engine for the page's half of the library without a browser: the worker's half in the same process, at the other end of a
// channel. What crosses is cloned as it is between a page and a worker.

import type { Channel } from "../../src/web/messages.ts";
import { connectBy } from "../../src/web/page.ts";
import { EngineServer } from "../../src/web/server.ts";
import { LibraryService } from "../../src/web/service.ts";

/** How many engines have been started, and ended. */
export const engines = { started: 0, ended: 0 };

/** Has the last engine fail, as a worker that died does. */
export let die: (cause: unknown) => void = () => {};

connectBy((failed) => {
  const { port1, port2 } = new MessageChannel();
  const service = new LibraryService();
  service.server = new EngineServer(port1 as unknown as Channel, service);
  engines.started++;
  die = failed;
  return {
    channel: port2 as unknown as Channel,
    end() {
      engines.ended++;
      port1.close();
      port2.close();
    },
  };
});
