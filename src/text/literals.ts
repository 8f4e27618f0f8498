// Finds the added tokens in a text: the leftmost, and of those the longest, as Hugging Face's tokenizers does.
import { Automaton } from "./automaton.ts";
import type { AddedToken } from "./vocabulary.ts";

/** A stretch of text, or the added token that stands in its place. */
export type Piece = { readonly text: string; readonly start: number } | { readonly id: number };

// What Rust's regular expressions call \w and \s; JavaScript's differ.
const wordAtEnd = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const wordAtStart = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const space = /^\p{White_Space}$/u;

export class Literals {
  readonly size: number;
  private readonly patterns: readonly string[];
  private readonly tokens: readonly AddedToken[];
  private readonly automaton: Automaton;

  /** @param patterns - each token with the text that it is found by; of equal texts the last counts */
  constructor(patterns: readonly (readonly [string, AddedToken])[]) {
    const distinct = new Map(patterns.filter(([pattern]) => pattern !== ""));
    this.patterns = [...distinct.keys()];
    this.tokens = [...distinct.values()];
    this.size = distinct.size;
    this.automaton = new Automaton(this.patterns);
  }

  /**
   * Splits `text`; empty stretches are left out, `start` is where a stretch began.
   * @param spell_special - special tokens are found and left as text
   */
  *split(text: string, spell_special = false): Generator<Piece> {
    // The places at which tokens begin, the last first.
    const starts: number[] = [];
    const found: number[] = [];
    if (this.size > 0)
      this.automaton.scan(text, (start, node) => {
        starts.push(start);
        found.push(this.automaton.patternAt(node));
      });
    let done = 0;
    let next = 0; // no token begins before it
    for (let k = starts.length - 1; k >= 0; k--) {
      const i = starts[k];
      if (i < next) continue;
      const { single_word, lstrip, rstrip, id, special } = this.tokens[found[k]];
      const end = i + this.patterns[found[k]].length;
      next = end;
      if ((spell_special && special) || (single_word && insideWord(text, i, end))) continue;
      let start = Math.max(done, i);
      while (lstrip && start > done && space.test(text[start - 1])) start--;
      if (start > done) yield { text: text.slice(done, start), start: done };
      yield { id };
      done = end;
      while (rstrip && done < text.length && space.test(text[done])) done++;
    }
    if (done < text.length) yield { text: text.slice(done), start: done };
  }
}

const insideWord = (text: string, start: number, end: number): boolean =>
  wordAtEnd.test(text.slice(Math.max(0, start - 2), start)) || wordAtStart.test(text.slice(end, end + 2));
