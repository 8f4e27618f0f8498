// Lines become messages and commands: a backslash at a line's end goes on in the next, """ opens and closes a message of
// several lines, a line that came with line ends of its own was pasted and is one message.

/** What somebody has said to the chat. */
export type Entry =
  | { readonly kind: "message"; readonly text: string }
  /** `/save FILE`: a slash and letters, and what follows. */
  | { readonly kind: "command"; readonly name: string; readonly argument: string };

const QUOTES = '"""';

const message = (text: string): Entry | undefined => (text.trim() === "" ? undefined : { kind: "message", text });

/** A line by itself: a command where its first word is a slash and letters, so that a path is none; // is a slash. */
function single(line: string): Entry | undefined {
  const text = line.trim();
  const [word = "", name] = /^\/(\p{L}+)(?=\s|$)/u.exec(text) ?? [];
  if (name !== undefined) return { kind: "command", name, argument: text.slice(word.length).trim() };
  return message(text.startsWith("//") ? text.slice(1) : text);
}

/** Text between quotes, without the line ends beside them. */
const inner = (text: string): string => text.replace(/^\n/, "").replace(/\n$/, "");

export class MessageReader {
  /** The lines of a message that is not complete. */
  private lines: string[] = [];
  private state: "none" | "continued" | "quoted" = "none";

  /** Whether more lines are wanted. */
  get open(): boolean {
    return this.state !== "none";
  }

  /** @returns what is complete by this line; nothing where it is empty, or more is to come */
  add(line: string): Entry | undefined {
    if (this.state === "quoted") return this.quoted(line);
    const continues = !line.includes("\n") && /(?<!\\)(?:\\\\)*\\$/.test(line);
    if (continues) {
      this.lines.push(line.slice(0, -1));
      this.state = "continued";
      return undefined;
    }
    if (this.state === "continued") {
      this.lines.push(line);
      return this.end();
    }
    const begun = line.trimStart();
    if (begun.startsWith(QUOTES)) {
      const rest = begun.slice(QUOTES.length);
      if (rest.trimEnd().endsWith(QUOTES)) return message(inner(rest.trimEnd().slice(0, -QUOTES.length)));
      if (!line.includes("\n")) {
        this.state = "quoted";
        if (rest !== "") this.lines.push(rest);
        return undefined;
      }
    }
    return line.includes("\n") ? message(line.replace(/\n+$/, "")) : single(line);
  }

  private quoted(line: string): Entry | undefined {
    const text = line.trimEnd();
    if (!text.endsWith(QUOTES)) {
      this.lines.push(line);
      return undefined;
    }
    const last = text.slice(0, -QUOTES.length);
    if (last !== "") this.lines.push(last);
    return this.end();
  }

  /** There are no more lines. @returns the message that was begun */
  end(): Entry | undefined {
    const { lines } = this;
    this.clear();
    return message(lines.join("\n"));
  }

  /** Forgets the message that was begun. */
  clear(): void {
    this.lines = [];
    this.state = "none";
  }
}
