// Tokens and expressions, by Jinja2's grammar, as nodes of the library's where it evaluates them (CallExpression, Ternary,
// names and literals); Compare, Concat, Arithmetic and what reads attributes, filters and tests are interpreter.ts's.
import { show, showName } from "../../config/show.ts";
import { filterNamed } from "./filters.ts";
import { failAt, locate, type Token, type TokenType, tokenize } from "./lexer.ts";
import type { Node } from "./library.ts";
import { TEMPLATE_LIMITS } from "./limits.ts";
import { testNamed } from "./tests.ts";
import { bool, NONE } from "./values.ts";

export const CONSTANTS = new Map([
  ["true", bool(true)],
  ["True", bool(true)],
  ["false", bool(false)],
  ["False", bool(false)],
  ["none", NONE],
  ["None", NONE],
]);

const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** What a macro's body uses of names that are its own, before it gives them another meaning. */
interface MacroFrame {
  readonly watched: Set<string>;
  readonly used: Set<string>;
}

/** Names as a scope's own statements use them first: read, or set, which Jinja2 then takes for undefined until then. */
export interface Frame {
  readonly parent?: Frame;
  names: Map<string, "load" | "store">;
}

export class ExpressionParser {
  protected readonly source: string;
  protected readonly tokens: readonly Token[];
  protected place = 0;
  private depth = 0;
  /** Filters and tests that there are none of. Within `if` they count only when they are reached. */
  protected missing: unknown[] = [];
  protected readonly macros: MacroFrame[] = [];
  protected frame: Frame = { names: new Map() };

  constructor(source: string) {
    this.source = source;
    this.tokens = tokenize(source);
  }

  // ---- tokens ---------------------------------------------------------------------------------------------------

  protected get token(): Token | undefined {
    return this.tokens[this.place];
  }

  protected is(type: TokenType, value?: string, ahead = 0): boolean {
    const token = this.tokens[this.place + ahead];
    return token?.type === type && (value === undefined || token.value === value);
  }

  protected skip(type: TokenType, value?: string): boolean {
    const found = this.is(type, value);
    if (found) this.place++;
    return found;
  }

  protected expect(type: TokenType, value?: string): Token {
    if (!this.is(type, value)) this.fail(`expected ${value ?? (type === "end" ? "the tag's end" : `a ${type}`)}`);
    return this.tokens[this.place++];
  }

  protected fail(problem: string, at = this.token?.at ?? this.source.length): never {
    const found = !this.token ? "the template's end" : this.is("end") ? "the tag's end" : show(this.token.value);
    return failAt(this.source, at, `${problem}, found ${found}`);
  }

  /** Reads what may hold more of its kind. */
  protected nested<T>(read: () => T): T {
    if (++this.depth > TEMPLATE_LIMITS.depth)
      failAt(this.source, this.token?.at ?? 0, `nested more than ${TEMPLATE_LIMITS.depth} deep`);
    const result = read();
    this.depth--;
    return result;
  }

  protected load(name: string): void {
    for (const { watched, used } of this.macros) if (watched.has(name)) used.add(name);
    if (!this.frame.names.has(name)) this.frame.names.set(name, "load");
  }

  // ---- expressions ----------------------------------------------------------------------------------------------

  /** One expression, or several with commas, which are a tuple; `()` only where parentheses are around it. */
  protected tuple(conditional = true, parentheses = false): Node {
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

  protected expression(): Node {
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

  /** What commas part, up to `end`, before which one more comma may stand where `loose`. */
  private items<T>(end: string, item: () => T, loose = true): T[] {
    const items: T[] = [];
    while (!this.skip("operator", end)) {
      if (items.length > 0) {
        this.expect("operator", ",");
        if (loose && this.skip("operator", end)) break;
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
    const keys = this.items(
      "]",
      () => {
        const at = (): Node | undefined =>
          [":", ",", "]"].some((sign) => this.is("operator", sign)) ? undefined : this.expression();
        const start = at();
        if (!this.skip("operator", ":")) return start ?? this.fail("expected an expression");
        const stop = at();
        return { type: "SliceExpression", start, stop, step: this.skip("operator", ":") ? at() : undefined };
      },
      false,
    );
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

  protected filters(node: Node): Node {
    while (this.skip("operator", "|")) node = this.filter(node);
    return node;
  }

  protected filter(operand: Node): Node {
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
