// Python's operators between two values.
import { countItems, countText, fail } from "./limits.ts";
import { str } from "./print.ts";
import {
  compare,
  contains,
  equal,
  Float,
  int,
  integer,
  kindOf,
  List,
  Markup,
  number,
  Range,
  Str,
  Tuple,
  type Value,
} from "./values.ts";

export function compares(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return compare(left, right) < 0;
    case "<=":
      return compare(left, right) <= 0;
    case ">":
      return compare(left, right) > 0;
    default:
      return compare(left, right) >= 0;
  }
}

/** `~`: everything as it prints. */
export function concatenate(values: readonly Value[]): Value {
  const texts = values.map(str);
  countText(texts.reduce((n, text) => n + text.length, 0));
  return new Str(texts.join(""));
}

function add(left: Value, right: Value): Value | undefined {
  if (left instanceof Str && right instanceof Str) {
    const escaped = [left, right].filter((text) => text instanceof Markup).length;
    if (escaped === 1 && [left, right].some((text) => !(text instanceof Markup) && /[&<>"']/.test(text.value)))
      fail("+ between escaped text and text that it would escape is not supported");
    countText(left.value.length + right.value.length);
    return new (escaped > 0 ? Markup : Str)(left.value + right.value);
  }
  if (!(left instanceof List && right instanceof List) || left.type !== right.type || left instanceof Range)
    return undefined;
  countItems(left.value.length + right.value.length);
  const items = [...left.value, ...right.value];
  return left instanceof Tuple ? new Tuple(items) : new List(items);
}

function repeat(item: Value, times: number): Value | undefined {
  const n = Math.max(0, times);
  if (item instanceof Str) {
    countText(item.value.length * n);
    return new Str(item.value.repeat(n));
  }
  if (!(item instanceof List) || item instanceof Range) return undefined;
  countItems(item.value.length * n);
  const items = Array.from({ length: item.value.length === 0 ? 0 : n }, () => item.value).flat();
  return item instanceof Tuple ? new Tuple(items) : new List(items);
}

/** @param operator - `+`, `-`, `*`, `/`, `//`, `%` or `**` */
export function binary(operator: string, left: Value, right: Value): Value {
  const [a, b] = [number(left), number(right)];
  if (a !== undefined && b !== undefined) {
    const [x, y] = [integer(left), integer(right)];
    return x === undefined || y === undefined || operator === "/" ? floats(operator, a, b) : integers(operator, x, y);
  }
  let result: Value | undefined;
  if (operator === "+") result = add(left, right);
  else if (operator === "*") {
    const [x, y] = [integer(left), integer(right)];
    result = y !== undefined ? repeat(left, y) : x !== undefined ? repeat(right, x) : undefined;
  } else if (operator === "%" && left instanceof Str) fail("% after a string (formatting) is not supported");
  return result ?? fail(`${operator} between ${kindOf(left)} and ${kindOf(right)}`);
}

/** The remainder with the divisor's sign. */
function modulo(a: number, b: number): number {
  const rest = a % b;
  return rest === 0 ? (b < 0 ? -0 : 0) : rest < 0 !== b < 0 ? rest + b : rest;
}

function integers(operator: string, a: number, b: number): Value {
  if (b === 0 && (operator === "//" || operator === "%")) fail("a division by zero");
  switch (operator) {
    case "+":
      return int(a + b);
    case "-":
      return int(a - b);
    case "*":
      return int(a * b);
    case "//":
      return int((a - modulo(a, b)) / b);
    case "%":
      return int(modulo(a, b) + 0);
    default:
      return b < 0 ? new Float(power(a, b)) : int(power(a, b));
  }
}

/**
 * Powers of integers, squares and roots, which are rounded right. Others are refused: JavaScript's differ from Python's
 * in the last digit.
 */
function power(a: number, b: number): number {
  if (a === 0 && b < 0) return fail("0 to a negative power");
  if (b === 0 || a === 1) return 1;
  if (b === 1 || a === 0) return a;
  if (b === 2) return a * a;
  if (b === 0.5 && a >= 0) return Math.sqrt(a);
  if (!Number.isSafeInteger(a) || !Number.isSafeInteger(b)) return fail(`${a} ** ${b} is not supported`);
  if (Math.abs(a) > 1 && Math.abs(b) > 1023) return fail("a power beyond the largest float");
  const whole = Number(BigInt(a) ** BigInt(Math.abs(a) > 1 ? Math.abs(b) : Math.abs(b) % 2));
  if (!Number.isFinite(whole)) return fail("a power beyond the largest float");
  if (b > 0) return whole;
  return Number.isSafeInteger(whole) ? 1 / whole : fail(`${a} ** ${b} is not supported`);
}

function floats(operator: string, a: number, b: number): Value {
  if (b === 0 && (operator === "/" || operator === "//" || operator === "%")) fail("a division by zero");
  switch (operator) {
    case "+":
      return new Float(a + b);
    case "-":
      return new Float(a - b);
    case "*":
      return new Float(a * b);
    case "/":
      return new Float(a / b);
    case "%":
      return new Float(modulo(a, b));
    case "//": {
      const quotient = (a - modulo(a, b)) / b;
      const whole = Math.floor(quotient);
      return new Float(quotient - whole > 0.5 ? whole + 1 : whole);
    }
    default:
      return new Float(power(a, b));
  }
}
