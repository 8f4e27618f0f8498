// Finds the added tokens in a text as llama.cpp does: the longest token wherever it stands, then the next shorter one in
// what is left, and so on. Length is that of UTF-8; of equal lengths the lower id is first.
import type { Literals, Piece } from "./literals.ts";
import type { AddedToken } from "./vocabulary.ts";

const utf8 = new TextEncoder();

export class LongestLiterals {
  private readonly all: Literals;
  /** In the order in which they are sought. */
  private readonly rank: ReadonlyMap<AddedToken, number>;

  /** @param all - finds them one beside another */
  constructor(tokens: readonly AddedToken[], all: Literals) {
    this.all = all;
    const sized = tokens.map((token) => ({ token, bytes: utf8.encode(token.content).length }));
    sized.sort((a, b) => b.bytes - a.bytes || a.token.id - b.token.id);
    this.rank = new Map(sized.map(({ token }, rank) => [token, rank]));
  }

  /** Splits `text`; empty stretches are left out, `start` is where a stretch began. */
  *split(text: string): Generator<Piece> {
    let done = 0;
    for (const { start, end, tokens } of this.all.covered(text))
      for (const { token, at } of this.find(text.slice(start, end), tokens)) {
        const from = start + at;
        if (from > done) yield { text: text.slice(done, from), start: done };
        yield { id: token.id };
        done = from + token.content.length;
      }
    if (done < text.length) yield { text: text.slice(done), start: done };
  }

  /** Which tokens stand where in a stretch, from its beginning on. */
  private find(text: string, tokens: ReadonlySet<AddedToken>): Found[] {
    const [first] = tokens;
    // What stands alone is not sought again.
    if (tokens.size === 1 && first.content.length === text.length) return [{ token: first, at: 0 }];
    const found: Found[] = [];
    let free = [{ text, start: 0 }];
    for (const token of [...tokens].sort((a, b) => this.rank.get(a)! - this.rank.get(b)!))
      free = free.flatMap((stretch) => take(stretch, token, found));
    return found.sort((a, b) => a.at - b.at);
  }
}

interface Found {
  readonly token: AddedToken;
  readonly at: number;
}

interface Stretch {
  readonly text: string;
  readonly start: number;
}

/** Adds every place of a token to `found`. @returns what is left of the stretch */
function take({ text, start }: Stretch, token: AddedToken, found: Found[]): Stretch[] {
  const left: Stretch[] = [];
  let done = 0;
  for (let at = text.indexOf(token.content); at >= 0; at = text.indexOf(token.content, done)) {
    found.push({ token, at: start + at });
    if (at > done) left.push({ text: text.slice(done, at), start: start + done });
    done = at + token.content.length;
  }
  if (done < text.length) left.push({ text: text.slice(done), start: start + done });
  return left;
}
