// Where a chat's lines come from: an editor on a terminal, or a pipe.
import process from "node:process";
import readline from "node:readline";
import { PassThrough } from "node:stream";
import type { History } from "./history.ts";
import { bracketPastes, Keys, LINE_END } from "./keys.ts";

export interface ChatInput {
  /**
   * The next line, whose line ends are those that it was pasted with.
   * @param more - whether it goes on with the one before
   * @returns null at the end; `cleared` where Ctrl-C took back what was typed, `interrupted` where nothing was
   */
  read(more: boolean): Promise<{ line: string } | "cleared" | "interrupted" | null>;
  /** Calls back when Ctrl-C is pressed, or the process is told to stop, while nobody reads. */
  onInterrupt: () => void;
  close(): void;
}

type Result = Awaited<ReturnType<ChatInput["read"]>>;

/** Lines of a pipe or a file. */
export class PipedInput implements ChatInput {
  onInterrupt = (): void => {};
  private readonly lines: readline.Interface;
  private readonly iterator: AsyncIterator<string>;
  private interrupt: ((result: Result) => void) | undefined;
  private next: Promise<Result> | undefined;
  private readonly told = () => (this.interrupt ? this.interrupt("interrupted") : this.onInterrupt());

  constructor() {
    // However late the \n of a \r\n comes.
    this.lines = readline.createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
    this.iterator = this.lines[Symbol.asyncIterator]();
    process.on("SIGINT", this.told);
  }

  async read(): Promise<Result> {
    // A line that was waited for when an interrupt came is the next.
    this.next ??= this.iterator.next().then(({ done, value }) => (done ? null : { line: value }));
    const interrupted = new Promise<Result>((resolve) => {
      this.interrupt = resolve;
    });
    const result = await Promise.race([this.next, interrupted]);
    this.interrupt = undefined;
    if (result !== "interrupted") this.next = undefined;
    return result;
  }

  close(): void {
    process.removeListener("SIGINT", this.told);
    this.lines.close();
  }
}

/** A line editor: node's, with history, behind {@link Keys}. */
export class TerminalInput implements ChatInput {
  onInterrupt = (): void => {};
  private readonly editor: readline.Interface;
  private readonly keys: Keys;
  private readonly history: History;
  private readonly dumb = process.env.TERM === "dumb";
  private resolve: ((result: Result) => void) | undefined;
  private ended = false;
  private readonly feed: (chunk: string) => void;
  private readonly told = () => this.interrupted();
  private readonly unbracket = () => void (this.dumb || process.stdout.write(bracketPastes(false)));

  constructor(history: History) {
    this.history = history;
    const { stdin, stdout } = process;
    const typed = Object.assign(new PassThrough({ encoding: "utf8" }), {
      isTTY: true,
      setRawMode: (raw: boolean) => stdin.setRawMode(raw),
    });
    this.editor = readline.createInterface({
      input: typed,
      output: stdout,
      terminal: true,
      history: [...history.lines],
      historySize: 1000,
      removeHistoryDuplicates: true,
    });
    this.keys = new Keys(
      (keys) => typed.write(keys),
      (key) => (key === "interrupt" ? this.onInterrupt() : suspend()),
    );
    this.editor.on("line", (line) => {
      void this.history.add(line);
      this.settle({ line: line.replaceAll(LINE_END, "\n") });
    });
    this.editor.on("SIGINT", this.told);
    this.editor.on("close", () => {
      this.ended = true;
      if (this.resolve) process.stdout.write("\n"); // behind the prompt
      this.settle(null);
    });
    process.on("SIGINT", this.told); // from elsewhere: a terminal in raw mode sends a key
    process.on("exit", this.unbracket);
    this.feed = (chunk) => this.keys.feed(chunk);
    stdin.setEncoding("utf8").on("data", this.feed);
    stdin.once("end", () => this.editor.close());
    if (!this.dumb) stdout.write(bracketPastes(true));
  }

  read(more: boolean): Promise<Result> {
    if (this.ended) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.resolve = resolve;
      this.editor.setPrompt(more ? "… " : "> ");
      this.editor.prompt();
      this.keys.read();
    });
  }

  private settle(result: Result): void {
    const { resolve } = this;
    this.resolve = undefined;
    resolve?.(result);
  }

  private interrupted(): void {
    if (!this.resolve) {
      this.onInterrupt();
      return;
    }
    const typed = this.editor.line !== "";
    if (typed && !this.dumb) {
      // Emacs's keys: to the end of the line, and delete to its beginning.
      for (const name of ["e", "u"]) this.editor.write(null, { ctrl: true, name });
    } else {
      process.stdout.write("\n");
      Object.assign(this.editor, { line: "", cursor: 0 }); // a dumb terminal has no such keys
    }
    this.settle(typed ? "cleared" : "interrupted");
  }

  close(): void {
    process.removeListener("SIGINT", this.told);
    process.removeListener("exit", this.unbracket);
    process.stdin.removeListener("data", this.feed);
    this.unbracket();
    this.editor.close();
    process.stdin.pause();
  }
}

/** What Ctrl-Z does: to the shell, and back. */
function suspend(): void {
  if (process.platform === "win32") return;
  process.stdin.setRawMode(false);
  process.once("SIGCONT", () => process.stdin.setRawMode(true));
  process.kill(process.pid, "SIGTSTP");
}
