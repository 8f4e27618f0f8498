// What `.` and `[]` give: Python's methods that read, and Jinja's sandbox, in which there are none that change.
import { native } from "./arguments.ts";
import { fail, spend } from "./limits.ts";
import { Loop } from "./loop.ts";
import { stringMethod } from "./strings.ts";
import {
  Dict,
  entries,
  Float,
  Fn,
  Generator,
  Int,
  integer,
  type Key,
  keyOf,
  keyValue,
  kindOf,
  List,
  NONE,
  None,
  Range,
  Str,
  Tuple,
  UNDEFINED,
  Undefined,
  type Value,
  View,
  wrong,
} from "./values.ts";

/** What Python's values have and these have not: asked for, it is refused instead of undefined. */
const UNSUPPORTED: readonly (readonly [unknown, string])[] = [
  [
    Str,
    "casefold center encode expandtabs format format_map isascii isdecimal isidentifier isnumeric isprintable istitle ljust maketrans rindex rjust swapcase translate zfill",
  ],
  [Range, "count index start stop step"],
  [List, "copy count index"],
  [Dict, "fromkeys"],
  [
    Int,
    "as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag is_integer numerator real to_bytes",
  ],
  [Float, "as_integer_ratio conjugate fromhex hex imag is_integer real"],
  [View, "isdisjoint mapping"],
  [Generator, "close send throw"],
  [Fn, "arguments caller catch_kwargs catch_varargs explicit_caller name"],
];
const unsupported = UNSUPPORTED.map(([kind, names]) => [kind as typeof View, new Set(names.split(" "))] as const);

/** What a sandbox hides: undefined, although a dict may have such a key. */
const HIDDEN = new Set(["clear", "pop", "popitem", "setdefault", "update"]);

const viewOf = (name: "keys" | "values" | "items", list: () => Value[]): Value =>
  native(name, [], () => new View(name, list()));

function dictMethod(map: Map<Key, Value>, name: string): Value | undefined {
  switch (name) {
    case "get":
      return native(name, ["key!", "default"], (key: Value, otherwise?: Value) => {
        const known = keyOf(key);
        return (known === undefined ? undefined : map.get(known)) ?? otherwise ?? NONE;
      });
    case "items":
      return viewOf(name, () => Array.from(map, ([key, value]) => new Tuple([keyValue(key), value])));
    case "keys":
      return viewOf(name, () => Array.from(map.keys(), keyValue));
    case "values":
      return viewOf(name, () => [...map.values()]);
    case "copy":
      return native(name, [], () => new Dict(new Map(map)));
  }
  return HIDDEN.has(name) ? UNDEFINED : undefined;
}

/** An attribute in Python's sense. */
function ownAttribute(object: Value, name: string): Value | undefined {
  if (object instanceof Loop) return object.attribute(name);
  const method =
    object instanceof Str
      ? stringMethod(object.value, name)
      : object instanceof Dict
        ? dictMethod(object.value, name)
        : undefined;
  if (method) return method;
  if (object.type === "NamespaceValue") return entries(object)?.get(name);
  const [kind] = unsupported.find(([kind]) => object instanceof kind) ?? [];
  if (kind && unsupported.some(([other, names]) => other === kind && names.has(name)))
    fail(`the attribute ${name} of ${kindOf(object)} is not supported`);
  return undefined;
}

function item(object: Value, key: Value): Value | undefined {
  if (object instanceof Dict) {
    if (key instanceof List && !(key instanceof Tuple)) return undefined;
    if (key instanceof Dict) return undefined;
    const known = keyOf(key);
    return known === undefined ? undefined : object.value.get(known);
  }
  const at = integer(key);
  if (at === undefined) return undefined;
  if (object instanceof List) return object.value.at(at);
  if (!(object instanceof Str)) return undefined;
  spend(object.value.length / 4);
  const text = object.value;
  const character = /[\ud800-\udfff]/.test(text) ? [...text].at(at) : text.at(at);
  return character === undefined ? undefined : new Str(character);
}

const defined = (object: Value): Value =>
  object instanceof Undefined ? fail("an undefined value has no attributes") : object;

/** `object.name`: the attribute, or where there is none, the item. */
export const getAttribute = (object: Value, name: string): Value =>
  ownAttribute(defined(object), name) ?? item(object, new Str(name)) ?? UNDEFINED;

/** `object[key]`: the item, or where there is none, the attribute. */
export const getItem = (object: Value, key: Value): Value =>
  item(defined(object), key) ?? (key instanceof Str ? ownAttribute(object, key.value) : undefined) ?? UNDEFINED;

/** An attribute by a path such as `function.name` or `0`. */
export function attributeAt(value: Value, path: string): Value {
  for (const part of path.split("."))
    value = getItem(value, /^\p{Nd}+$/u.test(part) ? new Int(Number(part)) : new Str(part));
  return value;
}

/** `object[start:stop:step]`, in code points. */
export function slice(object: Value, start: Value, stop: Value, step: Value): Value {
  const bound = (value: Value): number | undefined =>
    value instanceof Undefined || value instanceof None
      ? undefined
      : (integer(value) ?? wrong("an integer as a slice's bound", value));
  if (!(object instanceof Str || object instanceof List)) return wrong("a string or a list to slice", object);
  let found: readonly unknown[] | string = object.value;
  if (object instanceof Str) {
    spend(object.value.length / 4);
    if (/[\ud800-\udfff]/.test(object.value)) found = [...object.value];
  }
  const by = bound(step) ?? 1;
  if (by === 0) fail("a slice's step of 0");
  const [least, most] = by > 0 ? [0, found.length] : [-1, found.length - 1];
  const place = (value: number | undefined, otherwise: number): number =>
    value === undefined ? otherwise : Math.min(most, Math.max(least, value < 0 ? value + found.length : value));
  const from = place(bound(start), by > 0 ? 0 : most);
  const to = place(bound(stop), by > 0 ? most : -1);
  if (object instanceof Range) {
    const [first, , stride] = object.bounds;
    return new Range(first + from * stride, first + to * stride, stride * by);
  }
  if (by === 1) {
    const part = found.slice(from, Math.max(from, to));
    if (typeof part === "string") return new Str(part);
    return object instanceof Str ? new Str(part.join("")) : listLike(object, part as Value[]);
  }
  const parts: unknown[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) parts.push(found[i]);
  spend(parts.length);
  return object instanceof Str ? new Str(parts.join("")) : listLike(object, parts as Value[]);
}

const listLike = (object: Value, values: Value[]): Value =>
  object instanceof Tuple ? new Tuple(values) : new List(values);
