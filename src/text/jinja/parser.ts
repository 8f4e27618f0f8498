// Statements as nodes, by Jinja2's grammar. The library's own parser binds `~` as `+`, compares chains from the left,
// takes tests without arguments, commas or none, and knows neither `with` nor `recursive`.
//
// If and Set are the library's nodes; Text, Output, Filtered, Scope, Capture, With, For, Macro and CallStatement are
// interpreter.ts's own.
import { showName } from "../../config/show.ts";
import { CONSTANTS, ExpressionParser, type Frame } from "./expressions.ts";
import { failAt } from "./lexer.ts";
import type { Node } from "./library.ts";

/** Statements of Jinja2 that need other templates, or that chat templates have no use for. */
const REFUSED = new Set("block extends include import from autoescape".split(" "));

/** Names that are macros' own where their bodies use them. */
const SPECIAL = ["caller", "kwargs", "varargs"];

/** @param source - as `normalized` gives it */
export const parse = (source: string): Node[] => new Parser(source).template();

const known = (name: string, frame: Frame | undefined): boolean =>
  frame !== undefined && (frame.names.has(name) || known(name, frame.parent));

class Parser extends ExpressionParser {
  /** Loops around the current place within the same macro: where break and continue may stand. */
  private loops = 0;
  private readonly frames: { readonly frame: Frame; readonly body: Node[] }[] = [];

  template(): Node[] {
    const template = this.complete(() => this.body([]));
    this.frames.push({ frame: this.frame, body: template });
    for (const { frame, body } of this.frames) {
      const names = [...frame.names].filter(([name, use]) => use === "store" && !known(name, frame.parent));
      if (names.length > 0) body.unshift({ type: "Declare", names: names.map(([name]) => name) });
    }
    return template;
  }

  /** Reads what has a frame of its own. */
  private framed<T>(read: () => T): T {
    const { frame } = this;
    this.frame = { parent: frame, names: new Map() };
    const result = read();
    this.frame = frame;
    return result;
  }

  /** Notes what a statement gives values to, after what it reads for that. */
  private declare(target: Node): void {
    if (target.type === "TupleLiteral") for (const item of target.value) this.declare(item);
    else if (target.type === "Identifier" && !this.frame.names.has(target.value))
      this.frame.names.set(target.value, "store");
  }

  /** Reads what is compiled for itself: what is missing in it is so whether or not it stands within an `if`. */
  private complete<T>(read: () => T): T {
    const { missing } = this;
    this.missing = [];
    const result = read();
    if (this.missing.length > 0) throw this.missing[0];
    this.missing = missing;
    return result;
  }

  /** What stands before one of the tags in `ends`, of which the name is the next token; all, where there are none. */
  private body(ends: readonly string[]): Node[] {
    const nodes: Node[] = [];
    while (this.token) {
      const { type, value, at } = this.token;
      this.place++;
      if (type === "text") nodes.push({ type: "Text", value });
      else if (value === "{{") {
        nodes.push({ type: "Output", value: this.tuple(), at });
        this.expect("end");
      } else {
        if (this.is("name") && ends.includes(this.token.value)) return nodes;
        nodes.push(...this.nested(() => this.statement()).map((node) => ({ ...node, at })));
        this.expect("end");
      }
    }
    return ends.length === 0 ? nodes : this.fail(`expected {% ${ends.join(" %} or {% ")} %}`);
  }

  /** The rest of a tag, and the body behind it up to one of the tags `ends`; gives the name of that tag too. */
  private block(...ends: string[]): { body: Node[]; end: string } {
    this.skip("operator", ":");
    this.expect("end");
    const body = this.body(ends);
    return { body, end: this.tokens[this.place++].value };
  }

  /** A block with a scope of its own, in which `targets` have values. */
  private inner(
    ends: readonly string[],
    targets: readonly Node[] = [],
    loops = this.loops,
  ): { body: Node[]; end: string } {
    const { loops: outer } = this;
    this.loops = loops;
    const result = this.framed(() => {
      for (const target of targets) this.declare(target);
      const inner = this.complete(() => this.block(...ends));
      this.frames.push({ frame: this.frame, body: inner.body });
      return inner;
    });
    this.loops = outer;
    return result;
  }

  private statement(): Node[] {
    const { value: name, at } = this.expect("name");
    switch (name) {
      case "if":
        return [this.ifStatement()];
      case "for":
        return [this.forStatement()];
      case "set":
        return [this.setStatement()];
      case "macro": {
        const macro = this.expect("name").value;
        this.assign(macro);
        this.declare({ type: "Identifier", value: macro });
        return [this.macro(macro, this.parameters(), "endmacro")];
      }
      case "call": {
        const parameters = this.is("operator", "(") ? this.parameters() : [];
        const call = this.expression();
        if (call.type !== "CallExpression") failAt(this.source, at, "call: expected a call");
        return [{ type: "CallStatement", call, macro: this.macro("caller", parameters, "endcall") }];
      }
      case "filter": {
        const filter = this.filter({ type: "Capture" });
        const chain = this.filters(filter);
        filter.operand.body = this.inner(["endfilter"]).body;
        return [{ type: "Filtered", value: chain }];
      }
      case "with":
        return [this.withStatement()];
      case "generation":
        return [{ type: "Scope", body: this.inner(["endgeneration"], [], 0).body }];
      case "print": {
        const values: Node[] = [];
        while (!this.is("end")) {
          if (values.length > 0) this.expect("operator", ",");
          values.push({ type: "Output", value: this.expression() });
        }
        return values;
      }
      case "break":
      case "continue":
        if (this.loops === 0) failAt(this.source, at, `${name}: expected a loop around it, found none`);
        return [{ type: name === "break" ? "Break" : "Continue" }];
    }
    return failAt(
      this.source,
      at,
      REFUSED.has(name) ? `{% ${name} %} is not supported` : `no tag is named ${showName(name)}`,
    );
  }

  private ifStatement(): Node {
    const missing = this.missing.length;
    const { frame } = this;
    const result: Node = { type: "If" };
    let before = frame.names;
    for (let node = result; ; ) {
      node.test = this.tuple(false);
      before = new Map(frame.names);
      const { body, end } = this.block("elif", "else", "endif");
      Object.assign(node, { body, alternate: [] });
      const branch = frame.names;
      // What only some branches set is what it was before, which counts as read.
      frame.names = new Map([...[...branch.keys()].map((name) => [name, "load"] as const), ...before]);
      if (end === "elif") {
        node.alternate = [{ type: "If" }];
        node = node.alternate[0];
        continue;
      }
      if (end === "else") node.alternate = this.block("endif").body;
      for (const name of frame.names.keys()) if (!before.has(name)) frame.names.set(name, "load");
      this.missing.length = missing;
      return result;
    }
  }

  private forStatement(): Node {
    this.loops++;
    const target = this.target(false);
    this.loops--;
    this.expect("name", "in");
    const iterable = this.tuple(false);
    const test = this.skip("name", "if") ? this.framed(() => this.expression()) : undefined;
    const recursive = this.skip("name", "recursive");
    const { body, end } = this.inner(["endfor", "else"], [target], this.loops + 1);
    const alternate = end === "else" ? this.inner(["endfor"]).body : [];
    return { type: "For", target, iterable, test, recursive, body, alternate };
  }

  private setStatement(): Node {
    const assignee = this.target(true);
    if (this.skip("operator", "=")) {
      const value = this.tuple();
      this.declare(assignee);
      return { type: "Set", assignee, value };
    }
    const capture: Node = { type: "Capture" };
    const value = this.filters(capture);
    this.declare(assignee);
    capture.body = this.inner(["endset"]).body;
    return { type: "Set", assignee, value };
  }

  private withStatement(): Node {
    const [targets, values]: [Node[], Node[]] = [[], []];
    while (!this.is("end") && !this.is("operator", ":")) {
      if (targets.length > 0) this.expect("operator", ",");
      targets.push(this.target(false));
      this.expect("operator", "=");
      values.push(this.expression());
    }
    return { type: "With", targets, values, body: this.inner(["endwith"], targets).body };
  }

  private macro(name: string, parameters: Node[], end: string): Node {
    for (const parameter of parameters) this.assign(parameter.name);
    this.macros.push({ watched: new Set(SPECIAL), used: new Set() });
    const names = parameters.map(({ name: value }) => ({ type: "Identifier", value }));
    const { body } = this.inner([end], names, 0);
    const { used } = this.macros.pop()!;
    for (const parameter of parameters)
      if (used.has(parameter.name)) {
        used.delete(parameter.name);
        if (parameter.name === "caller" && !parameter.otherwise)
          this.fail(`macro ${name}: expected a default for the parameter caller`);
      }
    return { type: "Macro", name, parameters, used, body };
  }

  private parameters(): Node[] {
    const parameters: Node[] = [];
    this.expect("operator", "(");
    while (!this.skip("operator", ")")) {
      if (parameters.length > 0) this.expect("operator", ",");
      const { value: name } = this.expect("name");
      if (CONSTANTS.has(name) || parameters.some((other) => other.name === name))
        this.fail(`a parameter named ${name}`);
      const otherwise = this.skip("operator", "=") ? this.framed(() => this.expression()) : undefined;
      if (!otherwise && parameters.at(-1)?.otherwise)
        this.fail(`expected a default for the parameter ${showName(name)}`);
      parameters.push({ type: "Parameter", name, otherwise });
    }
    return parameters;
  }

  /** What a statement gives a value to: names, attributes of a namespace, tuples of these. */
  private target(attributes: boolean): Node {
    const items: Node[] = [];
    let several = false;
    for (;;) {
      if (this.is("end") || this.is("operator", ")")) break;
      items.push(this.oneTarget(attributes));
      if (!this.skip("operator", ",")) break;
      several = true;
    }
    if (!several && items.length === 0) this.fail("expected a name");
    return several ? { type: "TupleLiteral", value: items } : items[0];
  }

  private oneTarget(attributes: boolean): Node {
    if (this.skip("operator", "(")) {
      const inner = this.is("operator", ")")
        ? { type: "TupleLiteral", value: [] }
        : this.nested(() => this.target(false));
      this.expect("operator", ")");
      return inner;
    }
    const { value } = this.expect("name");
    if (attributes && this.skip("operator", ".")) {
      this.load(value);
      const property = { type: "Identifier", value: this.expect("name").value };
      return { type: "MemberExpression", object: { type: "Identifier", value }, property, computed: false };
    }
    this.assign(value);
    return { type: "Identifier", value };
  }

  private assign(name: string): void {
    if (CONSTANTS.has(name)) this.fail(`${name} cannot be assigned to`);
    if (name === "loop" && this.loops > 0) this.fail("loop cannot be assigned to within a loop");
    for (const { watched } of this.macros) watched.delete(name);
  }
}
