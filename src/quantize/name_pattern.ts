// Regular expressions that are searched in tensors' names, in work that is bounded: an engine's own would try some patterns
// (`(.+)+x`) for longer than anyone waits. Where a part of the pattern can end, begun at some character, is found out once:
// (parts of the pattern) · (characters of the name)² steps at most.
// What is understood is what such patterns are made of: characters, `.`, classes, groups, alternatives, repetitions, ^ and $.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";

/** Characters of a pattern, and of what a repetition may be counted to. */
const MOST_CHARACTERS = 1000;
const MOST_TIMES = 255;

type Node =
  | { readonly is: "character"; readonly class: RegExp }
  | { readonly is: "start" }
  | { readonly is: "end" }
  | { readonly is: "sequence"; readonly nodes: readonly Node[] }
  | { readonly is: "either"; readonly nodes: readonly Node[] }
  | { readonly is: "times"; readonly node: Node; readonly min: number; readonly max: number };

export class NamePattern {
  readonly source: string;
  private readonly node: Node;

  /** @throws {@link InputError} naming what is no regular expression, or a part that is not understood */
  constructor(source: string, what: string) {
    this.source = source;
    this.node = new Parser(source, what).parse();
  }

  /** Whether it matches some part of a name. */
  test(name: string): boolean {
    const search = new Search(name);
    for (let at = 0; at <= name.length; at++) if (search.ends(this.node, at).size > 0) return true;
    return false;
  }
}

/** Where the parts of a pattern can end in one name. */
class Search {
  private readonly name: string;
  private readonly known = new Map<Node, (ReadonlySet<number> | undefined)[]>();

  constructor(name: string) {
    this.name = name;
  }

  /** The ends of what a node matches from character `at` on. */
  ends(node: Node, at: number): ReadonlySet<number> {
    let known = this.known.get(node);
    if (!known) this.known.set(node, (known = []));
    return (known[at] ??= this.find(node, at));
  }

  private find(node: Node, at: number): ReadonlySet<number> {
    const { name } = this;
    switch (node.is) {
      case "character":
        return new Set(at < name.length && node.class.test(name[at]) ? [at + 1] : []);
      case "start":
        return new Set(at === 0 ? [at] : []);
      case "end":
        return new Set(at === name.length ? [at] : []);
      case "either":
        return new Set(node.nodes.flatMap((each) => [...this.ends(each, at)]));
      case "sequence":
        return node.nodes.reduce<ReadonlySet<number>>((from, each) => this.after(each, from), new Set([at]));
      case "times":
        return this.repeated(node, at);
    }
  }

  private after(node: Node, from: ReadonlySet<number>): Set<number> {
    const ends = new Set<number>();
    for (const at of from) for (const end of this.ends(node, at)) ends.add(end);
    return ends;
  }

  private repeated({ node, min, max }: Node & { is: "times" }, at: number): ReadonlySet<number> {
    let last: ReadonlySet<number> = new Set([at]);
    for (let i = 0; i < min; i++) last = this.after(node, last);
    const ends = new Set(last);
    // Only what was not reached before is gone on from; after one turn for each character nothing is new.
    for (let i = min; i < max && last.size > 0; i++) {
      const next = this.after(node, last);
      last = new Set([...next].filter((end) => !ends.has(end)));
      for (const end of last) ends.add(end);
    }
    return ends;
  }
}

class Parser {
  private readonly source: string;
  private readonly what: string;
  private at = 0;

  constructor(source: string, what: string) {
    this.source = source;
    this.what = what;
  }

  parse(): Node {
    if (this.source.length > MOST_CHARACTERS) this.refuse(`of at most ${MOST_CHARACTERS} characters`);
    const node = this.either();
    if (this.at < this.source.length) this.refuse("whose groups are opened before they are closed");
    return node;
  }

  private either(): Node {
    const nodes = [this.sequence()];
    while (this.take("|")) nodes.push(this.sequence());
    return nodes.length === 1 ? nodes[0] : { is: "either", nodes };
  }

  private sequence(): Node {
    const nodes: Node[] = [];
    while (this.at < this.source.length && !/[|)]/.test(this.source[this.at])) nodes.push(this.repeated(this.one()));
    return { is: "sequence", nodes };
  }

  private one(): Node {
    if (this.take("^")) return { is: "start" };
    if (this.take("$")) return { is: "end" };
    if (this.take("(")) {
      if (this.source[this.at] === "?" && !this.take("?:")) this.refuse("without look-around and named groups");
      const node = this.either();
      if (!this.take(")")) this.refuse("whose groups are closed");
      return node;
    }
    const found =
      /^(?:\[(?!\[[:.=]|\^?\])(?:[^\]\\]|\\[\s\S])+\]|\\(?:[dDwWsS]|[^a-zA-Z0-9])|[^\\[\]{}*+?])/.exec(
        this.source.slice(this.at),
      )?.[0] ?? this.refuse("of characters, classes, groups, alternatives, repetitions, ^ and $");
    this.at += found.length;
    try {
      return { is: "character", class: new RegExp(`^(?:${found.replace(/^\/$/, "\\/")})$`, "s") };
    } catch {
      return this.refuse(`without ${show(found)}, which is no class of characters`);
    }
  }

  private repeated(node: Node): Node {
    const found = /^(?:([*+?])|\{(\d{1,3})(?:(,)(\d{1,3})?)?\})\??/.exec(this.source.slice(this.at));
    if (!found) return node;
    this.at += found[0].length;
    const [, sign, least, more, most] = found;
    const min = sign ? (sign === "+" ? 1 : 0) : Number(least);
    const max = sign ? (sign === "?" ? 1 : Infinity) : most ? Number(most) : more ? Infinity : min;
    if (min > max || min > MOST_TIMES || (max > MOST_TIMES && max !== Infinity))
      this.refuse(`with repetitions of at most ${MOST_TIMES}, the fewer first`);
    if (/^[*+?{]/.test(this.source.slice(this.at))) this.refuse("with one repetition of each part");
    return { is: "times", node, min, max };
  }

  private take(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private refuse(expected: string): never {
    throw new InputError(
      `${this.what}: expected a regular expression ${expected}, found ${show(this.source)}, character ${this.at + 1}`,
    );
  }
}
