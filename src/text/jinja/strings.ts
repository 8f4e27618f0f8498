// Python's string methods, for templates: lengths and places count code points, and white space is Python's.
import { native } from "./arguments.ts";
import { countItems, countText, fail, spend, TEMPLATE_LIMITS } from "./limits.ts";
import { bool, characters, Int, integer, iterate, List, NONE, None, Str, Tuple, type Value, wrong } from "./values.ts";

/** Python's white space, as a class of characters. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

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

export function title(text: string): string {
  spend(text.length);
  return text.replace(/\p{L}+/gu, (word) => capitalize(word));
}

export function capitalize(text: string): string {
  if (text === "") return text;
  const first = String.fromCodePoint(text.codePointAt(0)!);
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
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
  return text.slice(0, found.end).replaceAll(pattern, content.replaceAll("$", "$$$$")) + text.slice(found.end);
}

/** Adds to a list whose length is not known beforehand. */
function grow(list: string[], item: string): void {
  if (list.length === TEMPLATE_LIMITS.items) countItems(list.length + 1);
  list.push(item);
}

function split(text: string, separator: string | undefined, most: number): string[] {
  if (separator === "") fail("split: an empty separator");
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

export function splitLines(text: string): string[] {
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

/** `split` from the end, at most `most` times. */
function splitFromEnd(text: string, separator: string, most: number): string[] {
  if (separator === "") fail("rsplit: an empty separator");
  const parts: string[] = [];
  let rest = text;
  for (let at: number; (most < 0 || parts.length < most) && (at = rest.lastIndexOf(separator)) >= 0; ) {
    grow(parts, rest.slice(at + separator.length));
    rest = rest.slice(0, at);
  }
  return [...parts, rest].reverse();
}

const CASED = /[\p{Lowercase}\p{Uppercase}\p{Lt}]/u;
export const isLower = (text: string): boolean => CASED.test(text) && text === text.toLowerCase();
export const isUpper = (text: string): boolean => CASED.test(text) && text === text.toUpperCase();

const textOf = (value: Value | undefined): string =>
  value instanceof Str ? value.value : wrong("a string", value ?? NONE);
const optionalText = (value: Value | undefined): string | undefined =>
  value === undefined || value instanceof None ? undefined : textOf(value);
const count = (value: Value | undefined, otherwise: number): number =>
  value === undefined ? otherwise : (integer(value) ?? wrong("an integer", value));
/** A string, or a tuple of them. */
const textsOf = (value: Value): string[] => (value instanceof Tuple ? value.value.map(textOf) : [textOf(value)]);
const listOf = (texts: readonly string[]): Value => new List(texts.map((t) => new Str(t)));
const tupleOf = (...texts: string[]): Value => new Tuple(texts.map((t) => new Str(t)));

/** The place of `at`, counted in code points, or -1. */
const place = (text: string, at: number): Value => new Int(at < 0 ? -1 : length(text.slice(0, at)));

type Method = readonly [parameters: readonly string[], run: (text: string, ...args: Value[]) => Value];
const change = (run: (text: string) => string): Method => [[], (text) => new Str(run(text))];
const test = (run: (text: string) => boolean): Method => [[], (text) => bool(run(text))];
const stripping = (run: (text: string, characters?: string) => string): Method => [
  ["chars"],
  (text, characters) => new Str(run(text, optionalText(characters))),
];

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["strip", stripping(strip)],
  ["lstrip", stripping(stripStart)],
  ["rstrip", stripping(stripEnd)],
  ["upper", change((text) => text.toUpperCase())],
  ["lower", change((text) => text.toLowerCase())],
  ["title", change(title)],
  ["capitalize", change(capitalize)],
  ["startswith", [["prefix!"], (text, starts) => bool(textsOf(starts).some((start) => text.startsWith(start)))]],
  ["endswith", [["suffix!"], (text, ends) => bool(textsOf(ends).some((end) => text.endsWith(end)))]],
  [
    "removeprefix",
    [["prefix!"], (text, start) => new Str(text.startsWith(textOf(start)) ? text.slice(textOf(start).length) : text)],
  ],
  [
    "removesuffix",
    [
      ["suffix!"],
      (text, end) => new Str(text.endsWith(textOf(end)) ? text.slice(0, text.length - textOf(end).length) : text),
    ],
  ],
  ["split", [["sep", "maxsplit"], (text, by, most) => listOf(split(text, optionalText(by), count(most, -1)))]],
  [
    "rsplit",
    [
      ["sep", "maxsplit"],
      (text, by, most) =>
        listOf(
          optionalText(by) === undefined && count(most, -1) < 0
            ? split(text, undefined, -1)
            : splitFromEnd(
                text,
                optionalText(by) ?? fail("rsplit: maxsplit without sep is not supported"),
                count(most, -1),
              ),
        ),
    ],
  ],
  [
    "partition",
    [
      ["sep!"],
      (text, by) => {
        const separator = textOf(by) || fail("partition: an empty separator");
        const at = text.indexOf(separator);
        return at < 0
          ? tupleOf(text, "", "")
          : tupleOf(text.slice(0, at), separator, text.slice(at + separator.length));
      },
    ],
  ],
  [
    "rpartition",
    [
      ["sep!"],
      (text, by) => {
        const separator = textOf(by) || fail("rpartition: an empty separator");
        const at = text.lastIndexOf(separator);
        return at < 0
          ? tupleOf("", "", text)
          : tupleOf(text.slice(0, at), separator, text.slice(at + separator.length));
      },
    ],
  ],
  ["splitlines", [[], (text) => listOf(splitLines(text))]],
  [
    "replace",
    [
      ["old!", "new!", "count"],
      (text, from, to, most) => new Str(replace(text, textOf(from), textOf(to), count(most, -1))),
    ],
  ],
  [
    "count",
    [
      ["sub!"],
      (text, part) =>
        new Int(
          textOf(part) === "" ? length(text) + 1 : occurrences(text, textOf(part), Number.POSITIVE_INFINITY).count,
        ),
    ],
  ],
  ["find", [["sub!"], (text, part) => place(text, text.indexOf(textOf(part)))]],
  ["rfind", [["sub!"], (text, part) => place(text, text.lastIndexOf(textOf(part)))]],
  [
    "index",
    [
      ["sub!"],
      (text, part) => place(text, text.includes(textOf(part)) ? text.indexOf(textOf(part)) : fail("index: not found")),
    ],
  ],
  [
    "join",
    [
      ["iterable!"],
      (text, given) => {
        const parts = iterate(given).map(textOf);
        countText(parts.reduce((n, item) => n + item.length + text.length, 0));
        return new Str(parts.join(text));
      },
    ],
  ],
  ["isdigit", test((text) => /^\p{Nd}+$/u.test(text))],
  ["isalpha", test((text) => /^\p{L}+$/u.test(text))],
  ["isalnum", test((text) => /^[\p{L}\p{N}]+$/u.test(text))],
  ["isspace", test((text) => text !== "" && stripEnd(text) === "")],
  ["islower", test(isLower)],
  ["isupper", test(isUpper)],
]);

/** A method of a string, or undefined where there is none of that name. */
export function stringMethod(text: string, name: string): Value | undefined {
  const method = METHODS.get(name);
  if (!method) return undefined;
  const [parameters, run] = method;
  return native(name, parameters, (...args: Value[]) => {
    spend(text.length / 4);
    return run(text, ...args);
  });
}
