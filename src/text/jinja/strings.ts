// Python's string methods, for templates: lengths and places count code points, and white space is Python's.
import { countItems, countText, TEMPLATE_LIMITS, TemplateError } from "./limits.ts";
import { bool, Fn, Int, List, Str, str, type Value } from "./values.ts";

const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at these too
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/gu;

const characterClass = (characters: string | undefined): string =>
  `[${characters === undefined ? SPACE : characters.replace(/[\\\]^-]/g, "\\$&")}]`;

// From the end by hand: a pattern that ends in $ looks from every place of a long run of spaces.
export function stripEnd(text: string, characters?: string): string {
  if (characters === "") return text;
  const one = new RegExp(characterClass(characters), "u");
  let end = text.length;
  while (end > 0) {
    const start = end - (end > 1 && text.codePointAt(end - 2)! > 0xffff ? 2 : 1);
    if (!one.test(text.slice(start, end))) break;
    end = start;
  }
  return text.slice(0, end);
}

export const stripStart = (text: string, characters?: string): string =>
  characters === "" ? text : text.replace(new RegExp(`^${characterClass(characters)}+`, "u"), "");

export const strip = (text: string, characters?: string): string => stripStart(stripEnd(text, characters), characters);

export const title = (text: string): string => text.replace(/\p{L}+/gu, (word) => capitalize(word));

export function capitalize(text: string): string {
  if (text === "") return text;
  const first = String.fromCodePoint(text.codePointAt(0)!);
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** The characters of a text that is short enough to be a list of them. */
export function characters(text: string): string[] {
  countItems(text.length);
  return [...text];
}

/** How often a pattern occurs, `most` at most, and where the last of these ends. */
function occurrences(text: string, pattern: string, most: number): { count: number; end: number } {
  let [count, end] = [0, 0];
  for (let at = 0; count < most && (at = text.indexOf(pattern, end)) >= 0; count++) end = at + pattern.length;
  return { count, end };
}

/** Every occurrence replaced, or the first `count`; an empty pattern stands before each character and at the end. */
export function replace(text: string, pattern: string, content: string, count: number): string {
  const most = count < 0 ? Number.POSITIVE_INFINITY : count;
  if (pattern === "") {
    const parts = ["", ...characters(text)];
    const done = Math.min(most, parts.length);
    countText(text.length + done * content.length);
    return parts.map((part, i) => part + (i < done ? content : "")).join("");
  }
  const found = occurrences(text, pattern, most);
  countText(text.length + found.count * content.length);
  return text.slice(0, found.end).replaceAll(pattern, () => content) + text.slice(found.end);
}

/** Adds to a list whose length is not known beforehand. */
function grow(list: string[], item: string): void {
  if (list.length === TEMPLATE_LIMITS.items) countItems(list.length + 1);
  list.push(item);
}

function split(text: string, separator: string | undefined, most: number): string[] {
  if (separator === "") throw new TemplateError("split: an empty separator");
  const parts: string[] = [];
  let rest = separator === undefined ? stripStart(text) : text;
  const gap = new RegExp(`[${SPACE}]+`, "u");
  while (rest !== "" || separator !== undefined) {
    const at =
      most >= 0 && parts.length === most ? -1 : separator === undefined ? rest.search(gap) : rest.indexOf(separator);
    if (at < 0) return [...parts, rest];
    grow(parts, rest.slice(0, at));
    rest = separator === undefined ? stripStart(rest.slice(at)) : rest.slice(at + separator.length);
  }
  return parts;
}

function splitLines(text: string): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    grow(lines, text.slice(start, index));
    start = index + end.length;
  }
  return start < text.length ? [...lines, text.slice(start)] : lines;
}

export const length = (text: string): number => {
  let n = 0;
  for (const _ of text) n++;
  return n;
};

/** A method's arguments as what Python would take them for. */
class Arguments {
  private readonly args: readonly Value[];
  private readonly method: string;

  constructor(args: readonly Value[], method: string) {
    const keywords =
      args.at(-1)?.type === "KeywordArgumentsValue"
        ? (args.at(-1) as Value & { value: Map<string, Value> })
        : undefined;
    // `maxsplit` and `count` are the only keywords these methods have, and always last.
    this.args = keywords ? [...args.slice(0, -1), ...keywords.value.values()] : args;
    this.method = method;
  }

  text(i: number): string {
    return this.optionalText(i) ?? this.fail("a string");
  }

  optionalText(i: number): string | undefined {
    const value = this.args[i];
    if (value === undefined || value.type === "NullValue") return undefined;
    return value instanceof Str ? value.value : this.fail("a string");
  }

  integer(i: number, otherwise: number): number {
    const value = this.args[i];
    return value === undefined ? otherwise : value instanceof Int ? value.value : this.fail("an integer");
  }

  /** A string, or a tuple or list of them. */
  texts(i: number): string[] {
    const value = this.args[i];
    return value instanceof List ? value.value.map(str) : [this.text(i)];
  }

  list(i: number): Value[] {
    const value = this.args[i];
    return value instanceof List ? value.value : this.fail("a list");
  }

  private fail(expected: string): never {
    throw new TemplateError(`${this.method}: expected ${expected}`);
  }
}

type Method = (text: string, args: Arguments) => Value;
const asText =
  (change: (text: string, characters?: string) => string): Method =>
  (text, args) =>
    new Str(change(text, args.optionalText(0)));
const listOf = (texts: readonly string[]): Value => new List(texts.map((t) => new Str(t)));

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["strip", asText(strip)],
  ["lstrip", asText(stripStart)],
  ["rstrip", asText(stripEnd)],
  ["upper", asText((text) => text.toUpperCase())],
  ["lower", asText((text) => text.toLowerCase())],
  ["title", asText(title)],
  ["capitalize", asText(capitalize)],
  ["startswith", (text, args) => bool(args.texts(0).some((start) => text.startsWith(start)))],
  ["endswith", (text, args) => bool(args.texts(0).some((end) => text.endsWith(end)))],
  ["removeprefix", (text, args) => new Str(text.startsWith(args.text(0)) ? text.slice(args.text(0).length) : text)],
  [
    "removesuffix",
    (text, args) => new Str(text.endsWith(args.text(0)) ? text.slice(0, text.length - args.text(0).length) : text),
  ],
  ["split", (text, args) => listOf(split(text, args.optionalText(0), args.integer(1, -1)))],
  ["splitlines", (text) => listOf(splitLines(text))],
  ["replace", (text, args) => new Str(replace(text, args.text(0), args.text(1), args.integer(2, -1)))],
  [
    "count",
    (text, args) =>
      new Int(args.text(0) === "" ? length(text) + 1 : occurrences(text, args.text(0), Number.POSITIVE_INFINITY).count),
  ],
  [
    "find",
    (text, args) => new Int(text.includes(args.text(0)) ? length(text.slice(0, text.indexOf(args.text(0)))) : -1),
  ],
  [
    "join",
    (text, args) => {
      const items = args.list(0).map((item) => (item instanceof Str ? item.value : failJoin(item)));
      countText(items.reduce((n, item) => n + item.length + text.length, 0));
      return new Str(items.join(text));
    },
  ],
  ["isdigit", (text) => bool(/^\p{Nd}+$/u.test(text))],
]);

const failJoin = (item: Value): never => {
  throw new TemplateError(`join: expected strings, found a ${item.type}`);
};

/** A method of a string, or undefined where there is none of that name. */
export function stringMethod(text: string, name: string): Value | undefined {
  const method = METHODS.get(name);
  return method && new Fn((args) => method(text, new Arguments(args, name)));
}
