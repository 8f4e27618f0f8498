// Jinja's filters, as Python has them.
import { showName } from "../../config/show.ts";
import { type Arguments, bindArguments } from "./arguments.ts";
import { attributeAt } from "./attributes.ts";
import { countItems, countText, fail, spend } from "./limits.ts";
import { binary } from "./operators.ts";
import { type JSONStyle, repr, str, toJSON } from "./print.ts";
import { capitalize, length, replace, splitLines, strip } from "./strings.ts";
import { testNamed } from "./tests.ts";
import {
  compare,
  Dict,
  Float,
  Generator,
  Int,
  int,
  integer,
  items,
  iterate,
  keyValue,
  List,
  Markup,
  None,
  number,
  Str,
  Tuple,
  truth,
  UNDEFINED,
  Undefined,
  type Value,
  View,
  wrong,
} from "./values.ts";

type Given = Value | undefined;
type Filter = (value: Value, given: Arguments) => Value;

const flag = (value: Given): boolean => value !== undefined && truth(value);
/** Python's sorted takes an integer here, and a boolean as one. */
const reversed = (value: Given): boolean => integerOf(value, 0) !== 0;
const isNone = (value: Given): boolean => value === undefined || value instanceof None;
const integerOf = (value: Given, otherwise: number): number =>
  value === undefined ? otherwise : (integer(value) ?? wrong("an integer", value));
const textOf = (value: Value): string => (value instanceof Str ? value.value : wrong("a string", value));

/** Strings are ordered without regard to case, as Jinja's sort does unless told otherwise. */
const sortKey = (value: Value, exact: boolean): Value =>
  value instanceof Str && !exact ? new Str(value.value.toLowerCase()) : value;

function sorted(list: readonly Value[], key: (item: Value) => Value, reverse: boolean): Value {
  const keyed = list.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  countItems(list.length);
  return new List(keyed.map(({ item }) => item));
}

/** An item's attribute by an argument of that name: its path, or its place. */
const byAttribute = (path: Given): ((item: Value) => Value) =>
  path === undefined || path instanceof None
    ? (item) => item
    : path instanceof Str || path instanceof Int
      ? (item) => attributeAt(item, String(path.value))
      : wrong("attribute: a string", path);

const extreme =
  (sign: 1 | -1) =>
  (value: Value, exact: Given, attribute: Given): Value => {
    const key = byAttribute(attribute);
    let [best, bestKey]: Value[] = [UNDEFINED, UNDEFINED];
    for (const item of iterate(value)) {
      const itemKey = sortKey(key(item), flag(exact));
      if (best === UNDEFINED || sign * compare(itemKey, bestKey) > 0) [best, bestKey] = [item, itemKey];
    }
    return best;
  };

/** What map, select and reject give: made, and looked into for faults, when it is iterated over. */
function lazily(value: Value, change: () => (item: Value) => Value | undefined): Value {
  return new Generator(
    (function* () {
      if (!truth(value)) return;
      const run = change();
      for (const item of items(value)) {
        spend(8);
        const result = run(item);
        if (result) yield result;
      }
    })(),
  );
}

/** The items for which a test holds, or where none is named, that are true. */
const keep =
  (ofAttribute: boolean, wanted: boolean): Filter =>
  (value, { args, keywords }) =>
    lazily(value, () => {
      const key = ofAttribute ? byAttribute(args[0] ?? fail("expected an attribute's name")) : (item: Value) => item;
      const [name, ...rest] = ofAttribute ? args.slice(1) : args;
      const test = name ? testNamed(textOf(name)) : truth;
      return (item) => (test(key(item), { args: rest, keywords }) === wanted ? item : undefined);
    });

const map: Filter = (value, given) =>
  lazily(value, () => {
    const { args, keywords } = given;
    if (args.length === 0 && keywords.has("attribute")) {
      const [path, otherwise] = bindArguments("map", ["attribute", "default"], given);
      const read = byAttribute(path);
      return (item) => {
        const found = read(item);
        return found instanceof Undefined && otherwise ? otherwise : found;
      };
    }
    const [name, ...rest] = args;
    const filter = filterNamed(textOf(name ?? fail("map: expected a filter's name")));
    return (item) => filter(item, { args: rest, keywords });
  });

function round(value: Value, precision: Given, method: Given): Value {
  const digits = integerOf(precision, 0);
  const way = method === undefined ? "common" : textOf(method);
  const x = number(value) ?? wrong("a number", value);
  const scale = 10 ** digits;
  if (way === "ceil") return new Float(Math.ceil(x * scale) / scale);
  if (way === "floor") return new Float(Math.floor(x * scale) / scale);
  if (way !== "common") fail(`round: expected common, ceil or floor, found ${showName(way)}`);
  if (!Number.isFinite(x)) return new Float(x);
  if (digits < 0) {
    const unit = 10 ** -digits;
    const low = Math.floor(x / unit);
    const rest = x - low * unit;
    const result = (rest * 2 === unit ? low + Math.abs(low % 2) : rest * 2 > unit ? low + 1 : low) * unit;
    return value instanceof Float ? new Float(result) : int(result);
  }
  if (!(value instanceof Float)) return new Int(x);
  // Python rounds the exact value, halves to even; toFixed rounds halves up. Twenty digits more show what is a half.
  const places = Math.min(digits, 80);
  const exact = Math.abs(x).toFixed(places + 20);
  const half = exact.slice(-20) === `5${"0".repeat(19)}`;
  const cut = exact.slice(0, -20);
  const even = half && /[02468]\.?$/.test(cut);
  return new Float(Math.sign(x) * Number(even ? cut : Math.abs(x).toFixed(places)));
}

const NUMBER = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?$/;
const WORDS: Readonly<Record<string, number>> = { inf: Infinity, infinity: Infinity, nan: Number.NaN };

/** Python's float() of a value, or undefined where there is none. */
function toFloat(value: Value): number | undefined {
  if (value instanceof Undefined) return wrong("a number", value);
  if (!(value instanceof Str)) return number(value);
  const text = strip(value.value);
  if (NUMBER.test(text)) return Number(text.replaceAll("_", ""));
  const [, sign, word] = /^([+-]?)([a-z]+)$/i.exec(text) ?? [];
  const found = word && WORDS[word.toLowerCase()];
  return typeof found === "number" ? (sign === "-" ? -found : found) : undefined;
}

function toInt(value: Value, otherwise: Given, base: Given): Value {
  if (integerOf(base, 10) !== 10) fail("int: a base other than 10 is not supported");
  const x = toFloat(value);
  if (x === undefined || Number.isNaN(x) || (value instanceof Str && !Number.isFinite(x)))
    return otherwise ?? new Int(0);
  return int(Math.trunc(x));
}

function tojson(value: Value, ascii: Given, indent: Given, separators: Given, sort: Given): Value {
  const width = indent === undefined || indent instanceof None || indent instanceof Str ? 0 : integerOf(indent, 0);
  if (width > 64) fail(`tojson: an indent of ${width}; at most 64 are allowed`);
  const pad = isNone(indent) ? undefined : indent instanceof Str ? indent.value : " ".repeat(Math.max(0, width));
  let [item, key] = [pad === undefined ? ", " : ",", ": "];
  if (!isNone(separators)) {
    const pair = iterate(separators!);
    if (pair.length !== 2) fail("tojson: expected two separators");
    [item, key] = pair.map(textOf);
  }
  const style: JSONStyle = {
    indent: pad,
    item_separator: item,
    key_separator: key,
    sort_keys: flag(sort),
    ascii: flag(ascii),
  };
  return new Str(toJSON(value, style));
}

function indent(value: Value, width: Given, first: Given, blank: Given): Value {
  const text = textOf(value);
  const lines = text === "" ? [""] : splitLines(`${text}\n`);
  const places = width instanceof Str ? width.value.length : integerOf(width, 4);
  countText(text.length + lines.length * Math.max(0, places));
  const pad = width instanceof Str ? width.value : " ".repeat(Math.max(0, places));
  const rest = lines.map((line, i) => (i > 0 && (line !== "" || flag(blank)) ? pad + line : line));
  return new Str((flag(first) ? pad : "") + rest.join("\n"));
}

/** The first (`at` 0) or last (−1) item; of a string also where it is too long to be a list of characters. */
function endOf(value: Value, at: 0 | -1): Value {
  if (at === 0 && value instanceof Generator) return iterate(value)[0] ?? UNDEFINED;
  if (value instanceof Generator) return wrong("a list", value);
  const text = value instanceof Str && (at === 0 ? value.value.slice(0, 2) : value.value.slice(-2));
  return iterate(typeof text === "string" ? new Str(text) : value).at(at) ?? UNDEFINED;
}

function size(value: Value): Value {
  if (value instanceof Str) return new Int(length(value.value));
  if (value instanceof Dict) return new Int(value.value.size);
  if (value instanceof List || value instanceof View || value instanceof Undefined)
    return new Int(iterate(value).length);
  return wrong("something that has a length", value);
}

const pairs = (value: Value): Value[] =>
  value instanceof Dict ? Array.from(value.value, ([key, v]) => new Tuple([keyValue(key), v])) : wrong("a dict", value);

function dictsort(value: Value, exact: Given, by: Given, reverse: Given): Value {
  const what = by === undefined ? "key" : textOf(by);
  if (what !== "key" && what !== "value") fail(`dictsort: expected key or value, found ${showName(what)}`);
  const at = what === "key" ? 0 : 1;
  return sorted(pairs(value), (pair) => sortKey((pair.value as Value[])[at], flag(exact)), reversed(reverse));
}

function sort(value: Value, reverse: Given, exact: Given, attribute: Given): Value {
  const paths = attribute instanceof Str ? attribute.value.split(",").map((path) => new Str(path)) : [attribute];
  const keys = paths.map(byAttribute);
  return sorted(
    iterate(value),
    (item) => new List(keys.map((key) => sortKey(key(item), flag(exact)))),
    reversed(reverse),
  );
}

function unique(value: Value, exact: Given, attribute: Given): Value {
  const key = byAttribute(attribute);
  const seen = new Set<string>();
  return new Generator(
    (function* () {
      for (const item of items(value)) {
        const by = sortKey(key(item), flag(exact));
        if (by instanceof Dict || (by instanceof List && !(by instanceof Tuple))) wrong("something to tell apart", by);
        const name = number(by) === undefined ? `${by.type} ${repr(by)}` : `${number(by)}`;
        if (seen.has(name)) continue;
        seen.add(name);
        yield item;
      }
    })(),
  );
}

function reverse(value: Value): Value {
  if (value instanceof Str) return textLike(value, Array.from(value.value).reverse().join(""));
  const list = [...iterate(value)].reverse();
  return value instanceof Generator ? new List(list) : new Generator(list.values());
}

function sum(value: Value, attribute: Given, start: Given): Value {
  if (start instanceof Str) wrong("start: a number or a list", start);
  let total = start ?? new Int(0);
  for (const item of iterate(value)) total = binary("+", total, byAttribute(attribute)(item));
  return total;
}

function join(value: Value, separator: Given, attribute: Given): Value {
  const between = separator === undefined ? "" : str(separator);
  const texts = iterate(value).map(byAttribute(attribute)).map(str);
  countText(texts.reduce((n, text) => n + text.length + between.length, 0));
  return new Str(texts.join(between));
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
const escaped = (value: Value): Value =>
  value instanceof Markup ? value : new Markup(str(value).replace(/[&<>"']/g, (c) => HTML[c]));

/** Between the words that the filter title capitalizes; the method title goes by letters. */
const WORD_GAP = /([-\s({[<]+)/;

const textLike = (value: Value, text: string): Value => (value instanceof Markup ? new Markup(text) : new Str(text));
const change = (run: (text: string) => string) => (value: Value) => textLike(value, run(str(value)));

/** Filters with their parameters, `!` after those that must be given. */
const FIXED: readonly (readonly [string, string, (value: Value, ...given: Given[]) => Value])[] = [
  [
    "abs",
    "",
    (value) => (value instanceof Float ? new Float(Math.abs(value.value)) : new Int(Math.abs(integerOf(value, 0)))),
  ],
  ["capitalize", "", change(capitalize)],
  ["count", "", size],
  [
    "default",
    "default_value boolean",
    (value, otherwise, all) =>
      value instanceof Undefined || (flag(all) && !truth(value)) ? (otherwise ?? new Str("")) : value,
  ],
  ["dictsort", "case_sensitive by reverse", dictsort],
  ["escape", "", escaped],
  ["first", "", (value) => endOf(value, 0)],
  [
    "float",
    "default",
    (value, otherwise) => {
      const x = toFloat(value);
      return x === undefined ? (otherwise ?? new Float(0)) : new Float(x);
    },
  ],
  ["indent", "width first blank", indent],
  ["int", "default base", toInt],
  ["items", "", (value) => new Generator((value instanceof Undefined ? [] : pairs(value)).values())],
  ["join", "d attribute", join],
  ["last", "", (value) => endOf(value, -1)],
  ["length", "", size],
  ["list", "", (value) => new List([...iterate(value)])],
  ["lower", "", change((text) => text.toLowerCase())],
  ["max", "case_sensitive attribute", extreme(1)],
  ["min", "case_sensitive attribute", extreme(-1)],
  [
    "replace",
    "old! new! count",
    (value, from, to, most) =>
      new Str(replace(str(value), str(from!), str(to!), isNone(most) ? -1 : integerOf(most, -1))),
  ],
  ["reverse", "", reverse],
  ["round", "precision method", round],
  ["safe", "", (value) => new Markup(str(value))],
  ["sort", "reverse case_sensitive attribute", sort],
  ["string", "", (value) => (value instanceof Str ? value : new Str(str(value)))],
  ["sum", "attribute start", sum],
  [
    "title",
    "",
    change((text) => {
      spend(text.length);
      return text.split(WORD_GAP).map(capitalize).join("");
    }),
  ],
  ["tojson", "ensure_ascii indent separators sort_keys", tojson],
  ["trim", "chars", (value, chars) => textLike(value, strip(str(value), isNone(chars) ? undefined : textOf(chars!)))],
  ["unique", "case_sensitive attribute", unique],
  ["upper", "", change((text) => text.toUpperCase())],
  ["wordcount", "", (value) => new Int(str(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)],
];

const FILTERS = new Map<string, Filter>([
  ...FIXED.map(([name, parameters, run]): [string, Filter] => {
    const names = parameters.split(" ").filter(Boolean);
    return [name, (value, given) => run(value, ...bindArguments(name, names, given))];
  }),
  ["map", map],
  ["reject", keep(false, false)],
  ["rejectattr", keep(true, false)],
  ["select", keep(false, true)],
  ["selectattr", keep(true, true)],
]);
for (const [short, name] of [
  ["d", "default"],
  ["e", "escape"],
])
  FILTERS.set(short, FILTERS.get(name)!);

/** @throws TemplateError when there is none of that name */
export const filterNamed = (name: string): Filter =>
  FILTERS.get(name) ?? fail(`no filter here is named ${showName(name)}`);
