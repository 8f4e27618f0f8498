// A template's source as tokens, by the rules of Jinja2 with trim_blocks and lstrip_blocks, which transformers sets.
// The library's lexer takes time by the square of white space, works on tags by replacing text (also within strings),
// and knows neither {% raw %} nor {%+ nor 1e3.
import { show } from "../../config/show.ts";
import { TemplateError } from "./limits.ts";
import { SPACE, stripEnd } from "./strings.ts";

/** What stands between tags is `text`, beginnings and ends of tags are `begin` and `end`. */
export type TokenType = "text" | "begin" | "end" | "name" | "string" | "integer" | "float" | "operator";

export interface Token {
  readonly type: TokenType;
  /** Of a text and a string, what it says; of everything else, as it stands in the source. */
  readonly value: string;
  /** Where it begins in the source. */
  readonly at: number;
}

/** A sticky pattern whose white space is Python's. */
const sticky = ({ source }: RegExp): RegExp => new RegExp(source.replaceAll("\\s", `[${SPACE}]`), "y");

const BEGIN = /\{[{%#]/g;
const RAW = sticky(/\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/);
const RAW_END = sticky(/\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/);
const ENDS: Readonly<Record<string, RegExp>> = {
  "{{": sticky(/-\}\}\s*|\}\}/),
  "{%": sticky(/\+%\}|-%\}\s*|%\}\n?/),
  "{#": sticky(/\+#\}|-#\}\s*|#\}\n?/),
};

const GAP = sticky(/\s+/);
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{M}\p{N}\p{Pc}·]+/uy;
const IDENTIFIER = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /\*\*|\/\/|[=!<>]=|[-+*/%~[\](){}<>=.:|,;]/y;
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g;
const ESCAPED: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** A problem with the line of its place in the source. */
export function locate(source: string, at: number, { message }: { message: string }): TemplateError {
  let line = 1;
  for (let i = source.indexOf("\n"); i >= 0 && i < at; i = source.indexOf("\n", i + 1)) line++;
  return new TemplateError(`line ${line}: ${message}`);
}

/** @throws TemplateError at the line of a place in the source */
export function failAt(source: string, at: number, message: string): never {
  throw locate(source, at, { message });
}

/** @param source - with line feeds alone, none at its end: what places in tokens refer to */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let lineStart = true;

  /** The match of a sticky pattern at the current place, which is then behind it. */
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (!found) return undefined;
    at = pattern.lastIndex;
    return found;
  };

  /** The text before a tag, whose sign `-` takes away white space before it, and no sign the blanks of its line. */
  const text = (from: number, to: number, sign: string, ofValue: boolean): void => {
    let value = source.slice(from, to);
    if (sign === "-") value = stripEnd(value);
    else if (sign !== "+" && !ofValue) {
      const line = value.lastIndexOf("\n") + 1;
      if ((line > 0 || lineStart) && stripEnd(value.slice(line)) === "") value = value.slice(0, line);
    }
    if (value !== "") tokens.push({ type: "text", value, at: from });
  };

  /** Where the next end of a comment or of raw text begins, which is then passed. */
  const find = (pattern: RegExp, first: string, what: string): { start: number; match: readonly string[] } => {
    const from = at;
    // Jinja2 misses the end only where there is something instead.
    if (from >= source.length) return { start: from, match: [""] };
    for (let start = source.indexOf(first, from); start >= 0; start = source.indexOf(first, start + 1)) {
      // The sign before the end of a comment is part of the end.
      at = first === "#}" && start > from && "+-".includes(source[start - 1]) ? start - 1 : start;
      const begin = at;
      const match = take(pattern);
      if (match) return { start: begin, match };
    }
    return failAt(source, from, `${what} has no end`);
  };

  const tag = (kind: string): void => {
    const open: string[] = [];
    for (;;) {
      take(GAP);
      const start = at;
      const end = open.length === 0 ? take(ENDS[kind]) : undefined;
      if (end) {
        tokens.push({ type: "end", value: kind, at: start });
        lineStart = end[0].endsWith("\n");
        return;
      }
      const float = source[at - 1] === "." ? undefined : take(FLOAT);
      const add = (type: TokenType, value: string) => tokens.push({ type, value, at: start });
      let found: RegExpExecArray | undefined;
      if (float) add("float", float[0]);
      else if ((found = take(INTEGER))) add("integer", found[0]);
      else if ((found = take(NAME))) {
        if (!IDENTIFIER.test(found[0])) failAt(source, start, `expected a name, found ${show(found[0])}`);
        add("name", found[0]);
      } else if ((found = take(STRING))) add("string", unescaped(found[0].slice(1, -1), source, start));
      else if ((found = take(OPERATOR))) {
        const [sign] = found;
        if (CLOSING[sign]) open.push(CLOSING[sign]);
        else if ((sign === ")" || sign === "]" || sign === "}") && open.pop() !== sign)
          failAt(source, start, `"${sign}" closes nothing`);
        add("operator", sign);
      } else if (at >= source.length) failAt(source, at, `${kind} has no end`);
      else failAt(source, at, `unexpected ${show(String.fromCodePoint(source.codePointAt(at)!))}`);
    }
  };

  while (at < source.length) {
    const from = at;
    BEGIN.lastIndex = at;
    const begin = BEGIN.exec(source);
    if (!begin) {
      tokens.push({ type: "text", value: source.slice(at), at });
      break;
    }
    at = begin.index;
    const kind = begin[0];
    const raw = kind === "{%" && take(RAW);
    const sign = source[begin.index + 2] ?? "";
    text(from, begin.index, sign, kind === "{{");
    if (raw) {
      lineStart = raw[0].endsWith("\n");
      const inner = at;
      const { start, match } = find(RAW_END, "{%", "{% raw %}");
      text(inner, start, match[1] ?? "", false);
      lineStart = match[0].endsWith("\n");
      continue;
    }
    at = begin.index + (sign === "-" || sign === "+" ? 3 : 2);
    if (kind === "{#") lineStart = find(ENDS[kind], "#}", "a comment").match[0].endsWith("\n");
    else {
      tokens.push({ type: "begin", value: kind, at: begin.index });
      tag(kind);
    }
  }
  return tokens;
}

/** A string's text. Escapes that Python does not know stay as they are. */
function unescaped(text: string, source: string, at: number): string {
  return text.replace(ESCAPE, (whole, octal, two, four, eight, other) => {
    if (other === "N") failAt(source, at, "characters by name (\\N) are not supported");
    if (other !== undefined) {
      if (other > "\x7f") failAt(source, at, `expected an escape, found \\ before ${show(other)}`);
      if ("xuU".includes(other)) failAt(source, at, `expected hexadecimal digits after \\${other}`);
      return Object.hasOwn(ESCAPED, other) ? ESCAPED[other] : whole;
    }
    const point = octal !== undefined ? Number.parseInt(octal, 8) : Number.parseInt(two ?? four ?? eight, 16);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      failAt(source, at, `expected a character, found \\u{${point.toString(16)}}`);
    return String.fromCodePoint(point);
  });
}
