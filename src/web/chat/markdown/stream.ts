// Markdown that grows. Blocks that have ended are made once and never looked at again; the last one is read anew as it grows,
// at once where it is short and each time by an eighth more where it is long: so all reading together is in proportion to the
// answer's length, however it is cut into pieces.
import { Lexer, type Token } from "marked";
import { extendBlock } from "./extend.ts";
import { nodesOf } from "./nodes.ts";

/** A last block up to here is read anew with every piece, in characters. */
const SHORT = 1500;
/** A block above this is shown as it stands, in characters: nesting without end and the like. */
const MOST = 200_000;

const lex = (source: string): Token[] => new Lexer({ gfm: true }).lex(source);

const silent = ({ type }: Token): boolean => type === "space";

function plain(source: string): Node[] {
  const shown = document.createElement("pre");
  shown.className = "plain";
  shown.textContent = source;
  return [shown];
}

/** Nodes of Markdown that is complete. */
export function markdown(source: string): Node[] {
  const streamed = new MarkdownStream(document.createElement("div"));
  streamed.push(source);
  streamed.end();
  return [...streamed.root.childNodes];
}

export class MarkdownStream {
  readonly root: HTMLElement;
  /** How many characters were read, over all readings: what tests look at. */
  read = 0;
  /** What has not ended: its text, how much of it is shown as Markdown, its nodes, and its last block. */
  private tail = "";
  private shown = 0;
  private nodes: Node[] = [];
  private last: Token | undefined;
  /** What of the tail is not read yet, as it stands. */
  private readonly rest = document.createTextNode("");
  private carry = "";

  /** @param root - the element that it fills */
  constructor(root: HTMLElement) {
    this.root = root;
  }

  push(piece: string): void {
    const text = this.carry + piece;
    // A line end may be cut in two.
    this.carry = text.endsWith("\r") ? "\r" : "";
    this.tail += text.slice(0, text.length - this.carry.length).replace(/\r\n?/g, "\n");
    const grown = this.tail.length - this.shown;
    if (this.tail.length <= SHORT || grown >= this.shown >> 3) this.parse();
    else this.rest.data = this.tail.slice(this.shown);
  }

  end(): void {
    this.tail += this.carry.replace("\r", "\n");
    this.carry = "";
    this.parse();
    this.rest.remove();
  }

  private parse(): void {
    this.read += this.tail.length;
    this.rest.data = "";
    let tokens: Token[];
    try {
      if (this.tail.length > MOST) throw new RangeError("too long for a block");
      tokens = lex(this.tail);
      this.keep(tokens);
    } catch {
      // Nested too deeply, or too long: whatever it is, its text is shown.
      this.replace(plain(this.tail), undefined);
    }
    this.shown = this.tail.length;
    this.root.append(this.rest);
  }

  /** Shows what was read; what has ended leaves the tail. */
  private keep(tokens: readonly Token[]): void {
    const last = tokens.findLastIndex((token) => !silent(token));
    // While the first line behind a block is not whole, it may still belong to the block: `3` before `3. third`.
    const split = last > 0 && tokens[last].raw.includes("\n") ? last : 0;
    const ended = tokens.slice(0, split);
    const from = ended.reduce((sum, { raw }) => sum + raw.length, 0);
    const open = tokens.slice(split);
    const [now] = open;
    if (from === 0 && open.every((token) => token === now || silent(token)) && this.extend(now)) return;
    const nodes = nodesOf(ended);
    this.replace([...nodes, ...nodesOf(open)], last === split ? now : undefined);
    this.nodes = this.nodes.slice(nodes.length);
    this.tail = this.tail.slice(from);
  }

  /** Whether the last block is the one before, with more in it: then only that is added. */
  private extend(now: Token | undefined): boolean {
    const before = this.last;
    if (!before || !now || this.nodes.length !== 1 || !extendBlock(this.nodes[0], before, now)) return false;
    this.last = now;
    return true;
  }

  private replace(nodes: Node[], last: Token | undefined): void {
    for (const node of this.nodes) node.parentNode?.removeChild(node);
    this.root.append(...nodes);
    this.nodes = nodes;
    this.last = last;
  }
}
