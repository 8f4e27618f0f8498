// The library's runtime values, which it does not export, and what Python does with them: print, compare, test, JSON.
import { Environment, Interpreter, parse, type Scope, tokenize, type Value } from "./library.ts";

import { spend, TemplateError } from "./limits.ts";

export type { Value } from "./library.ts";

type Kind<T> = new (value: T) => Value & { readonly value: T };
export type NativeFunction = (args: Value[], scope: Scope) => Value;

/** Any JSON-like value or function as a runtime value. */
export const toValue = (value: unknown): Value => new Environment().set("value", value);

const kind = (example: Value) => example.constructor as unknown;
export const Int = kind(toValue(1)) as Kind<number>;
export const Float = kind(toValue(0.5)) as Kind<number>;
export const Str = kind(toValue("")) as Kind<string>;
export const Bool = kind(toValue(true)) as Kind<boolean>;
export const None = kind(toValue(null)) as Kind<null>;
export const Undefined = kind(toValue(undefined)) as Kind<undefined>;
export const List = kind(toValue([])) as Kind<Value[]>;
export const Dict = kind(toValue({})) as Kind<Map<string, Value>>;
export const Fn = kind(toValue(() => null)) as Kind<NativeFunction>;
const scope = new Environment();
export const Tuple = kind(new Interpreter(scope).evaluate(parse(tokenize("{{ (1, 2) }}")).body[0], scope)) as Kind<
  Value[]
>;

export const NONE = new None(null);
export const UNDEFINED = new Undefined(undefined);
export const bool = (value: boolean): Value => new Bool(value);

export const truth = (value: Value): boolean => value.__bool__().value;

/** The map of a dict or of a namespace. */
export const entries = (value: Value): Map<string, Value> | undefined =>
  value.value instanceof Map ? (value.value as Map<string, Value>) : undefined;

/** A number, or a boolean as the number that Python takes it for. */
export function number(value: Value): number | undefined {
  if (value instanceof Int || value instanceof Float) return value.value;
  return value instanceof Bool ? Number(value.value) : undefined;
}

/** A number of the kind that Python gives: a float once a float takes part. */
export const numeric = (result: number, ...from: Value[]): Value =>
  from.some((value) => value instanceof Float) ? new Float(result) : new Int(result);

/** Python's repr of a float: the shortest digits, an exponent from 1e16 and below 1e-4. */
function floatText(x: number): string {
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
  if (value instanceof Tuple)
    return value.value.length === 1 ? `(${repr(value.value[0])},)` : `(${value.value.map(repr).join(", ")})`;
  if (value instanceof List) return `[${value.value.map(repr).join(", ")}]`;
  const map = entries(value);
  if (map) return `{${Array.from(map, ([key, v]) => `${reprText(key)}: ${repr(v)}`).join(", ")}}`;
  throw new TemplateError(`a ${value.type} cannot be printed`);
}

/** Python's ==, also for what lists and dicts hold. */
export function equal(a: Value, b: Value): boolean {
  spend(4);
  const [x, y] = [number(a), number(b)];
  if (x !== undefined || y !== undefined) return x === y;
  if (a instanceof List && b instanceof List) {
    if (a.type !== b.type || a.value.length !== b.value.length) return false;
    return a.value.every((item, i) => equal(item, b.value[i]));
  }
  if (a instanceof Dict && b instanceof Dict)
    return (
      a.value.size === b.value.size && [...a.value].every(([key, v]) => b.value.has(key) && equal(v, b.value.get(key)!))
    );
  return a.type === b.type && a.value === b.value;
}

/** Below 0, 0 or above 0, as Python orders numbers and strings. @throws TemplateError for anything else */
export function compare(a: Value, b: Value): number {
  const [x, y] = [number(a), number(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (a instanceof Str && b instanceof Str) return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
  throw new TemplateError(`a ${a.type} and a ${b.type} have no order`);
}

export interface JSONStyle {
  readonly indent: number | undefined;
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
    const pad = `\n${" ".repeat(style.indent * depth)}`;
    const inner = pad + " ".repeat(style.indent);
    return open + inner + items.join(style.item_separator.trimEnd() + inner) + pad + close;
  };
  if (value instanceof Str) return text(value.value);
  if (value instanceof None) return "null";
  if (value instanceof Bool) return String(value.value);
  if (value instanceof Int || value instanceof Float) return str(value);
  if (value instanceof List)
    return wrap(
      "[",
      value.value.map((item) => toJSON(item, style, depth + 1)),
      "]",
    );
  if (value instanceof Dict) {
    const pairs = [...value.value];
    if (style.sort_keys) pairs.sort(([a], [b]) => (a < b ? -1 : 1));
    return wrap(
      "{",
      pairs.map(([key, v]) => text(key) + style.key_separator + toJSON(v, style, depth + 1)),
      "}",
    );
  }
  throw new TemplateError(`a ${value.type} cannot be JSON`);
}
