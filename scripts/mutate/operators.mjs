// Which faults are made in a source file: sites found in its syntax, and what each may become.
// Types, imports and the text of errors are left alone: a test that compares messages word by word holds nothing up.
import { SyntaxKind as K } from "typescript/unstable/ast";

/** What an operator may become. Boundaries before opposites: the subtler fault is the likelier one. */
const BINARY = new Map([
  ["<", ["<=", ">="]],
  ["<=", ["<", ">"]],
  [">", [">=", "<="]],
  [">=", [">", "<"]],
  ["===", ["!=="]],
  ["!==", ["==="]],
  ["==", ["!="]],
  ["!=", ["=="]],
  ["&&", ["||"]],
  ["||", ["&&"]],
  ["+", ["-"]],
  ["-", ["+"]],
  ["*", ["/"]],
  ["/", ["*"]],
  ["%", ["*"]],
  ["<<", [">>"]],
  [">>", ["<<"]],
  [">>>", ["<<"]],
  ["&", ["|"]],
  ["|", ["&"]],
  ["^", ["&"]],
  ["+=", ["-=", "="]],
  ["-=", ["+=", "="]],
  ["*=", ["/="]],
  ["??=", ["="]],
  ["||=", ["="]],
]);

const METHODS = new Map([
  ["Math.min", "Math.max"],
  ["Math.max", "Math.min"],
  ["Math.floor", "Math.ceil"],
  ["Math.ceil", "Math.floor"],
]);

/** Kinds that hold no code that runs. */
const SKIPPED = new Set([
  K.ImportDeclaration,
  K.ExportDeclaration,
  K.InterfaceDeclaration,
  K.TypeAliasDeclaration,
  K.TypeParameter,
  K.Decorator,
  K.ThrowStatement,
]);

const isType = (kind) => kind >= K.FirstTypeNode && kind <= K.LastTypeNode;
const isPlain = (node) => [K.Identifier, K.PropertyAccessExpression, K.ElementAccessExpression].includes(node.kind);

/** The statement in an `if` without `else` that leaves: `if (…) throw …`, in a block or not. */
function leaves(statement) {
  const only = statement.kind === K.Block ? statement.statements[statement.statements.length - 1] : statement;
  return only && [K.ReturnStatement, K.ThrowStatement, K.ContinueStatement, K.BreakStatement].includes(only.kind);
}

/**
 * Every site of a file, in the order of the text: `{ start, end, options: [{ operator, start, end, text }] }`, where
 * `text` replaces [start, end).
 */
export function sitesOf(file) {
  const source = file.text;
  const sites = [];
  const start = (node) => node.getStart(file);
  const text = (node) => source.slice(start(node), node.end);

  function optionsOf(node, parent) {
    const whole = (operator, replacement) => ({ operator, start: start(node), end: node.end, text: replacement });
    switch (node.kind) {
      case K.BinaryExpression: {
        const sign = node.operatorToken;
        const own = text(sign);
        const at = (to) => ({ operator: `${own} to ${to}`, start: start(sign), end: sign.end, text: to });
        // Texts are joined by "+" as well; where types do not tell, a literal beside it does.
        const joins = own === "+" && [node.left, node.right].some((n) => text(n).startsWith('"') || text(n)[0] === "`");
        const options = joins ? [] : (BINARY.get(own) ?? []).map(at);
        if (own === "??" || own === "||") options.push(whole(`drop ${own} default`, text(node.left)));
        return options;
      }
      case K.PrefixUnaryExpression: {
        const sign = source.slice(start(node), start(node.operand));
        if (sign === "++") return [whole("++ to --", `--${text(node.operand)}`)];
        if (sign === "--") return [whole("-- to ++", `++${text(node.operand)}`)];
        return ["!", "-", "~"].includes(sign) ? [whole(`drop ${sign}`, text(node.operand))] : [];
      }
      case K.PostfixUnaryExpression: {
        const sign = source.slice(node.operand.end, node.end);
        return [whole("other step", `${text(node.operand)}${sign === "++" ? "--" : "++"}`)];
      }
      case K.NumericLiteral:
        return ["+", "-"].map((sign) => whole(`number ${sign} 1`, `(${text(node)} ${sign} 1)`));
      case K.BigIntLiteral:
        return ["+", "-"].map((sign) => whole(`number ${sign} 1`, `(${text(node)} ${sign} 1n)`));
      case K.TrueKeyword:
        return [whole("true to false", "false")];
      case K.FalseKeyword:
        return [whole("false to true", "true")];
      case K.StringLiteral:
        return text(node).length > 2 ? [whole("empty string", '""')] : [];
      case K.ArrayLiteralExpression:
        return node.elements.length && parent.kind !== K.NewExpression ? [whole("empty array", "[]")] : [];
      case K.AwaitExpression:
        return [whole("drop await", text(node.expression))];
      case K.ConditionalExpression:
        return [negated(node.condition)];
      case K.IfStatement: {
        const options = [negated(node.expression)];
        if (!node.elseStatement && leaves(node.thenStatement)) options.push(whole("drop guard", ";"));
        return options;
      }
      case K.ExpressionStatement:
        return [whole("drop statement", ";")];
      case K.ReturnStatement:
      case K.ContinueStatement:
      case K.BreakStatement:
        // As an own statement in a block; what follows an `if` falls with the guard.
        return node.expression || parent.kind !== K.Block ? [] : [whole("drop statement", ";")];
      case K.CallExpression: {
        const options = [];
        const other = METHODS.get(text(node.expression));
        if (other)
          options.push({
            operator: "other method",
            start: start(node.expression),
            end: node.expression.end,
            text: other,
          });
        for (let i = 0; i + 1 < node.arguments.length; i++) {
          const [a, b] = [node.arguments[i], node.arguments[i + 1]];
          if (!isPlain(a) || !isPlain(b) || text(a) === text(b)) continue;
          options.push({ operator: "swap arguments", start: start(a), end: b.end, text: `${text(b)}, ${text(a)}` });
        }
        // The order of what a symmetric function takes is nothing.
        return other?.startsWith("Math.m") ? options.slice(0, 1) : options;
      }
      default:
        return [];
    }
  }

  const negated = (condition) => ({
    operator: "negate condition",
    start: start(condition),
    end: condition.end,
    text: `!(${text(condition)})`,
  });

  function visit(node, parent) {
    if (SKIPPED.has(node.kind) || isType(node.kind)) return;
    if (node.kind === K.NewExpression && /Error$/.test(text(node.expression))) return;
    const options = optionsOf(node, parent);
    if (options.length) sites.push({ start: options[0].start, end: options[0].end, options });
    node.forEachChild((child) => {
      // What a property is called is no value.
      if (child === node.name && child.kind !== K.ComputedPropertyName) return;
      visit(child, node);
    });
  }
  file.forEachChild((child) => visit(child, file));
  return sites;
}
