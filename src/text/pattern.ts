// The patterns that pre-tokenizers cut a text by: alternatives of characters, classes and repetitions, as in Tekken's, and
// single characters looked at. What a pattern means is the same in Rust's regular expressions, Oniguruma and here, or it is
// refused by name: groups, references, anchors, lazy repetitions, \w and \b.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { short } from "./fields.ts";
import { character16 } from "./unicode.ts";

/** A class of characters, so and so often; or a look at the next character, which must (not) be there and of the class. */
export interface Item {
  /** The class as JavaScript writes it, e.g. `[^\p{White_Space}\p{L}]`. */
  readonly class: string;
  readonly min: number;
  readonly max: number;
  /** Whether it keeps what it has taken. */
  readonly possessive: boolean;
  readonly look: "ahead" | "not ahead" | undefined;
}

/** Tried in order; the first that fits wins, as in backtracking engines. */
export type Alternatives = readonly (readonly Item[])[];

/** Repetitions are no more than these. */
const MOST_TIMES = 1000;

/** General categories but those of what is unassigned, which change with Unicode's version. */
const CATEGORIES = new Set(
  "L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp Cc Cf".split(" "),
);

/** Escapes of one meaning everywhere. JavaScript's own \s has U+FEFF and lacks U+0085. */
const ESCAPES: Readonly<Record<string, string>> = {
  s: "\\p{White_Space}",
  S: "\\P{White_Space}",
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  n: "\\n",
  r: "\\r",
  t: "\\t",
};

/** @throws {@link TokenizerError} naming what is not supported, and where in the pattern */
export function parsePattern(source: string, where: string): Alternatives {
  const newer = [...short(source, where)].find((c) => character16(c.codePointAt(0)!) !== c);
  if (newer) throw new TokenizerError(`${where}: ${show(newer)} is not supported: expected characters of Unicode 16`);
  return new PatternParser(source, where).alternatives();
}

class PatternParser {
  private readonly points: readonly string[];
  private readonly where: string;
  private at = 0;

  constructor(source: string, where: string) {
    this.points = [...source];
    this.where = where;
  }

  alternatives(): Alternatives {
    const all = [this.alternative()];
    while (this.take("|")) all.push(this.alternative());
    if (this.at < this.points.length) this.refuse(this.points[this.at]);
    return all;
  }

  private alternative(): Item[] {
    const items: Item[] = [];
    const start = this.at;
    while (this.at < this.points.length && this.points[this.at] !== "|" && this.points[this.at] !== ")")
      items.push(this.item());
    if (!items.some(({ min, look }) => min > 0 && look === undefined))
      throw new TokenizerError(
        `${this.where}: expected alternatives that need a character, found ${show(this.points.slice(start, this.at).join(""))}`,
      );
    return items;
  }

  private item(): Item {
    if (!this.take("(")) return { ...this.repeated(this.one()), look: undefined };
    const look = this.take("?!")
      ? "not ahead"
      : this.take("?=")
        ? "ahead"
        : this.refuse(`(${this.points.slice(this.at, this.at + 2).join("")}`);
    const item = { class: this.one(), min: 1, max: 1, possessive: false, look } as const;
    if (!this.take(")")) this.refuse("( of more than one character");
    return item;
  }

  /** One character or class. */
  private one(): string {
    const c = this.points[this.at++];
    if (c === "[") return this.class();
    if (c === "\\") return this.escape();
    if (c === undefined || ".^$()]{}|*+?".includes(c)) this.refuse(c);
    return literal(c);
  }

  private escape(): string {
    const c = this.points[this.at++];
    if (c === "p" || c === "P") {
      const end = this.points[this.at] === "{" ? this.points.indexOf("}", this.at) : -1;
      const name = this.points.slice(this.at + 1, end).join("");
      if (end < 0 || !CATEGORIES.has(name)) this.refuse(`\\${c}{${end < 0 ? "" : name}}`);
      this.at = end + 1;
      return `\\${c}{${name}}`;
    }
    if (c !== undefined && Object.hasOwn(ESCAPES, c)) return ESCAPES[c];
    if (c === undefined || /[\p{L}\p{N}\s]/u.test(c)) this.refuse(`\\${c ?? ""}`);
    return literal(c);
  }

  private class(): string {
    const negated = this.take("^");
    let inner = "";
    while (!this.take("]")) {
      const c = this.points[this.at++];
      const next = this.points[this.at];
      // Set operations and nested classes of the other engines.
      if (c === undefined || c === "[" || ("&-~".includes(c) && next === c)) this.refuse(c ?? "[ without an end");
      if (c === "\\") inner += this.escape();
      else if (c === "-") inner += inner === "" || next === "]" ? "\\-" : this.refuse("- between classes");
      else if (next === "-" && this.points[this.at + 1] !== "]") {
        const last = this.points[this.at + 1];
        if (last === undefined || "[\\-".includes(last) || last.codePointAt(0)! < c.codePointAt(0)!)
          this.refuse(`${c}-${last ?? ""}`);
        inner += `${literal(c)}-${literal(last)}`;
        this.at += 2;
      } else inner += literal(c);
    }
    if (inner === "") this.refuse("an empty class");
    return `[${negated ? "^" : ""}${inner}]`;
  }

  private repeated(one: string): Omit<Item, "look"> {
    const [min, max, counted] = this.times();
    // Behind a count, + is another repetition in one engine and possessive in another.
    const possessive = min !== max && !counted && this.take("+");
    const c = this.points[this.at];
    if (c !== undefined && "?*+{".includes(c)) this.refuse(`${c} behind a repetition`);
    return { class: one, min, max, possessive };
  }

  private times(): [min: number, max: number, counted: boolean] {
    const endless = Number.POSITIVE_INFINITY;
    if (this.take("?")) return [0, 1, false];
    if (this.take("*")) return [0, endless, false];
    if (this.take("+")) return [1, endless, false];
    if (!this.take("{")) return [1, 1, false];
    const end = this.points.indexOf("}", this.at);
    const text = this.points.slice(this.at, end).join("");
    const [, from, comma, to] = /^(\d{1,4})(,?)(\d{0,4})$/.exec(end < 0 ? "" : text) ?? this.refuse("{");
    const min = Number(from);
    const max = to !== "" ? Number(to) : comma ? endless : min;
    if (min > max || min > MOST_TIMES || max === 0 || (max > MOST_TIMES && max !== endless)) this.refuse(`{${text}}`);
    this.at = end + 1;
    return [min, max, true];
  }

  private take(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.points[this.at + i] !== text[i]) return false;
    this.at += text.length;
    return true;
  }

  private refuse(what: string | undefined): never {
    throw new TokenizerError(
      `${this.where}: ${show(what ?? "an early end")} is not supported, at character ${this.at} of ${show(this.points.join(""))}`,
    );
  }
}

/** A character as it stands in a JavaScript class or pattern. */
const literal = (c: string): string => `\\u{${c.codePointAt(0)!.toString(16)}}`;
