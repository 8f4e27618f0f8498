// Finds the added tokens in a text: the leftmost, and of those the longest, as Hugging Face's tokenizers does.
import type { AddedToken } from "./vocabulary.ts";

interface Node {
  readonly children: Map<number, Node>;
  token?: AddedToken;
}

/** A stretch of text, or the added token that stands in its place. */
export type Piece = { readonly text: string; readonly start: number } | { readonly id: number };

const node = (): Node => ({ children: new Map() });
// What Rust's regular expressions call \w and \s; JavaScript's differ.
const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const space = /^\p{White_Space}$/u;

export class Literals {
  private readonly root = node();
  readonly size: number;

  /** @param patterns - each token with the text that it is found by */
  constructor(patterns: readonly (readonly [string, AddedToken])[]) {
    for (const [pattern, token] of patterns) {
      let at = this.root;
      for (let i = 0; i < pattern.length; i++) {
        const unit = pattern.charCodeAt(i);
        const child = at.children.get(unit) ?? node();
        at.children.set(unit, child);
        at = child;
      }
      at.token = token;
    }
    this.size = patterns.length;
  }

  /** Splits `text`; empty stretches are left out, `start` is where a stretch began. */
  *split(text: string): Generator<Piece> {
    let done = 0;
    for (let i = 0; this.size > 0 && i < text.length; ) {
      const found = this.longest(text, i);
      const end = found ? i + found.length : i + 1;
      if (found && !(found.token.single_word && insideWord(text, i, end))) {
        const { lstrip, rstrip, id } = found.token;
        let start = Math.max(done, i);
        while (lstrip && start > done && space.test(text[start - 1])) start--;
        if (start > done) yield { text: text.slice(done, start), start: done };
        yield { id };
        done = end;
        while (rstrip && done < text.length && space.test(text[done])) done++;
      }
      i = end;
    }
    if (done < text.length) yield { text: text.slice(done), start: done };
  }

  /** The stretches of `text` that tokens cover, those that overlap together, with all tokens that stand in them. */
  *covered(text: string): Generator<{ start: number; end: number; tokens: ReadonlySet<AddedToken> }> {
    for (let start = 0; this.size > 0 && start < text.length; ) {
      const tokens = new Set<AddedToken>();
      let end = start;
      for (let from = start; from === start || from < end; from++) {
        let at = this.root.children.get(text.charCodeAt(from));
        for (let i = from + 1; at; i++) {
          if (at.token) {
            tokens.add(at.token);
            end = Math.max(end, i);
          }
          at = i < text.length ? at.children.get(text.charCodeAt(i)) : undefined;
        }
      }
      if (end > start) yield { start, end, tokens };
      start = Math.max(end, start + 1);
    }
  }

  private longest(text: string, start: number): { token: AddedToken; length: number } | undefined {
    let found: { token: AddedToken; length: number } | undefined;
    let at: Node | undefined = this.root;
    for (let i = start; i < text.length && at; i++) {
      at = at.children.get(text.charCodeAt(i));
      if (at?.token) found = { token: at.token, length: i + 1 - start };
    }
    return found;
  }
}

const insideWord = (text: string, start: number, end: number): boolean =>
  wordAtEnd.test(text.slice(Math.max(0, start - 2), start)) || wordAtStart.test(text.slice(end, end + 2));
