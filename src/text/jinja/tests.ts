// Jinja's tests (`is …`).
import { showName } from "../../config/show.ts";
import { type Arguments, bindArguments } from "./arguments.ts";
import { filterNamed } from "./filters.ts";
import { fail } from "./limits.ts";
import { str } from "./print.ts";
import { isLower, isUpper } from "./strings.ts";
import {
  Bool,
  compare,
  contains,
  Dict,
  equal,
  Float,
  Fn,
  Generator,
  Int,
  List,
  Markup,
  None,
  number,
  Str,
  Undefined,
  type Value,
  View,
  wrong,
} from "./values.ts";

type Test = (value: Value, other: Value) => boolean;

const order =
  (holds: (sign: number) => boolean): Test =>
  (a, b) =>
    holds(compare(a, b));
const differs: Test = (a, b) => !equal(a, b);
const greater = order((sign) => sign > 0);
const less = order((sign) => sign < 0);
const atLeast = order((sign) => sign >= 0);
const atMost = order((sign) => sign <= 0);

function remainder(value: Value, by: number): number {
  if (by === 0) fail("a division by zero");
  return Math.abs((number(value) ?? wrong("a number", value)) % by);
}

function same(a: Value, b: Value): boolean {
  if (a === b || (a instanceof None && b instanceof None)) return true;
  if (a instanceof Bool && b instanceof Bool) return a.value === b.value;
  if (a.type === b.type && !(a instanceof List || a instanceof Dict))
    fail("sameas compares numbers and strings by place");
  return false;
}

function known(find: (name: string) => unknown, name: Value): boolean {
  try {
    find(name instanceof Str ? name.value : wrong("a name", name));
    return true;
  } catch {
    return name instanceof Str && JINJA.has(name.value) ? fail(`${name.value} is not supported`) : false;
  }
}

/** What Jinja has, and this project has not. */
const JINJA = new Set(
  "attr batch center filesizeformat forceescape format groupby pprint random slice striptags truncate urlencode urlize wordwrap xmlattr".split(
    " ",
  ),
);

/** Tests of the value alone. */
const ALONE: readonly (readonly [string, (value: Value) => boolean])[] = [
  ["boolean", (value) => value instanceof Bool],
  ["callable", (value) => value instanceof Fn || value instanceof Undefined],
  ["defined", (value) => !(value instanceof Undefined)],
  ["escaped", (value) => value instanceof Markup],
  ["even", (value) => remainder(value, 2) === 0],
  ["false", (value) => value instanceof Bool && !value.value],
  ["filter", (value) => known(filterNamed, value)],
  ["float", (value) => value instanceof Float],
  ["integer", (value) => value instanceof Int],
  [
    "iterable",
    (value) => [List, Str, Dict, View, Generator, Undefined].some((kind) => value instanceof (kind as typeof View)),
  ],
  ["lower", (value) => isLower(str(value))],
  ["mapping", (value) => value instanceof Dict],
  ["none", (value) => value instanceof None],
  ["number", (value) => number(value) !== undefined],
  ["odd", (value) => remainder(value, 2) === 1],
  ["sequence", (value) => [List, Str, Dict, Undefined].some((kind) => value instanceof kind)],
  ["string", (value) => value instanceof Str],
  ["test", (value) => known(testNamed, value)],
  ["true", (value) => value instanceof Bool && value.value],
  ["undefined", (value) => value instanceof Undefined],
  ["upper", (value) => isUpper(str(value))],
];

/** Tests that compare. */
const WITH: readonly (readonly [string, Test])[] = [
  ["divisibleby", (value, by) => remainder(value, number(by) ?? wrong("a number", by)) === 0],
  ["eq", equal],
  ["equalto", equal],
  ["==", equal],
  ["ge", atLeast],
  [">=", atLeast],
  ["gt", greater],
  ["greaterthan", greater],
  [">", greater],
  ["in", (value, container) => contains(container, value)],
  ["le", atMost],
  ["<=", atMost],
  ["lt", less],
  ["lessthan", less],
  ["<", less],
  ["ne", differs],
  ["!=", differs],
  ["sameas", same],
];

const TESTS = new Map<string, { readonly parameters: readonly string[]; readonly test: Test }>([
  ...ALONE.map(([name, test]) => [name, { parameters: [], test }] as const),
  ...WITH.map(([name, test]) => [name, { parameters: ["other!"], test }] as const),
]);

/** @throws TemplateError when there is none of that name */
export function testNamed(name: string): (value: Value, given: Arguments) => boolean {
  const { parameters, test } = TESTS.get(name) ?? fail(`no test is named ${showName(name)}`);
  return (value, given) => test(value, bindArguments(name, parameters, given)[0] as Value);
}
