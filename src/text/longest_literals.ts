// Finds the added tokens in a text as llama.cpp does: the longest token wherever it stands, then the next shorter one in
// what is left, and so on. Length is that of UTF-8; of equal lengths the lower id is first, of one token the leftmost.
import { Automaton } from "./automaton.ts";
import { Heap } from "./heap.ts";
import type { Piece } from "./literals.ts";
import type { AddedToken } from "./vocabulary.ts";

const utf8 = new TextEncoder();

/** Places of a text are below. */
const PLACES = 2 ** 31;

export class LongestLiterals {
  /** In the order in which they are sought. */
  private readonly tokens: readonly AddedToken[];
  private readonly automaton: Automaton;

  constructor(tokens: readonly AddedToken[]) {
    const sized = tokens.map((token) => ({ token, bytes: utf8.encode(token.content).length }));
    sized.sort((a, b) => b.bytes - a.bytes || a.token.id - b.token.id);
    const texts = new Set<string>();
    this.tokens = sized.flatMap(({ token }) => {
      if (token.content === "" || texts.has(token.content)) return [];
      texts.add(token.content);
      return [token];
    });
    this.automaton = new Automaton(this.tokens.map(({ content }) => content));
  }

  /**
   * Splits `text`; empty stretches are left out, `start` is where a stretch began.
   * @param spell_special - special tokens are not sought
   */
  *split(text: string, spell_special = false): Generator<Piece> {
    let done = 0;
    for (const { start, token } of this.find(text, spell_special)) {
      if (start > done) yield { text: text.slice(done, start), start: done };
      yield { id: token.id };
      done = start + token.content.length;
    }
    if (done < text.length) yield { text: text.slice(done), start: done };
  }

  /** Which tokens stand where, from the text's beginning on. */
  private find(text: string, spell_special: boolean): Found[] {
    const { automaton, tokens } = this;
    // Of every place at which tokens begin, the longest that was not tried yet.
    const nodes = new Map<number, number>();
    automaton.scan(text, (start, node) => void nodes.set(start, node));
    const next = new Heap(nodes.size);
    for (const [start, node] of nodes) next.push(automaton.patternAt(node) * PLACES + start);
    const taken = new Uint8Array(nodes.size > 0 ? text.length : 0);
    const found: Found[] = [];
    while (next.size > 0) {
      const key = next.pop();
      const start = key % PLACES;
      const token = tokens[(key - start) / PLACES];
      const end = start + token.content.length;
      // What was taken before is no shorter: where it reaches into this place, it has one of its ends.
      if (taken[start]) continue;
      if (!taken[end - 1] && !(spell_special && token.special)) {
        taken.fill(1, start, end);
        found.push({ start, token });
        continue;
      }
      const shorter = automaton.shorter(nodes.get(start)!);
      if (shorter === 0) continue;
      nodes.set(start, shorter);
      next.push(automaton.patternAt(shorter) * PLACES + start);
    }
    return found.sort((a, b) => a.start - b.start);
  }
}

interface Found {
  readonly start: number;
  readonly token: AddedToken;
}
