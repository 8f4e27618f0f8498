// Tokens as the library's syntax tree, by Jinja2's grammar. The library's own parser binds `~` as `+`, compares chains
// from the left, takes tests without arguments, commas or none, and knows neither `with` nor `recursive`.
//
// Nodes are the library's where it evaluates them (If, Set, CallExpression, Ternary, names and literals); the
// others are interpreter.ts's own: Text, Output, Filtered, Scope, Capture, With, Compare, Concat, Arithmetic.
import { show, showName } from "../../config/show.ts";
import { filterNamed } from "./filters.ts";
import { failAt, locate, type Token, type TokenType, tokenize } from "./lexer.ts";
import type { Node } from "./library.ts";
import { TEMPLATE_LIMITS } from "./limits.ts";
import { testNamed } from "./tests.ts";
import { bool, NONE } from "./values.ts";

const CONSTANTS = new Map([
  ["true", bool(true)],
  ["True", bool(true)],
  ["false", bool(false)],
  ["False", bool(false)],
  ["none", NONE],
  ["None", NONE],
]);

const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** Statements of Jinja2 that need other templates, or escape what a chat template has no use for. */
const REFUSED = new Set(["block", "extends", "include", "import", "from", "autoescape"]);

/** Names that are macros' own where their bodies use them. */
const SPECIAL = ["caller", "kwargs", "varargs"];

/** What a macro's body uses of {@link SPECIAL}, before it gives the names another meaning. */
interface MacroFrame {
  readonly watched: Set<string>;
  readonly used: Set<string>;
}

/** @param source - as `normalized` gives it */
export const parse = (source: string): Node[] => new Parser(source).template();

class Parser {
  private readonly source: string;
  private readonly tokens: readonly Token[];
  private place = 0;
  private depth = 0;
  /** Loops around the current place within the same macro: where break and continue may stand. */
  private loops = 0;
  /** Filters and tests that there are none of. Within `if` they count only when they are reached. */
  private missing: unknown[] = [];
  private readonly macros: MacroFrame[] = [];

  constructor(source: string) {
    this.source = source;
    this.tokens = tokenize(source);
  }

  // ---- tokens ---------------------------------------------------------------------------------------------------

  private get token(): Token | undefined {
    return this.tokens[this.place];
  }

  private is(type: TokenType, value?: string, ahead = 0): boolean {
    const token = this.tokens[this.place + ahead];
    return token?.type === type && (value === undefined || token.value === value);
  }

  private skip(type: TokenType, value?: string): boolean {
    const found = this.is(type, value);
    if (found) this.place++;
    return found;
  }

  private expect(type: TokenType, value?: string): Token {
    if (!this.is(type, value)) this.fail(`expected ${value ?? (type === "end" ? "the tag's end" : `a ${type}`)}`);
    return this.tokens[this.place++];
  }

  private fail(problem: string, at = this.token?.at ?? this.source.length): never {
    const found = !this.token ? "the template's end" : this.is("end") ? "the tag's end" : show(this.token.value);
    return failAt(this.source, at, `${problem}, found ${found}`);
  }

  /** Reads what may hold more of its kind. */
  private nested<T>(read: () => T): T {
    if (++this.depth > TEMPLATE_LIMITS.depth)
      failAt(this.source, this.token?.at ?? 0, `nested more than ${TEMPLATE_LIMITS.depth} deep`);
    const result = read();
    this.depth--;
    return result;
  }

  // ---- statements -----------------------------------------------------------------------------------------------

  template(): Node[] {
    return this.complete(() => this.body([]));
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

  /** A block with a scope of its own. */
  private inner(ends: readonly string[], loops = this.loops): { body: Node[]; end: string } {
    const { loops: outer } = this;
    this.loops = loops;
    const result = this.complete(() => this.block(...ends));
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
        return [{ ...this.macro(macro, "endmacro", true), name: macro }];
      }
      case "call": {
        const parameters = this.is("operator", "(") ? this.parameters() : [];
        const call = this.expression();
        if (call.type !== "CallExpression") failAt(this.source, at, "call: expected a call");
        return [{ type: "CallStatement", call, macro: this.macro(null, "endcall", false, parameters) }];
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
        return [{ type: "Scope", body: this.inner(["endgeneration"], 0).body }];
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
    const result: Node = { type: "If" };
    for (let node = result; ; ) {
      node.test = this.tuple(false);
      const { body, end } = this.block("elif", "else", "endif");
      Object.assign(node, { body, alternate: [] });
      if (end === "elif") {
        node.alternate = [{ type: "If" }];
        node = node.alternate[0];
        continue;
      }
      if (end === "else") node.alternate = this.block("endif").body;
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
    const test = this.skip("name", "if") ? this.expression() : undefined;
    const recursive = this.skip("name", "recursive");
    const { body, end } = this.inner(["endfor", "else"], this.loops + 1);
    const alternate = end === "else" ? this.inner(["endfor"]).body : [];
    return { type: "For", target, iterable, test, recursive, body, alternate };
  }

  private setStatement(): Node {
    const assignee = this.target(true);
    if (this.skip("operator", "=")) return { type: "Set", assignee, value: this.tuple() };
    const capture: Node = { type: "Capture" };
    const value = this.filters(capture);
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
    return { type: "With", targets, values, body: this.inner(["endwith"]).body };
  }

  private macro(name: string | null, end: string, signature: boolean, given: Node[] = []): Node {
    const parameters = signature ? this.parameters() : given;
    for (const parameter of parameters) this.assign(parameter.name);
    this.macros.push({ watched: new Set(SPECIAL), used: new Set() });
    const { body } = this.inner([end], 0);
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
      const otherwise = this.skip("operator", "=") ? this.expression() : undefined;
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

  private load(name: string): void {
    for (const { watched, used } of this.macros) if (watched.has(name)) used.add(name);
  }

  // ---- expressions ----------------------------------------------------------------------------------------------

  /** One expression, or several with commas, which are a tuple; `()` only where parentheses are around it. */
  private tuple(conditional = true, parentheses = false): Node {
    const items: Node[] = [];
    let several = false;
    for (;;) {
      if (this.is("end") || this.is("operator", ")")) break;
      items.push(conditional ? this.expression() : this.nested(() => this.or()));
      if (!this.skip("operator", ",")) break;
      several = true;
    }
    if (!several && items.length === 1) return items[0];
    if (!several && !parentheses) this.fail("expected an expression");
    return { type: "TupleLiteral", value: items };
  }

  private expression(): Node {
    return this.nested(() => {
      const missing = this.missing.length;
      let value = this.or();
      while (this.skip("name", "if")) {
        const condition = this.or();
        const otherwise = this.skip("name", "else") ? this.expression() : undefined;
        value = otherwise
          ? { type: "Ternary", condition, trueExpr: value, falseExpr: otherwise }
          : { type: "SelectExpression", test: condition, lhs: value };
        this.missing.length = missing;
      }
      return value;
    });
  }

  /** Operations of one rank, from the left. */
  private chain(operators: readonly string[], type: TokenType, node: string, operand: () => Node): Node {
    let left = operand();
    while (this.token?.type === type && operators.includes(this.token.value)) {
      const operator = this.tokens[this.place++];
      left = { type: node, operator, left, right: operand() };
    }
    return left;
  }

  private or = (): Node => this.chain(["or"], "name", "BinaryExpression", this.and);
  private and = (): Node => this.chain(["and"], "name", "BinaryExpression", this.not);

  private not = (): Node => {
    if (!this.is("name", "not")) return this.comparison();
    const operator = this.tokens[this.place++];
    return { type: "UnaryExpression", operator, argument: this.nested(this.not) };
  };

  private comparison(): Node {
    const first = this.sum();
    const rest: { operator: string; value: Node }[] = [];
    for (;;) {
      let operator = "";
      if (this.token?.type === "operator" && COMPARISONS.has(this.token.value))
        operator = this.tokens[this.place++].value;
      else if (this.skip("name", "in")) operator = "in";
      else if (this.is("name", "not") && this.is("name", "in", 1)) {
        this.place += 2;
        operator = "not in";
      } else return rest.length === 0 ? first : { type: "Compare", first, rest };
      rest.push({ operator, value: this.sum() });
    }
  }

  private sum = (): Node => this.chain(["+", "-"], "operator", "Arithmetic", this.concatenation);
  private product = (): Node => this.chain(["*", "/", "//", "%"], "operator", "Arithmetic", this.power);
  private power = (): Node => this.chain(["**"], "operator", "Arithmetic", () => this.unary(true));

  private concatenation = (): Node => {
    const parts = [this.product()];
    while (this.skip("operator", "~")) parts.push(this.product());
    return parts.length === 1 ? parts[0] : { type: "Concat", parts };
  };

  private unary(filtered: boolean): Node {
    let node: Node;
    if (this.is("operator", "-") || this.is("operator", "+")) {
      const operator = this.tokens[this.place++];
      node = { type: "UnaryExpression", operator, argument: this.nested(() => this.unary(false)) };
    } else node = this.primary();
    node = this.postfix(node);
    if (!filtered) return node;
    for (;;) {
      if (this.is("operator", "|")) node = this.filters(node);
      else if (this.skip("name", "is")) node = this.test(node);
      else if (this.is("operator", "(")) node = this.call(node);
      else return node;
    }
  }

  private primary(): Node {
    const token = this.token;
    if (!token) return this.fail("expected an expression");
    this.place++;
    const { type, value } = token;
    switch (type) {
      case "name": {
        const constant = CONSTANTS.get(value);
        if (constant) return { type: "Value", value: constant };
        this.load(value);
        return { type: "Identifier", value };
      }
      case "string": {
        let text = value;
        for (; this.token?.type === "string"; this.place++) text += this.token.value;
        return { type: "StringLiteral", value: text };
      }
      case "integer": {
        const number = Number(value.replaceAll("_", ""));
        if (!Number.isSafeInteger(number)) failAt(this.source, token.at, `${showName(value)} is beyond 2^53`);
        return { type: "IntegerLiteral", value: number };
      }
      case "float":
        return { type: "FloatLiteral", value: Number(value.replaceAll("_", "")) };
    }
    if (value === "(") {
      const inner = this.nested(() => this.tuple(true, true));
      this.expect("operator", ")");
      return inner;
    }
    if (value === "[") return { type: "ArrayLiteral", value: this.items("]", () => this.expression()) };
    if (value === "{") {
      const entries = this.items("}", () => {
        const key = this.expression();
        this.expect("operator", ":");
        return [key, this.expression()] as const;
      });
      return { type: "ObjectLiteral", entries };
    }
    this.place--;
    return this.fail("expected an expression");
  }

  /** What commas part, up to `end`, before which one more comma may stand. */
  private items<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.skip("operator", end)) {
      if (items.length > 0) {
        this.expect("operator", ",");
        if (this.skip("operator", end)) break;
      }
      items.push(item());
    }
    return items;
  }

  private postfix(node: Node): Node {
    for (;;) {
      if (this.skip("operator", ".")) {
        const property = this.token;
        if (property?.type !== "name" && property?.type !== "integer") return this.fail("expected a name or a number");
        node =
          property.type === "name"
            ? { type: "MemberExpression", object: node, property: { type: "Identifier", value: property.value } }
            : { type: "MemberExpression", object: node, property: this.primary(), computed: true };
        if (property.type === "name") this.place++;
      } else if (this.skip("operator", "[")) node = this.subscript(node);
      else if (this.is("operator", "(")) node = this.call(node);
      else return node;
    }
  }

  private subscript(object: Node): Node {
    const begin = this.token?.at;
    const keys = this.items("]", () => {
      const at = (): Node | undefined =>
        [":", ",", "]"].some((sign) => this.is("operator", sign)) ? undefined : this.expression();
      const start = at();
      if (!this.skip("operator", ":")) return start ?? this.fail("expected an expression");
      const stop = at();
      return { type: "SliceExpression", start, stop, step: this.skip("operator", ":") ? at() : undefined };
    });
    if (keys.length === 1) {
      const [property] = keys;
      return { type: "MemberExpression", object, property, computed: true };
    }
    if (keys.some((key) => key.type === "SliceExpression"))
      failAt(this.source, begin ?? 0, "a slice among several places");
    return { type: "MemberExpression", object, property: { type: "TupleLiteral", value: keys }, computed: true };
  }

  private call(callee: Node): Node {
    return { type: "CallExpression", callee, args: this.callArguments() };
  }

  private callArguments(): Node[] {
    this.expect("operator", "(");
    const names = new Set<string>();
    let [list, map] = [false, false];
    return this.items(")", () => {
      if (map) this.fail("expected nothing behind the ** of a call");
      if (this.is("operator", "*") && !list) {
        list = true;
        this.place++;
        return { type: "SpreadExpression", argument: { type: "Listed", value: this.expression() } };
      }
      if (this.skip("operator", "**")) {
        map = true;
        return { type: "KeywordSpreadExpression", argument: this.expression() };
      }
      if (this.is("name") && this.is("operator", "=", 1)) {
        const { value } = this.expect("name");
        this.place++;
        if (names.has(value)) this.fail(`the argument ${showName(value)} is given twice`);
        names.add(value);
        return { type: "KeywordArgumentExpression", key: { type: "Identifier", value }, value: this.expression() };
      }
      if (list || names.size > 0) this.fail("expected a named argument");
      return this.expression();
    });
  }

  private filters(node: Node): Node {
    while (this.skip("operator", "|")) node = this.filter(node);
    return node;
  }

  private filter(operand: Node): Node {
    const { name, args } = this.named(filterNamed);
    return { type: "FilterExpression", operand, name, args: args ?? [] };
  }

  private test(operand: Node): Node {
    const negated = this.skip("name", "not");
    let { name, args } = this.named(testNamed);
    if (!args) {
      const argument =
        ["name", "string", "integer", "float"].includes(this.token?.type ?? "") ||
        this.is("operator", "[") ||
        this.is("operator", "{");
      if (argument && this.is("name", "is")) this.fail("expected one test");
      const none = !argument || ["else", "or", "and"].some((word) => this.is("name", word));
      args = none ? [] : [this.postfix(this.primary())];
    }
    const node = { type: "TestExpression", operand, name, args };
    return negated ? { type: "UnaryExpression", operator: { value: "not" }, argument: node } : node;
  }

  /** The name of a filter or test, and its arguments. */
  private named(find: (name: string) => unknown): { name: string; args: Node[] | undefined } {
    const { value, at } = this.expect("name");
    let name = value;
    while (this.skip("operator", ".")) name += `.${this.expect("name").value}`;
    try {
      find(name);
    } catch (problem) {
      this.missing.push(locate(this.source, at, problem as Error));
    }
    return { name, args: this.is("operator", "(") ? this.callArguments() : undefined };
  }
}
