// Renders a Jinja template as Python does. Parsing, scopes, loops and macros are @huggingface/jinja's; expressions,
// printing, filters and tests are this folder's, because the library gives JavaScript's answers there: `+` joined
// anything, `None` printed nothing, lists printed as JSON, an undefined value's attribute was silently undefined.
//
// A template comes with a checkpoint, so it is somebody's program. It can only compute text: it has no access to
// JavaScript. Its work is counted and bounded by TEMPLATE_LIMITS. What remains: within the limits it may take a second or two
// and some hundred megabytes, and what it writes is what the model is told.
import { filterNamed } from "./filters.ts";
import { Environment, Interpreter, type Node, parse, type Scope, type Token, tokenize } from "./library.ts";
import { counted, countItems, countText, spend, TEMPLATE_LIMITS, TemplateError } from "./limits.ts";
import { strftime } from "./strftime.ts";
import { stringMethod } from "./strings.ts";
import { contains, iterate, testNamed } from "./tests.ts";
import {
  Bool,
  bool,
  compare,
  Dict,
  entries,
  equal,
  Float,
  Fn,
  Int,
  List,
  NONE,
  number,
  numeric,
  Str,
  str,
  Tuple,
  toValue,
  UNDEFINED,
  Undefined,
  type Value,
} from "./values.ts";

/** Thrown where a template calls raise_exception. */
export class RaisedByTemplate extends Error {}

const STATEMENTS = new Set([
  "Set",
  "If",
  "For",
  "Macro",
  "CallStatement",
  "FilterStatement",
  "Break",
  "Continue",
  "Comment",
]);

/**
 * Marks what the library leaves unmarked: expressions whose value is printed become Output, and what a loop goes over
 * becomes Iterate.
 */
function prepare(statements: Node[]): Node[] {
  return statements.map((node) => {
    if (!STATEMENTS.has(node.type)) return { type: "Output", value: node };
    for (const block of ["body", "alternate", "defaultBlock"])
      if (Array.isArray(node[block])) node[block] = prepare(node[block]);
    if (node.type === "For") {
      const { iterable } = node;
      const unpack = node.loopvar.type === "TupleLiteral";
      if (iterable.type === "SelectExpression") iterable.lhs = { type: "Iterate", value: iterable.lhs, unpack };
      else node.iterable = { type: "Iterate", value: iterable, unpack };
    }
    return node;
  });
}

/**
 * `~` binds tighter than `+` and `-`, which the parser does not know: it is passed off as a multiplication, except in a
 * tag that also multiplies, where it must stay looser than that.
 */
function bindTilde(tokens: Token[]): Token[] {
  for (let start = 0; start < tokens.length; ) {
    let end = start + 1;
    while (end < tokens.length && !["CloseStatement", "CloseExpression"].includes(tokens[end - 1].type)) end++;
    const tag = tokens.slice(start, end);
    if (!tag.some((token) => token.type === "MultiplicativeBinaryOperator"))
      for (const token of tag)
        if (token.value === "~" && token.type === "AdditiveBinaryOperator") token.type = "MultiplicativeBinaryOperator";
    start = end;
  }
  return tokens;
}

class PythonInterpreter extends Interpreter {
  override evaluate(node: Node | undefined, scope: Scope): Value {
    spend(1);
    if (!node) return UNDEFINED;
    const result = this.evaluateNode(node, scope);
    if (node.type !== "Identifier" && node.type !== "Value") {
      if (result instanceof Str) countText(result.value.length);
      else if (result instanceof List) countItems(result.value.length);
    }
    return result;
  }

  private evaluateNode(node: Node, scope: Scope): Value {
    switch (node.type) {
      case "Output":
        return new Str(str(this.evaluate(node.value, scope)));
      case "Iterate": {
        const items = iterate(this.evaluate(node.value, scope));
        // The library makes a scope for every item before the first is run, which takes as long as 32 steps.
        spend(32 * items.length);
        return new List(node.unpack ? items.map(unpackable) : items);
      }
      case "Value":
        return node.value;
      case "BinaryExpression": {
        const operator: string = node.operator.value;
        if (operator === "and" || operator === "or") return super.evaluate(node, scope);
        return this.binary(operator, this.evaluate(node.left, scope), this.evaluate(node.right, scope));
      }
      case "FilterExpression":
        return this.filter(this.evaluate(node.operand, scope), node.filter, scope);
      case "FilterStatement":
        return this.filter(super.evaluate({ type: "Program", body: node.body }, scope), node.filter, scope);
      case "TestExpression":
        return bool(testNamed(node.test.value)(this.evaluate(node.operand, scope)) !== node.negate);
      case "MemberExpression":
        return this.member(node, scope);
      default:
        return super.evaluate(node, scope);
    }
  }

  private filter(value: Value, filter: Node, scope: Scope): Value {
    const args: Value[] = [];
    const keywords = new Map<string, Value>();
    for (const argument of filter.type === "CallExpression" ? filter.args : []) {
      if (argument.type === "KeywordArgumentExpression")
        keywords.set(argument.key.value, this.evaluate(argument.value, scope));
      else args.push(this.evaluate(argument, scope));
    }
    const name: string = filter.type === "CallExpression" ? filter.callee.value : filter.value;
    return filterNamed(name)(value, { args, keywords });
  }

  private member(node: Node, scope: Scope): Value {
    const object = this.evaluate(node.object, scope);
    if (object instanceof Undefined) fail("an undefined value has no attributes");
    if (node.computed && node.property.type === "SliceExpression") {
      if (object instanceof Str) spend(object.value.length);
      return super.evaluate({ ...node, object: { type: "Value", value: object } }, scope);
    }
    const key = node.computed
      ? this.evaluate(node.property, scope)
      : node.property.type === "IntegerLiteral"
        ? new Int(node.property.value)
        : new Str(node.property.value);
    if (object instanceof Str) spend(object.value.length / 4);
    if (key instanceof Int) {
      if (object instanceof List) return object.value.at(key.value) ?? UNDEFINED;
      if (object instanceof Str) return characterAt(object.value, key.value);
      return UNDEFINED;
    }
    if (!(key instanceof Str)) return UNDEFINED;
    const item = entries(object)?.get(key.value);
    const method = this.method(object, key.value);
    // `d.items` is the method although the dict has such a key; `d['items']` is the key.
    return (node.computed ? (item ?? method) : (method ?? item)) ?? UNDEFINED;
  }

  private method(object: Value, name: string): Value | undefined {
    if (object instanceof Str) return stringMethod(object.value, name);
    if (!(object instanceof Dict)) return undefined;
    const map = object.value;
    switch (name) {
      case "get":
        return new Fn(([key, otherwise]) => (key instanceof Str ? map.get(key.value) : undefined) ?? otherwise ?? NONE);
      case "items":
        return new Fn(() => new List(Array.from(map, ([key, value]) => new Tuple([new Str(key), value]))));
      case "keys":
        return new Fn(() => new List(Array.from(map.keys(), (key) => new Str(key))));
      case "values":
        return new Fn(() => new List([...map.values()]));
      default:
        return undefined;
    }
  }

  private binary(operator: string, left: Value, right: Value): Value {
    switch (operator) {
      case "==":
        return bool(equal(left, right));
      case "!=":
        return bool(!equal(left, right));
      case "in":
        return bool(contains(right, left));
      case "not in":
        return bool(!contains(right, left));
      case "~":
        return new Str(str(left) + str(right));
    }
    if (left instanceof Undefined || right instanceof Undefined) fail(`${operator}: a value is undefined`);
    switch (operator) {
      case "<":
        return bool(compare(left, right) < 0);
      case "<=":
        return bool(compare(left, right) <= 0);
      case ">":
        return bool(compare(left, right) > 0);
      case ">=":
        return bool(compare(left, right) >= 0);
      case "+":
        if (left instanceof Str && right instanceof Str) return new Str(left.value + right.value);
        if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.value, ...right.value]);
        if (left instanceof List && right instanceof List && left.type === right.type)
          return new List([...left.value, ...right.value]);
        break;
      case "*":
        for (const [item, times] of [
          [left, right],
          [right, left],
        ])
          if ((times instanceof Int || times instanceof Bool) && (item instanceof Str || item instanceof List))
            return this.repeat(item, Math.max(0, Number(times.value)));
        break;
    }
    const [a, b] = [number(left), number(right)];
    if (a === undefined || b === undefined)
      return fail(`${operator}: a ${left.type} and a ${right.type} do not go together`);
    return arithmetic(operator, a, b, left, right);
  }

  private repeat(item: Value & { value: string | Value[] }, times: number): Value {
    if (item instanceof Str) {
      countText(item.value.length * times);
      return new Str(item.value.repeat(times));
    }
    countItems(item.value.length * times);
    return new List(Array.from({ length: times }, () => item.value as Value[]).flat());
  }
}

function arithmetic(operator: string, a: number, b: number, ...from: Value[]): Value {
  if (b === 0 && ["/", "//", "%"].includes(operator)) fail("a division by zero");
  switch (operator) {
    case "+":
      return numeric(a + b, ...from);
    case "-":
      return numeric(a - b, ...from);
    case "*":
      return numeric(a * b, ...from);
    case "/":
      return new Float(a / b);
    case "//":
      return numeric(Math.floor(a / b), ...from);
    case "%":
      return numeric(a - b * Math.floor(a / b), ...from);
    case "**":
      return b < 0 ? new Float(a ** b) : numeric(a ** b, ...from);
    default:
      return fail(`no operator ${operator}`);
  }
}

/** The library unpacks lists into several loop variables, but not tuples. */
const unpackable = (item: Value): Value => (item instanceof Tuple ? new List(item.value) : item);

function range(args: readonly Value[]): Value {
  const [a, b, step = 1] = args.map((value) => (value instanceof Int ? value.value : fail("range: expected integers")));
  const [start, stop] = b === undefined ? [0, a] : [a, b];
  if (args.length === 0 || step === 0) fail("range: expected a stop, and a step other than 0");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  countItems(count);
  return new List(Array.from({ length: count }, (_, i) => new Int(start + i * step)));
}

function characterAt(text: string, index: number): Value {
  const character = [...text].at(index);
  return character === undefined ? UNDEFINED : new Str(character);
}

function fail(problem: string): never {
  throw new TemplateError(problem);
}

/**
 * @param template - the template's source
 * @param variables - JSON-like values by name
 * @throws {@link RaisedByTemplate} when the template calls raise_exception
 * @throws Error when it is no template, does what Python refuses, or goes beyond {@link TEMPLATE_LIMITS}
 */
export function render(template: string, variables: Readonly<Record<string, unknown>>): string {
  if (template.length > TEMPLATE_LIMITS.source)
    fail(`a source of ${template.length} characters; at most ${TEMPLATE_LIMITS.source} are allowed`);
  if (new RegExp(`\\s{${TEMPLATE_LIMITS.blank + 1}}`).test(template))
    fail(`white space in the source; at most ${TEMPLATE_LIMITS.blank} in a row are allowed`);
  const program = parse(bindTilde(tokenize(template, { lstrip_blocks: true, trim_blocks: true })));
  program.body = prepare(program.body);
  const environment = new Environment();
  const globals: Record<string, Value> = {
    true: bool(true),
    false: bool(false),
    none: NONE,
    True: bool(true),
    False: bool(false),
    None: NONE,
    range: new Fn(range),
    dict: new Fn(([given]) =>
      given?.type === "KeywordArgumentsValue"
        ? new Dict(new Map(given.value as Map<string, Value>))
        : given instanceof Dict
          ? new Dict(new Map(given.value))
          : given
            ? fail("dict: expected keywords or a dict")
            : new Dict(new Map()),
    ),
    raise_exception: new Fn(([message]) => {
      throw new RaisedByTemplate(str(message ?? UNDEFINED));
    }),
    strftime_now: new Fn(([format]) => new Str(strftime(new Date(), str(format ?? UNDEFINED)))),
  };
  for (const [name, value] of Object.entries(globals)) environment.setVariable(name, value);
  for (const [name, value] of Object.entries(variables)) environment.setVariable(name, toValue(value));
  return counted(() => str(new PythonInterpreter(environment).run(program)));
}
