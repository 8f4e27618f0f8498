// Threads by the web's Worker, which Deno, Bun and browsers share.
import type { HostPort, TeamWorker } from "./platform.ts";

/** The web's worker scope; the DOM library does not describe it. */
const scope = globalThis as unknown as {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
};

export function spawnWebWorker(name: string): TeamWorker {
  const entry = new URL(`../model/worker${import.meta.url.slice(-3)}`, import.meta.url);
  const worker = new Worker(entry, { type: "module", name });
  let ended = false;
  return {
    post: (message, transfer) => worker.postMessage(message, (transfer ?? []) as Transferable[]),
    on_message: (listener) => worker.addEventListener("message", (event) => listener(event.data)),
    on_failure(listener) {
      const fail = (cause: unknown) => {
        if (!ended) listener(cause);
        ended = true;
      };
      worker.addEventListener("error", (event) => {
        event.preventDefault?.(); // Deno would end the process
        fail(event.error ?? new Error(event.message));
      });
      worker.addEventListener("messageerror", () => fail(new Error("a message could not be read")));
      worker.addEventListener("close", () => fail(new Error("the thread ended"))); // Bun
    },
    async terminate() {
      ended = true;
      worker.terminate();
    },
    ref: () => (worker as unknown as { ref?(): void }).ref?.(),
    unref: () => (worker as unknown as { unref?(): void }).unref?.(),
  };
}

export const hostPort = (): HostPort => ({
  post: (message) => scope.postMessage(message),
  on_message: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
});
