// Finds the added tokens in a text as llama.cpp does: the longest token wherever it stands, then the next shorter one in
// what is left, and so on. Length is that of UTF-8; of equal lengths the lower id is first.
import type { Literals, Piece } from "./literals.ts";
import type { AddedToken } from "./vocabulary.ts";

const utf8 = new TextEncoder();

export class LongestLiterals {
  private readonly all: Literals;
  /** In the order in which they are sought. */
  private readonly rank: ReadonlyMap<AddedToken, number>;

  /** @param all - tells which tokens occur at all, so that only these are sought */
  constructor(tokens: readonly AddedToken[], all: Literals) {
    this.all = all;
    const sized = tokens.map((token) => ({ token, bytes: utf8.encode(token.content).length }));
    sized.sort((a, b) => b.bytes - a.bytes || a.token.id - b.token.id);
    this.rank = new Map(sized.map(({ token }, rank) => [token, rank]));
  }

  /** Splits `text`; empty stretches are left out, `start` is where a stretch began. */
  split(text: string): Piece[] {
    const present = [...this.all.occurring(text)].sort((a, b) => this.rank.get(a)! - this.rank.get(b)!);
    let pieces: Piece[] = text === "" ? [] : [{ text, start: 0 }];
    for (const { content, id } of present)
      pieces = pieces.flatMap((piece) => ("id" in piece ? [piece] : cut(piece.text, piece.start, content, id)));
    return pieces;
  }
}

function cut(text: string, start: number, literal: string, id: number): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, done)) {
    if (at > done) pieces.push({ text: text.slice(done, at), start: start + done });
    pieces.push({ id });
    done = at + literal.length;
  }
  if (done < text.length) pieces.push({ text: text.slice(done), start: start + done });
  return pieces;
}
