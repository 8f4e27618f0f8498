// How Python writes values: str, repr, and json.dumps.
import { fail, spend } from "./limits.ts";
import {
  Bool,
  Dict,
  Float,
  Int,
  type Key,
  keyValue,
  kindOf,
  List,
  Markup,
  None,
  Range,
  Str,
  Tuple,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Python's repr of a float: the shortest digits, an exponent from 1e16 and below 1e-4. */
export function floatText(x: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (x !== 0 && (Math.abs(x) >= 1e16 || Math.abs(x) < 1e-4)) {
    const [digits, exponent] = x.toExponential().split("e");
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = Object.is(x, -0) ? "-0" : String(x);
  return text.includes(".") ? text : `${text}.0`;
}

/** Whole numbers are printed in full, as Python's are. */
const intText = (x: number): string => (Number.isSafeInteger(x) ? String(x) : BigInt(x).toString());

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const unprintable = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function reprText(text: string): string {
  spend(text.length / 4);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(unprintable, (c) => {
    const point = c.codePointAt(0)!;
    const [letter, width] = point < 0x100 ? ["x", 2] : point < 0x10000 ? ["u", 4] : ["U", 8];
    return ESCAPES[c] ?? `\\${letter}${point.toString(16).padStart(width as number, "0")}`;
  });
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Python's repr, as values inside lists and dicts are printed. */
export function repr(value: Value): string {
  if (value instanceof Markup) return `Markup(${reprText(value.value)})`;
  return value instanceof Str ? reprText(value.value) : value instanceof Undefined ? "Undefined" : str(value);
}

/** Python's str, as `{{ }}` prints. */
export function str(value: Value): string {
  spend(4);
  if (value instanceof Str) return value.value;
  if (value instanceof Undefined) return "";
  if (value instanceof None) return "None";
  if (value instanceof Bool) return value.value ? "True" : "False";
  if (value instanceof Int) return intText(value.value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Range) return `range(${value.bounds.slice(0, value.bounds[2] === 1 ? 2 : 3).join(", ")})`;
  if (value instanceof View) return `${value.type}([${value.value.map(repr).join(", ")}])`;
  if (value instanceof Tuple)
    return value.value.length === 1 ? `(${repr(value.value[0])},)` : `(${value.value.map(repr).join(", ")})`;
  if (value instanceof List) return `[${value.value.map(repr).join(", ")}]`;
  if (value instanceof Dict)
    return `{${Array.from(value.value, ([key, v]) => `${repr(keyValue(key))}: ${repr(v)}`).join(", ")}}`;
  return fail(`${kindOf(value)} cannot be printed`);
}

export interface JSONStyle {
  readonly indent: string | undefined;
  readonly item_separator: string;
  readonly key_separator: string;
  readonly sort_keys: boolean;
  readonly ascii: boolean;
}

/** Python's json.dumps. @throws TemplateError for what JSON cannot hold, undefined values among it */
export function toJSON(value: Value, style: JSONStyle, depth = 0): string {
  spend(4);
  const text = (s: string) => {
    spend(s.length / 4);
    const quoted = JSON.stringify(s);
    return style.ascii
      ? quoted.replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
      : quoted;
  };
  const wrap = (open: string, items: string[], close: string): string => {
    if (style.indent === undefined || items.length === 0) return open + items.join(style.item_separator) + close;
    const pad = `\n${style.indent.repeat(depth)}`;
    spend((pad.length * items.length) / 4);
    const inner = pad + style.indent;
    return open + inner + items.join(style.item_separator + inner) + pad + close;
  };
  if (value instanceof Str) return text(value.value);
  if (value instanceof None) return "null";
  if (value instanceof Bool) return String(value.value);
  if (value instanceof Float && !Number.isFinite(value.value))
    return Number.isNaN(value.value) ? "NaN" : value.value > 0 ? "Infinity" : "-Infinity";
  if (value instanceof Int || value instanceof Float) return str(value);
  if (value instanceof List && !(value instanceof Range)) {
    const items = value.value.map((item) => toJSON(item, style, depth + 1));
    return wrap("[", items, "]");
  }
  if (value instanceof Dict) {
    const pairs = [...value.value];
    if (style.sort_keys) pairs.sort(([a], [b]) => order(a, b));
    const items = pairs.map(([key, v]) => text(String(key)) + style.key_separator + toJSON(v, style, depth + 1));
    return wrap("{", items, "}");
  }
  return fail(`${kindOf(value)} cannot be JSON`);
}

const order = (a: Key, b: Key): number =>
  typeof a === typeof b ? (a < b ? -1 : 1) : fail("sort_keys: strings and integers have no order");
