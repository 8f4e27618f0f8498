// Keys as a terminal sends them, between it and the line editor. What is pasted becomes text of one line; what is typed while
// nobody reads is held until somebody does, one line at a time.

/** Stands for a line end within a line. */
export const LINE_END = "⏎";

const [BEGIN, END] = ["\x1b[200~", "\x1b[201~"]; // of a paste, where the terminal brackets them

const [INTERRUPT, SUSPEND] = ["\x03", "\x1a"]; // Ctrl-C, Ctrl-Z

/** Has the terminal say where a paste begins and ends, or no more. */
export const bracketPastes = (on: boolean): string => `\x1b[?2004${on ? "h" : "l"}`;

/** What would be a key, were it typed: all control characters but tabs. */
const keys = /(?!\t)\p{Cc}/gu;

export class Keys {
  /** Told of Ctrl-C and Ctrl-Z while nobody reads. */
  private readonly told: (key: "interrupt" | "suspend") => void;
  private readonly pass: (keys: string) => void;
  private reading = false;
  private held = "";
  /** The text of the paste that has begun. */
  private pasted: string | undefined;
  /** What may become the mark of a paste. */
  private partial = "";

  constructor(pass: (keys: string) => void, told: (key: "interrupt" | "suspend") => void) {
    this.pass = pass;
    this.told = told;
  }

  /** Lets keys through up to the end of a line. */
  read(): void {
    this.reading = true;
    const { held } = this;
    this.held = "";
    this.give(held);
  }

  feed(chunk: string): void {
    let text = this.partial + chunk;
    this.partial = "";
    const key = chunk === "\x1b"; // by itself, it is no beginning of a mark
    while (text !== "") {
      const mark = this.pasted === undefined ? BEGIN : END;
      const at = text.indexOf(mark);
      const least = key && this.pasted === undefined ? 2 : 1;
      const until = at >= 0 ? at : text.length - partOf(mark, text, least);
      const before = text.slice(0, until);
      if (this.pasted === undefined) this.typed(before);
      else this.pasted += before;
      if (at < 0) {
        this.partial = text.slice(until);
        return;
      }
      text = text.slice(at + mark.length);
      if (this.pasted === undefined) this.pasted = "";
      else {
        this.give(this.pasted.replace(/\r\n?|\n/g, LINE_END).replace(keys, ""));
        this.pasted = undefined;
      }
    }
  }

  /** Keys: those behind a line's end come when nobody reads. */
  private typed(text: string): void {
    const keys = text.replace(/\r\n?|\n/g, "\r");
    const end = this.reading ? keys.indexOf("\r") + 1 || keys.length : 0;
    if (end > 0) this.give(keys.slice(0, end));
    let rest = "";
    for (const key of keys.slice(end)) {
      if (key === INTERRUPT) this.told("interrupt");
      else if (key === SUSPEND) this.told("suspend");
      else rest += key;
    }
    this.give(rest);
  }

  /** Lets keys through to the end of a line, and holds the rest. */
  private give(text: string): void {
    const end = this.reading ? text.indexOf("\r") : -1;
    const line = this.reading ? (end < 0 ? text : text.slice(0, end + 1)) : "";
    this.held += text.slice(line.length);
    if (end >= 0) this.reading = false;
    if (line !== "") this.pass(line);
  }
}

/** How many characters at the end of a text are the beginning of a mark: none, or at least `least`. */
function partOf(mark: string, text: string, least: number): number {
  for (let length = Math.min(mark.length - 1, text.length); length >= least; length--)
    if (text.endsWith(mark.slice(0, length))) return length;
  return 0;
}
