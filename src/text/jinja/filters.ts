// Jinja's filters, as Python has them.
import { showName } from "../../config/show.ts";
import { argument, attribute, type FilterCall, flag, integer, pathOf, textArgument } from "./filter_call.ts";
import { countItems, countText, TemplateError } from "./limits.ts";
import { capitalize, characters, length, replace, strip } from "./strings.ts";
import { iterate, testNamed, wrong } from "./tests.ts";
import {
  compare,
  entries,
  Float,
  Int,
  type JSONStyle,
  List,
  None,
  number,
  numeric,
  Str,
  str,
  Tuple,
  toJSON,
  truth,
  UNDEFINED,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, call: FilterCall) => Value;

/** Strings are ordered without regard to case, as Jinja's sort does unless told otherwise. */
const sortKey = (value: Value, caseSensitive: boolean): Value =>
  value instanceof Str && !caseSensitive ? new Str(value.value.toLowerCase()) : value;

function sorted(
  items: readonly Value[],
  by: (item: Value) => Value,
  reverse: boolean,
  caseSensitive: boolean,
): Value[] {
  const keyed = items.map((item) => ({ item, key: sortKey(by(item), caseSensitive) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  countItems(items.length);
  return keyed.map(({ item }) => item);
}

const byAttribute = (call: FilterCall, at: number): ((item: Value) => Value) => {
  const path = argument(call, at, "attribute");
  return path === undefined || path instanceof None ? (item) => item : (item) => attribute(item, pathOf(path));
};

function extreme(value: Value, call: FilterCall, sign: 1 | -1): Value {
  let best: Value = UNDEFINED;
  const key = byAttribute(call, 1);
  for (const item of iterate(value))
    if (
      best instanceof Undefined ||
      sign *
        compare(
          sortKey(key(item), flag(call, 0, "case_sensitive")),
          sortKey(key(best), flag(call, 0, "case_sensitive")),
        ) >
        0
    )
      best = item;
  return best;
}

/** What map, select and reject go over: nothing for what is false, as zero or none. */
const candidates = (value: Value): readonly Value[] => (truth(value) ? iterate(value) : []);

/** Keeps the items for which a test holds, or where none is named, that are true. */
function keep(
  value: Value,
  key: (item: Value) => Value,
  name: Value | undefined,
  args: readonly Value[],
  wanted: boolean,
): Value {
  const test = name === undefined ? truth : testNamed(str(name));
  return new List(candidates(value).filter((item) => test(key(item), ...args) === wanted));
}

function round(value: Value, call: FilterCall): Value {
  const digits = integer(call, 0, "precision", 0);
  const method = textArgument(call, 1, "method") ?? "common";
  const x = number(value) ?? wrong("a number", value);
  const scale = 10 ** digits;
  if (method === "ceil") return new Float(Math.ceil(x * scale) / scale);
  if (method === "floor") return new Float(Math.floor(x * scale) / scale);
  if (!(value instanceof Float) && digits >= 0) return new Int(x);
  // Python rounds the exact value, halves to even: exact in binary only where no digits are kept.
  const low = Math.floor(x);
  if (digits <= 0 && x - low === 0.5) return new Float(low % 2 === 0 ? low : low + 1);
  return new Float(digits > 0 ? Number(x.toFixed(Math.min(digits, 100))) : Math.round(x * scale) / scale);
}

function toNumber(
  value: Value,
  otherwise: Value,
  parse: (text: string) => number | undefined,
  make: (x: number) => Value,
): Value {
  const x = number(value) ?? (value instanceof Str ? parse(strip(value.value)) : undefined);
  return x === undefined || !Number.isFinite(x) ? otherwise : make(x);
}
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

function jsonStyle(call: FilterCall): JSONStyle {
  const indent = argument(call, -1, "indent");
  const separators = argument(call, -1, "separators");
  const [item, key] =
    separators instanceof List ? separators.value.map(str) : [indent instanceof Int ? "," : ", ", ": "];
  const option = (name: string) => flag(call, -1, name);
  return {
    indent: indent instanceof Int ? Math.min(indent.value, 64) : undefined,
    item_separator: item,
    key_separator: key,
    sort_keys: option("sort_keys"),
    ascii: option("ensure_ascii"),
  };
}

function indent(text: string, call: FilterCall): Value {
  const width = argument(call, 0, "width");
  const [first, blank] = [flag(call, 1, "first"), flag(call, 2, "blank")];
  const lines = text.split("\n");
  const padLength = width instanceof Str ? width.value.length : integer(call, 0, "width", 4);
  countText(text.length + lines.length * padLength);
  const pad = width instanceof Str ? width.value : " ".repeat(padLength);
  return new Str(
    lines.map((line, i) => ((i === 0 && !first) || (line === "" && !blank && i > 0) ? line : pad + line)).join("\n"),
  );
}

/** The first (`at` 0) or last (−1) item; of a string also where it is too long to be a list of characters. */
function endOf(value: Value, at: 0 | -1): Value {
  const text = value instanceof Str && (at === 0 ? value.value.slice(0, 2) : value.value.slice(-2));
  return iterate(typeof text === "string" ? new Str(text) : value).at(at) ?? UNDEFINED;
}

const textFilter =
  (change: (text: string) => string): Filter =>
  (value) =>
    new Str(change(str(value)));
const size: Filter = (value) => {
  if (value instanceof Str) return new Int(length(value.value));
  if (value instanceof Undefined) return new Int(0);
  return new Int(entries(value)?.size ?? iterate(value).length);
};
const fallback: Filter = (value, call) =>
  value instanceof Undefined || (flag(call, 1, "boolean") && !truth(value))
    ? (argument(call, 0, "default_value") ?? new Str(""))
    : value;
const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
/** Between the words that the filter title capitalizes; the method title goes by letters. */
const WORD_GAP = /([-\s({[<]+)/;
const escaped = textFilter((text) => text.replace(/[&<>"']/g, (c) => HTML[c]));

const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ["abs", (value) => numeric(Math.abs(number(value) ?? wrong("a number", value)), value)],
  ["capitalize", textFilter(capitalize)],
  ["count", size],
  ["d", fallback],
  ["default", fallback],
  [
    "dictsort",
    (value, call) => {
      const pairs = Array.from(
        entries(value) ?? wrong("a dict", value),
        ([key, v]): Value => new Tuple([new Str(key), v]),
      );
      const by = textArgument(call, 1, "by") === "value" ? 1 : 0;
      return new List(
        sorted(pairs, (pair) => (pair.value as Value[])[by], flag(call, 2, "reverse"), flag(call, 0, "case_sensitive")),
      );
    },
  ],
  ["e", escaped],
  ["escape", escaped],
  ["first", (value) => endOf(value, 0)],
  [
    "float",
    (value, call) =>
      toNumber(
        value,
        argument(call, 0, "default") ?? new Float(0),
        (text) => (NUMBER.test(text) ? Number(text) : undefined),
        (x) => new Float(x),
      ),
  ],
  ["indent", (value, call) => indent(value instanceof Str ? value.value : wrong("a string", value), call)],
  [
    "int",
    (value, call) =>
      toNumber(
        value,
        argument(call, 0, "default") ?? new Int(0),
        (text) => (NUMBER.test(text) ? Number(text) : undefined),
        (x) => new Int(Math.trunc(x)),
      ),
  ],
  [
    "items",
    (value) =>
      value instanceof Undefined
        ? new List([])
        : new List(Array.from(entries(value) ?? wrong("a dict", value), ([key, v]) => new Tuple([new Str(key), v]))),
  ],
  [
    "join",
    (value, call) => {
      const separator = textArgument(call, 0, "d") ?? "";
      const texts = iterate(value).map(byAttribute(call, 1)).map(str);
      countText(texts.reduce((n, text) => n + text.length + separator.length, 0));
      return new Str(texts.join(separator));
    },
  ],
  ["last", (value) => endOf(value, -1)],
  ["length", size],
  ["list", (value) => new List([...iterate(value)])],
  ["lower", textFilter((text) => text.toLowerCase())],
  [
    "map",
    (value, call) => {
      const path = call.keywords.get("attribute");
      const otherwise = call.keywords.get("default");
      if (path === undefined) {
        const name = textArgument(call, 0, "filter") ?? wrong("a filter's name", UNDEFINED);
        return new List(
          candidates(value).map((item) => filterNamed(name)(item, { ...call, args: call.args.slice(1) })),
        );
      }
      const found = candidates(value).map((item) => attribute(item, pathOf(path)));
      return new List(otherwise ? found.map((item) => (item instanceof Undefined ? otherwise : item)) : found);
    },
  ],
  ["max", (value, call) => extreme(value, call, 1)],
  ["min", (value, call) => extreme(value, call, -1)],
  ["reject", (value, { args }) => keep(value, (item) => item, args[0], args.slice(1), false)],
  [
    "rejectattr",
    (value, { args }) => keep(value, (item) => attribute(item, pathOf(args[0])), args[1], args.slice(2), false),
  ],
  [
    "replace",
    (value, call) => {
      const [from, to] = [argument(call, 0, "old"), argument(call, 1, "new")];
      return new Str(replace(str(value), str(from ?? UNDEFINED), str(to ?? UNDEFINED), integer(call, 2, "count", -1)));
    },
  ],
  [
    "reverse",
    (value) =>
      value instanceof Str
        ? new Str(characters(value.value).reverse().join(""))
        : new List([...iterate(value)].reverse()),
  ],
  ["round", round],
  ["safe", textFilter((text) => text)],
  ["select", (value, { args }) => keep(value, (item) => item, args[0], args.slice(1), true)],
  [
    "selectattr",
    (value, { args }) => keep(value, (item) => attribute(item, pathOf(args[0])), args[1], args.slice(2), true),
  ],
  [
    "sort",
    (value, call) =>
      new List(sorted(iterate(value), byAttribute(call, 2), flag(call, 0, "reverse"), flag(call, 1, "case_sensitive"))),
  ],
  ["string", textFilter((text) => text)],
  [
    "sum",
    (value, call) => {
      const items = iterate(value).map(byAttribute(call, 0));
      return numeric(
        items.reduce(
          (n, item) => n + (number(item) ?? wrong("a number", item)),
          number(argument(call, 1, "start") ?? new Int(0)) ?? 0,
        ),
        ...items,
      );
    },
  ],
  ["title", textFilter((text) => text.split(WORD_GAP).map(capitalize).join(""))],
  ["tojson", (value, call) => new Str(toJSON(value, jsonStyle(call)))],
  ["trim", (value, call) => new Str(strip(str(value), textArgument(call, 0, "chars")))],
  [
    "unique",
    (value, call) => {
      const [key, exact] = [byAttribute(call, 1), flag(call, 0, "case_sensitive")];
      const seen = new Set<string>();
      return new List(
        iterate(value).filter((item) => {
          const by = sortKey(key(item), exact);
          const name = number(by) === undefined ? `${by.type} ${str(by)}` : `${number(by)}`;
          return !seen.has(name) && seen.add(name);
        }),
      );
    },
  ],
  ["upper", textFilter((text) => text.toUpperCase())],
  [
    "wordcount",
    (value) =>
      new Int(
        str(value).replace(/[\p{L}\p{N}_]+|[^\p{L}\p{N}_]+/gu, (part) => (/^[\p{L}\p{N}_]/u.test(part) ? "w" : ""))
          .length,
      ),
  ],
]);

/** @throws TemplateError when there is none of that name */
export function filterNamed(name: string): Filter {
  const filter = FILTERS.get(name);
  if (!filter) throw new TemplateError(`no filter is named ${showName(name)}`);
  return filter;
}
