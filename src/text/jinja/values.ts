// The library's runtime values, and what Python does with them: print, compare, iterate. The library exports their
// classes only by what they make, so Int to Fn are those of examples; Tuple to Generator are this project's.
import { Environment, type Scope, type Value } from "./library.ts";
import { countItems, fail, spend } from "./limits.ts";

export type { Value } from "./library.ts";

type Kind<T> = new (value: T) => Value & { readonly value: T };
export type NativeFunction = (args: Value[], scope: Scope) => Value;
/** A dict's key: a string, or an integer. */
export type Key = string | number;

/** Any JSON-like value or function as a runtime value. */
export const toValue = (value: unknown): Value => new Environment().set("value", value);

const kind = (example: unknown) => toValue(example).constructor as unknown;
export const Int = kind(1) as Kind<number>;
export const Float = kind(0.5) as Kind<number>;
export const Str = kind("") as Kind<string>;
export const Bool = kind(true) as Kind<boolean>;
export const None = kind(null) as Kind<null>;
export const Undefined = kind(undefined) as Kind<undefined>;
export const List = kind([]) as Kind<Value[]>;
export const Dict = kind({}) as Kind<Map<Key, Value>>;
export const Fn = kind(() => null) as Kind<NativeFunction>;

export class Tuple extends List {
  override readonly type = "a tuple";
}

export class Range extends List {
  override readonly type = "a range";
  readonly bounds: readonly [start: number, stop: number, step: number];

  constructor(start: number, stop: number, step: number) {
    const count = Math.max(0, Math.ceil((stop - start) / step));
    countItems(count);
    super(Array.from({ length: count }, (_, i) => new Int(start + i * step)));
    this.bounds = [start, stop, step];
  }
}

/** Text that counts as escaped: added to other text, it escapes that. */
export class Markup extends Str {}

/** What a dict's `keys()`, `values()` and `items()` give: to iterate over, without places. */
export class View implements Value {
  readonly type: string;
  readonly value: Value[];

  constructor(name: "keys" | "values" | "items", value: Value[]) {
    this.type = `dict_${name}`;
    this.value = value;
  }

  __bool__() {
    return { value: this.value.length > 0 };
  }
}

/** What can be iterated over once, and is true however little it holds: what `map`, `select` and their like give. */
export class Generator implements Value {
  readonly type = "a generator";
  readonly value: Iterable<Value>;

  constructor(items: Iterator<Value>) {
    this.value = { [Symbol.iterator]: () => ({ next: () => items.next() }) };
  }

  __bool__() {
    return { value: true };
  }
}

export const NONE = new None(null);
export const UNDEFINED = new Undefined(undefined);
export const bool = (value: boolean): Value => new Bool(value);

export const truth = (value: Value): boolean => value.__bool__().value;

const KINDS: Readonly<Record<string, string>> = {
  IntegerValue: "an integer",
  FloatValue: "a float",
  StringValue: "a string",
  BooleanValue: "a boolean",
  NullValue: "none",
  UndefinedValue: "an undefined value",
  ArrayValue: "a list",
  ObjectValue: "a dict",
  NamespaceValue: "a namespace",
  FunctionValue: "a function",
};
export const kindOf = (value: Value): string => KINDS[value.type] ?? value.type;

/** @throws TemplateError always */
export const wrong = (expected: string, found: Value): never => fail(`expected ${expected}, found ${kindOf(found)}`);

/** The map of a dict or of a namespace. */
export const entries = (value: Value): Map<Key, Value> | undefined =>
  value.value instanceof Map ? (value.value as Map<Key, Value>) : undefined;

/** A number, or a boolean as the number that Python takes it for. */
export function number(value: Value): number | undefined {
  // The library's unary minus makes -0 of 0, which among integers there is none of.
  if (value instanceof Int) return value.value + 0;
  if (value instanceof Float) return value.value;
  return value instanceof Bool ? Number(value.value) : undefined;
}

/** An integer as Python's places and counts take it. */
export const integer = (value: Value): number | undefined => (value instanceof Float ? undefined : number(value));

export const int = (value: number): Value =>
  Number.isSafeInteger(value) ? new Int(value) : fail("an integer beyond 2^53");

export const keyValue = (key: Key): Value => (typeof key === "number" ? new Int(key) : new Str(key));

/** What a value is in a dict as a key, undefined where no dict here has such a key. @throws for lists and dicts */
export function keyOf(value: Value): Key | undefined {
  if (value instanceof Str) return value.value;
  if (value instanceof Dict || (value instanceof List && !(value instanceof Tuple || value instanceof Range)))
    return wrong("a key", value);
  return number(value);
}

/** The characters of a text that is short enough to be a list of them. */
export function characters(text: string): string[] {
  countItems(text.length);
  return [...text];
}

/** What Python iterates over: the items of a list, the characters of a string, the keys of a dict. */
export function items(value: Value): Iterable<Value> {
  if (value instanceof List || value instanceof View || value instanceof Generator) return value.value;
  if (value instanceof Str) return characters(value.value).map((c) => new Str(c));
  if (value instanceof Dict) return Array.from(value.value.keys(), keyValue);
  if (value instanceof Undefined) return [];
  return wrong("something to iterate over", value);
}

/** The same as a list, of its own only where the value is none. */
export function iterate(value: Value): Value[] {
  const found = items(value);
  if (Array.isArray(found)) return found;
  const list: Value[] = [];
  for (const item of found) {
    list.push(item);
    countItems(1, list.length);
  }
  return list;
}

/** Python's ==, also for what lists and dicts hold. */
export function equal(a: Value, b: Value): boolean {
  spend(4);
  const [x, y] = [number(a), number(b)];
  if (x !== undefined || y !== undefined) return x === y;
  if (a instanceof Str && b instanceof Str) {
    if (a.value.length === b.value.length) spend(a.value.length / 16);
    return a.value === b.value;
  }
  if (a instanceof List && b instanceof List) {
    if (a.type !== b.type || a.value.length !== b.value.length) return false;
    return a.value.every((item, i) => equal(item, b.value[i]));
  }
  if (a instanceof Dict && b instanceof Dict)
    return (
      a.value.size === b.value.size && [...a.value].every(([key, v]) => b.value.has(key) && equal(v, b.value.get(key)!))
    );
  if (a instanceof None) return b instanceof None;
  if (a instanceof View && b instanceof View && a !== b) fail(`== between ${a.type} and ${b.type} is not supported`);
  return a.type === b.type && a.value === b.value;
}

/** By code points: surrogates stand above what UTF-16 puts after them. */
const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x2000 : unit >= 0xd800 ? unit + 0x800 : unit);

function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  spend(i / 4);
  return i < length ? rank(a.charCodeAt(i)) - rank(b.charCodeAt(i)) : a.length - b.length;
}

/** Below 0, 0 or above 0, as Python orders numbers, strings and lists; NaN has no order. @throws for anything else */
export function compare(a: Value, b: Value): number {
  spend(4);
  const [x, y] = [number(a), number(b)];
  if (x !== undefined && y !== undefined) return x === y ? 0 : x < y ? -1 : x > y ? 1 : Number.NaN;
  if (a instanceof Str && b instanceof Str) return compareTexts(a.value, b.value);
  if (a instanceof List && b instanceof List && a.type === b.type && !(a instanceof Range)) {
    const i = a.value.findIndex((item, at) => at >= b.value.length || !equal(item, b.value[at]));
    return i < 0 || i >= b.value.length ? a.value.length - b.value.length : compare(a.value[i], b.value[i]);
  }
  return fail(`${kindOf(a)} and ${kindOf(b)} have no order`);
}

/** Python's `in`. */
export function contains(container: Value, item: Value): boolean {
  if (container instanceof Str) {
    if (!(item instanceof Str)) return wrong("a string to look for", item);
    spend(container.value.length / 16);
    return container.value.includes(item.value);
  }
  if (container instanceof Dict) {
    const key = keyOf(item);
    return key !== undefined && container.value.has(key);
  }
  for (const other of items(container)) if (equal(other, item)) return true;
  return false;
}
