// Evaluates the tree of parser.ts as Python does. The library's interpreter runs blocks, if, set, calls, names and
// literals. Where its answers are not Python's, they are this file's: loops (one scope for all turns, no text
// of a turn that ends early, no cycle, changed or recursion), macros (the caller's scope), operators, attributes.
import { splitArguments } from "./arguments.ts";
import { getAttribute, getItem, slice } from "./attributes.ts";
import { filterNamed } from "./filters.ts";
import { Environment, Interpreter, type Node, type Scope } from "./library.ts";
import { countItems, countText, fail, spend } from "./limits.ts";
import { Loop } from "./loop.ts";
import { binary, compares, concatenate } from "./operators.ts";
import { str } from "./print.ts";
import { testNamed } from "./tests.ts";
import {
  bool,
  Dict,
  Fn,
  Int,
  items,
  iterate,
  type Key,
  keyOf,
  List,
  NONE,
  number,
  Str,
  Tuple,
  truth,
  UNDEFINED,
  type Value,
  View,
  wrong,
} from "./values.ts";

/** Globals of Jinja's that are not here: refused where they are used, as to be undefined would be silently wrong. */
const UNSUPPORTED = new Set(["cycler", "joiner", "lipsum", "self"]);

/** Thrown by break and continue, caught by their loop. */
const BREAK = Symbol("break");
const CONTINUE = Symbol("continue");

/** Scopes, turns of loops and calls are counted by the time they take beside other nodes. */
export function scopeWithin(parent?: Scope): Scope {
  spend(16);
  const scope = new Environment(parent);
  scope.variables.delete("namespace");
  return scope;
}

export class PythonInterpreter extends Interpreter {
  /** The text of the template, or of the part of it that is captured. */
  private text = "";
  /** Where in the source the statement begins that runs. */
  at = 0;

  render(body: Node[], scope: Scope): string {
    return this.capture(() => this.run(body, scope));
  }

  private run(body: Node[], scope: Scope): void {
    super.evaluate({ type: "Program", body }, scope);
  }

  /** What is written meanwhile. */
  private capture(run: () => void): string {
    const outer = this.text;
    this.text = "";
    try {
      run();
      return this.text;
    } finally {
      this.text = outer;
    }
  }

  private write(text: string): Value {
    countText(text.length);
    this.text += text;
    if (this.text.length > text.length) countText(this.text.length, text.length);
    return NONE;
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    spend(1);
    if (!node) return UNDEFINED;
    if (node.at !== undefined) this.at = node.at;
    switch (node.type) {
      case "Text":
        return this.write(node.value);
      case "Output":
        return this.write(str(this.evaluate(node.value, scope)));
      case "Filtered": {
        const text = this.evaluate(node.value, scope);
        return text instanceof Str ? this.write(text.value) : wrong("text from a filter around a block", text);
      }
      case "Declare":
        for (const name of node.names as string[]) if (!scope.variables.has(name)) scope.variables.set(name, UNDEFINED);
        return NONE;
      case "Scope":
        this.run(node.body, scopeWithin(scope));
        return NONE;
      case "Capture":
        return new Str(this.capture(() => this.run(node.body, scopeWithin(scope))));
      case "For":
        this.loop(node, scope, this.evaluate(node.iterable, scope), 0);
        return NONE;
      case "Break":
        throw BREAK;
      case "Continue":
        throw CONTINUE;
      case "With": {
        const inner = scopeWithin(scope);
        const values = node.values.map((value: Node) => this.evaluate(value, scope));
        node.targets.forEach((target: Node, i: number) => void this.assign(target, values[i], inner));
        this.run(node.body, inner);
        return NONE;
      }
      case "Set":
        return this.assign(node.assignee, this.evaluate(node.value, scope), scope);
      case "Macro":
        return this.assign({ type: "Identifier", value: node.name }, this.macro(node, scope), scope);
      case "CallStatement": {
        const caller = { type: "Value", value: this.macro(node.macro, scope) };
        const { callee, args } = node.call;
        const named = { type: "KeywordArgumentExpression", key: { value: "caller" }, value: caller };
        return this.write(str(super.evaluate({ type: "CallExpression", callee, args: [...args, named] }, scope)));
      }
      case "Value":
        return node.value;
      case "Identifier":
        return this.variable(node.value, scope);
      case "Listed":
        return new List(iterate(this.evaluate(node.value, scope)));
      case "ArrayLiteral":
      case "TupleLiteral": {
        countItems(node.value.length);
        const values = node.value.map((item: Node) => this.evaluate(item, scope));
        return node.type === "ArrayLiteral" ? new List(values) : new Tuple(values);
      }
      case "ObjectLiteral":
        return this.dict(node.entries, scope);
      case "Concat":
        return concatenate(node.parts.map((part: Node) => this.evaluate(part, scope)));
      case "Arithmetic": {
        const [left, right] = [this.evaluate(node.left, scope), this.evaluate(node.right, scope)];
        // Jinja2 writes a constant such as -1 into Python, where -1 ** n is -(1 ** n).
        if (node.operator.value === "**" && isConstant(node.left) && !isConstant(node.right) && (number(left) ?? 0) < 0)
          fail("** after a negative constant is not supported");
        return binary(node.operator.value, left, right);
      }
      case "Compare": {
        let left = this.evaluate(node.first, scope);
        for (const { operator, value } of node.rest) {
          const right = this.evaluate(value, scope);
          if (!compares(operator, left, right)) return bool(false);
          left = right;
        }
        return bool(true);
      }
      case "FilterExpression": {
        const value = this.evaluate(node.operand, scope);
        const result = this.call((args) => filterNamed(node.name)(value, splitArguments(args)), node.args, scope);
        if (result instanceof Str) countText(result.value.length);
        else if (result instanceof List) countItems(result.value.length);
        return result;
      }
      case "TestExpression": {
        const value = this.evaluate(node.operand, scope);
        return this.call((args) => bool(testNamed(node.name)(value, splitArguments(args))), node.args, scope);
      }
      case "MemberExpression":
        return this.member(node, scope);
      case "CallExpression": {
        spend(8);
        const result = super.evaluate(node, scope);
        if (result instanceof Str) countText(result.value.length);
        else if (result instanceof List || result instanceof View) countItems(result.value.length);
        return result;
      }
      default:
        return super.evaluate(node, scope);
    }
  }

  private variable(name: string, scope: Scope): Value {
    let depth = 0;
    for (let within: Scope | undefined = scope; within; within = within.parent) {
      const found = within.variables.get(name);
      if (found) return found;
      if (++depth % 8 === 0) spend(1);
    }
    return UNSUPPORTED.has(name) ? fail(`the global ${name} is not supported`) : UNDEFINED;
  }

  /** A call of a function of ours with arguments of the template's. */
  private call(run: (args: Value[]) => Value, args: Node[], scope: Scope): Value {
    spend(4);
    if (args.length === 0) return run([]);
    return super.evaluate({ type: "CallExpression", callee: { type: "Value", value: new Fn(run) }, args }, scope);
  }

  private member(node: Node, scope: Scope): Value {
    const object = this.evaluate(node.object, scope);
    const { property } = node;
    if (!node.computed) return getAttribute(object, property.value);
    if (property.type !== "SliceExpression") return getItem(object, this.evaluate(property, scope));
    spend(24);
    const [start, stop, step] = [property.start, property.stop, property.step].map((bound) =>
      this.evaluate(bound, scope),
    );
    const result = slice(object, bound(start, property.start), bound(stop, property.stop), bound(step, property.step));
    if (result instanceof Str) countText(result.value.length);
    else countItems((result.value as Value[]).length);
    return result;
  }

  private dict(entries: readonly (readonly [Node, Node])[], scope: Scope): Value {
    countItems(entries.length);
    const map = new Map<Key, Value>();
    for (const [keyNode, valueNode] of entries) {
      const key = this.evaluate(keyNode, scope);
      if (!(key instanceof Str || key instanceof Int)) wrong("a string or an integer as a dict's key", key);
      map.set(keyOf(key)!, this.evaluate(valueNode, scope));
    }
    return new Dict(map);
  }

  private assign(target: Node, value: Value, scope: Scope): Value {
    if (target.type === "TupleLiteral") {
      const values = iterate(value);
      const { length } = target.value;
      if (values.length !== length) fail(`expected ${length} values to unpack, found ${values.length}`);
      target.value.forEach((item: Node, i: number) => void this.assign(item, values[i], scope));
    } else if (target.type === "MemberExpression") {
      const name: string = target.property.value;
      if (name.startsWith("_")) fail("a namespace's attribute cannot begin with _");
      const assignee = { ...target, object: { type: "Value", value: this.evaluate(target.object, scope) } };
      super.evaluate({ type: "Set", assignee, value: { type: "Value", value } }, scope);
    } else super.evaluate({ type: "Set", assignee: target, value: { type: "Value", value } }, scope);
    return NONE;
  }

  /** A loop over what `iterable` holds; turns whose test fails are left out when they are reached. */
  private loop(node: Node, scope: Scope, iterable: Value, depth: number): void {
    const source = items(iterable)[Symbol.iterator]();
    const { target, test } = node;
    const kept = test === undefined ? source : this.kept(source, target, test, scope);
    const sized = Array.isArray(iterable.value) && test === undefined ? iterable.value.length : undefined;
    const again = (values: Value, level: number): Value =>
      new Str(this.capture(() => this.loop(node, scope, values, level)));
    spend(32);
    const loop = new Loop(kept, sized, depth, node.recursive ? again : undefined);
    // As Jinja2 counts them: `else` also runs where every turn ended by break or continue.
    let turns = 0;
    for (let item = loop.next(); item !== undefined; item = loop.next()) {
      const inner = scopeWithin(scope);
      inner.variables.set("loop", loop);
      this.assign(target, item, inner);
      try {
        this.run(node.body, inner);
        turns++;
      } catch (signal) {
        if (signal === BREAK) break;
        if (signal !== CONTINUE) throw signal;
        spend(16);
      }
    }
    if (turns === 0 && node.alternate.length > 0) this.run(node.alternate, scopeWithin(scope));
  }

  private *kept(source: Iterator<Value>, target: Node, test: Node, scope: Scope): Generator<Value, void> {
    for (let next = source.next(); !next.done; next = source.next()) {
      const inner = scopeWithin(scope);
      spend(16);
      this.assign(target, next.value, inner);
      if (truth(this.evaluate(test, inner))) yield this.read(target, inner);
    }
  }

  /** What a target holds: of a loop with a test, Jinja2 makes the items anew from it. */
  private read(target: Node, scope: Scope): Value {
    if (target.type !== "TupleLiteral") return scope.variables.get(target.value)!;
    return new Tuple(target.value.map((item: Node) => this.read(item, scope)));
  }

  private macro(node: Node, scope: Scope): Value {
    const { parameters, used } = node as { parameters: Node[]; used: Set<string> } & Node;
    const what = `macro ${node.name}`;
    return new Fn((given) => {
      spend(16 + 8 * parameters.length);
      const { args, keywords } = splitArguments(given);
      const rest = new Map(keywords);
      const inner = scopeWithin(scope);
      const set = (name: string, value: Value) => void inner.variables.set(name, value);
      const take = (name: string): Value | undefined => {
        const value = rest.get(name);
        rest.delete(name);
        return value;
      };
      const missing = parameters.filter(({ name }, i) => {
        const value = args[i] ?? take(name);
        set(name, value ?? UNDEFINED);
        return value === undefined;
      });
      if (used.has("caller")) set("caller", take("caller") ?? UNDEFINED);
      if (used.has("kwargs")) set("kwargs", new Dict(rest));
      else if (rest.size > 0) fail(`${what} takes no argument named ${[...rest.keys()][0]}`);
      if (used.has("varargs")) set("varargs", new Tuple(args.slice(parameters.length)));
      else if (args.length > parameters.length) fail(`${what} takes at most ${parameters.length} arguments`);
      for (const { name, otherwise } of missing) if (otherwise) set(name, this.evaluate(otherwise, inner));
      return new Str(this.capture(() => this.run(node.body, inner)));
    });
  }
}

const isConstant = ({ type, argument, left, right }: Node): boolean =>
  type === "IntegerLiteral" ||
  type === "FloatLiteral" ||
  (type === "UnaryExpression" && isConstant(argument)) ||
  (type === "Arithmetic" && isConstant(left) && isConstant(right));

/** A bound of a slice that is written but undefined is no bound that Python takes. */
const bound = (value: Value, written: unknown): Value =>
  written !== undefined && value === UNDEFINED ? wrong("an integer as a slice's bound", value) : value;
