// A thread that runs within its host's, for runtimes that cannot share memory with others: messages are handed over as they
// are, one in each turn, and both sides see the same ports as with a thread of its own.
import type { HostPort, TeamWorker, Threads } from "./platform.ts";

type Listener = (message: unknown) => void | Promise<void>;

/** One side's messages, in their order: each is heard when what the one before it began has come to its end. */
class Line {
  private readonly messages: unknown[] = [];
  private readonly listeners: Listener[] = [];
  private readonly turn: Threads["next_turn"];
  private readonly failed: (cause: unknown) => void;
  private busy = false;
  private closed = false;

  constructor(turn: Threads["next_turn"], failed: (cause: unknown) => void) {
    this.turn = turn;
    this.failed = failed;
  }

  add(listener: Listener): void {
    this.listeners.push(listener);
    this.wake();
  }

  post(message: unknown): void {
    if (this.closed) return;
    this.messages.push(message);
    this.wake();
  }

  close(): void {
    this.closed = true;
    this.messages.length = 0;
    this.listeners.length = 0; // and all that they refer to
  }

  private wake(): void {
    if (this.busy || this.listeners.length === 0 || this.messages.length === 0) return;
    this.busy = true;
    this.turn(() => void this.deliver());
  }

  private async deliver(): Promise<void> {
    try {
      // None where it was closed meanwhile.
      for (const message of this.messages.splice(0, 1)) for (const listener of this.listeners) await listener(message);
    } catch (cause) {
      if (!this.closed) this.failed(cause);
    } finally {
      this.busy = false;
      this.wake();
    }
  }
}

/**
 * `spawn` of a Platform.
 * @param serve - what the thread runs
 * @param turn - calls back when what is ready to run now has run
 */
export function spawnWithin(serve: (port: HostPort) => void, turn: Threads["next_turn"]): TeamWorker {
  const causes: ((cause: unknown) => void)[] = [];
  let ended = false;
  const fail = (cause: unknown) => {
    if (ended) return;
    ended = true;
    for (const listener of causes) listener(cause);
  };
  const to_thread = new Line(turn, fail);
  // What the host's own listeners throw is its own.
  const to_host = new Line(turn, (cause) => {
    throw cause;
  });
  const port: HostPort = {
    post: (message) => to_host.post(message),
    on_message: (listener) => to_thread.add(listener),
  };
  turn(() => {
    if (ended) return;
    try {
      serve(port);
    } catch (cause) {
      fail(cause);
    }
  });
  return {
    post: (message) => to_thread.post(message),
    on_message: (listener) => to_host.add(listener),
    on_failure: (listener) => void causes.push(listener),
    async terminate() {
      ended = true;
      to_thread.close();
      to_host.close();
    },
    ref() {},
    unref() {},
  };
}
