// Jinja's tests (`is …`), and what Python iterates over and looks into.
import { showName } from "../../config/show.ts";
import { TemplateError } from "./limits.ts";
import { characters } from "./strings.ts";
import {
  Bool,
  compare,
  Dict,
  entries,
  equal,
  Float,
  Fn,
  Int,
  List,
  None,
  number,
  Str,
  str,
  UNDEFINED,
  Undefined,
  type Value,
} from "./values.ts";

type Test = (value: Value, ...args: Value[]) => boolean;

/** @throws TemplateError always */
export function wrong(expected: string, found: Value): never {
  throw new TemplateError(
    `expected ${expected}, found ${found instanceof Undefined ? "an undefined value" : `a ${found.type}`}`,
  );
}

/** The items that Python iterates over: of a list, the characters of a string, the keys of a dict. */
export function iterate(value: Value): Value[] {
  if (value instanceof List) return value.value;
  if (value instanceof Str) return characters(value.value).map((c) => new Str(c));
  if (value instanceof Dict) return Array.from(value.value.keys(), (key) => new Str(key));
  if (value instanceof Undefined) return [];
  return wrong("something to iterate over", value);
}

const order =
  (holds: (sign: number) => boolean): Test =>
  (a, b) =>
    holds(compare(a, b ?? UNDEFINED));
const equals: Test = (a, b) => equal(a, b ?? UNDEFINED);
const differs: Test = (a, b) => !equals(a, b);
const amount = (value: Value): number => number(value) ?? wrong("a number", value);
const greater = order((sign) => sign > 0);
const less = order((sign) => sign < 0);
const atLeast = order((sign) => sign >= 0);
const atMost = order((sign) => sign <= 0);

/** Python's `in`. */
export function contains(container: Value, item: Value): boolean {
  if (container instanceof Undefined) return false;
  if (container instanceof Str)
    return item instanceof Str ? container.value.includes(item.value) : wrong("a string to look for", item);
  const map = entries(container);
  return map ? item instanceof Str && map.has(item.value) : iterate(container).some((other) => equal(other, item));
}

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["boolean", (value) => value instanceof Bool],
  ["callable", (value) => value instanceof Fn],
  ["defined", (value) => !(value instanceof Undefined)],
  ["divisibleby", (value, by) => amount(value) % amount(by ?? UNDEFINED) === 0],
  ["eq", equals],
  ["equalto", equals],
  ["==", equals],
  ["even", (value) => amount(value) % 2 === 0],
  ["false", (value) => value instanceof Bool && !value.value],
  ["float", (value) => value instanceof Float],
  ["ge", atLeast],
  [">=", atLeast],
  ["gt", greater],
  ["greaterthan", greater],
  [">", greater],
  ["in", (value, container) => contains(container ?? UNDEFINED, value)],
  ["integer", (value) => value instanceof Int],
  [
    "iterable",
    (value) => value instanceof List || value instanceof Str || value instanceof Dict || value instanceof Undefined,
  ],
  ["le", atMost],
  ["<=", atMost],
  ["lower", (value) => /\p{L}/u.test(str(value)) && str(value) === str(value).toLowerCase()],
  ["lt", less],
  ["lessthan", less],
  ["<", less],
  ["mapping", (value) => value instanceof Dict],
  ["ne", differs],
  ["!=", differs],
  ["none", (value) => value instanceof None],
  ["number", (value) => number(value) !== undefined],
  ["odd", (value) => Math.abs(amount(value) % 2) === 1],
  [
    "sequence",
    (value) => value instanceof List || value instanceof Str || value instanceof Dict || value instanceof Undefined,
  ],
  ["string", (value) => value instanceof Str],
  ["true", (value) => value instanceof Bool && value.value],
  ["undefined", (value) => value instanceof Undefined],
  ["upper", (value) => /\p{L}/u.test(str(value)) && str(value) === str(value).toUpperCase()],
]);

/** @throws TemplateError when there is none of that name */
export function testNamed(name: string): Test {
  const test = TESTS.get(name);
  if (!test) throw new TemplateError(`no test is named ${showName(name)}`);
  return test;
}
