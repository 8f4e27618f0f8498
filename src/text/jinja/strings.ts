// Python's string methods, for templates: lengths and places count code points, and white space is Python's.
import { bool, Fn, Int, List, Str, str, TemplateError, type Value } from "./values.ts";

const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at these too
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/u;

const character_class = (characters: string | undefined): string =>
  `[${characters === undefined ? SPACE : characters.replace(/[\\\]^-]/g, "\\$&")}]`;

// From the end by hand: a pattern that ends in $ looks from every place of a long run of spaces.
export function strip_end(text: string, characters?: string): string {
  if (characters === "") return text;
  const one = new RegExp(character_class(characters), "u");
  let end = text.length;
  while (end > 0) {
    const start = end - (end > 1 && text.codePointAt(end - 2)! > 0xffff ? 2 : 1);
    if (!one.test(text.slice(start, end))) break;
    end = start;
  }
  return text.slice(0, end);
}

export const strip_start = (text: string, characters?: string): string =>
  characters === "" ? text : text.replace(new RegExp(`^${character_class(characters)}+`, "u"), "");

export const strip = (text: string, characters?: string): string =>
  strip_start(strip_end(text, characters), characters);

export const title = (text: string): string => text.replace(/\p{L}+/gu, (word) => capitalize(word));

export function capitalize(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

/** Every occurrence, or the first `count`; an empty pattern stands before each character and at the end. */
export function replace(
  text: string,
  pattern: string,
  content: string,
  count: number,
  room: (length: number) => void,
): string {
  const parts = pattern === "" ? ["", ...text, ""] : text.split(pattern);
  const done = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  room(text.length + done * content.length);
  return (
    parts.slice(0, done + 1).join(content) +
    parts
      .slice(done + 1)
      .map((part) => pattern + part)
      .join("")
  );
}

function split(text: string, separator: string | undefined, most: number): string[] {
  if (separator === "") throw new TemplateError("split: an empty separator");
  const parts: string[] = [];
  let rest = separator === undefined ? strip_start(text) : text;
  const gap = new RegExp(`[${SPACE}]+`, "u");
  while (rest !== "" || separator !== undefined) {
    const at =
      most >= 0 && parts.length === most ? -1 : separator === undefined ? rest.search(gap) : rest.indexOf(separator);
    if (at < 0) return [...parts, rest];
    parts.push(rest.slice(0, at));
    rest = separator === undefined ? strip_start(rest.slice(at)) : rest.slice(at + separator.length);
  }
  return parts;
}

const length = (text: string): number => {
  let n = 0;
  for (const _ of text) n++;
  return n;
};

/** A method's arguments as what Python would take them for. */
class Arguments {
  readonly #args: readonly Value[];
  readonly #method: string;

  constructor(args: readonly Value[], method: string) {
    const keywords =
      args.at(-1)?.type === "KeywordArgumentsValue"
        ? (args.at(-1) as Value & { value: Map<string, Value> })
        : undefined;
    // `maxsplit` and `count` are the only keywords these methods have, and always last.
    this.#args = keywords ? [...args.slice(0, -1), ...keywords.value.values()] : args;
    this.#method = method;
  }

  text(i: number): string {
    return this.optional_text(i) ?? this.#fail("a string");
  }

  optional_text(i: number): string | undefined {
    const value = this.#args[i];
    if (value === undefined || value.type === "NullValue") return undefined;
    return value instanceof Str ? value.value : this.#fail("a string");
  }

  integer(i: number, otherwise: number): number {
    const value = this.#args[i];
    return value === undefined ? otherwise : value instanceof Int ? value.value : this.#fail("an integer");
  }

  /** A string, or a tuple or list of them. */
  texts(i: number): string[] {
    const value = this.#args[i];
    return value instanceof List ? value.value.map(str) : [this.text(i)];
  }

  list(i: number): Value[] {
    const value = this.#args[i];
    return value instanceof List ? value.value : this.#fail("a list");
  }

  #fail(expected: string): never {
    throw new TemplateError(`${this.#method}: expected ${expected}`);
  }
}

type Method = (text: string, args: Arguments, room: (length: number) => void) => Value;
const as_text =
  (change: (text: string, characters?: string) => string): Method =>
  (text, args) =>
    new Str(change(text, args.optional_text(0)));
const list_of = (texts: readonly string[]): Value => new List(texts.map((t) => new Str(t)));

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["strip", as_text(strip)],
  ["lstrip", as_text(strip_start)],
  ["rstrip", as_text(strip_end)],
  ["upper", as_text((text) => text.toUpperCase())],
  ["lower", as_text((text) => text.toLowerCase())],
  ["title", as_text(title)],
  ["capitalize", as_text(capitalize)],
  ["startswith", (text, args) => bool(args.texts(0).some((start) => text.startsWith(start)))],
  ["endswith", (text, args) => bool(args.texts(0).some((end) => text.endsWith(end)))],
  ["removeprefix", (text, args) => new Str(text.startsWith(args.text(0)) ? text.slice(args.text(0).length) : text)],
  [
    "removesuffix",
    (text, args) => new Str(text.endsWith(args.text(0)) ? text.slice(0, text.length - args.text(0).length) : text),
  ],
  ["split", (text, args) => list_of(split(text, args.optional_text(0), args.integer(1, -1)))],
  [
    "splitlines",
    (text) => {
      const lines = text.split(LINE_END);
      return list_of(lines.at(-1) === "" ? lines.slice(0, -1) : lines);
    },
  ],
  ["replace", (text, args, room) => new Str(replace(text, args.text(0), args.text(1), args.integer(2, -1), room))],
  ["count", (text, args) => new Int(args.text(0) === "" ? length(text) + 1 : text.split(args.text(0)).length - 1)],
  [
    "find",
    (text, args) => new Int(text.includes(args.text(0)) ? length(text.slice(0, text.indexOf(args.text(0)))) : -1),
  ],
  [
    "join",
    (text, args, room) => {
      const items = args.list(0).map((item) => (item instanceof Str ? item.value : fail_join(item)));
      room(items.reduce((n, item) => n + item.length + text.length, 0));
      return new Str(items.join(text));
    },
  ],
  ["isdigit", (text) => bool(/^\p{Nd}+$/u.test(text))],
]);

const fail_join = (item: Value): never => {
  throw new TemplateError(`join: expected strings, found a ${item.type}`);
};

/**
 * A method of a string, or undefined where there is none of that name.
 * @param room - called with the length of a result before it is made
 */
export function string_method(text: string, name: string, room: (length: number) => void): Value | undefined {
  const method = METHODS.get(name);
  return method && new Fn((args) => method(text, new Arguments(args, name), room));
}

export { length };
