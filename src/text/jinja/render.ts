// Renders a Jinja template as Python does: lexer.ts and parser.ts read it, interpreter.ts runs it.
//
// A template comes with a checkpoint, so it is somebody's program. It can only compute text: it has no access to
// JavaScript. Its work is counted and bounded by TEMPLATE_LIMITS. What remains: within the limits it may take a second
// or two and some hundred megabytes, and what it writes is what the model is told.
import { unixLines } from "../lines.ts";
import { native, splitArguments } from "./arguments.ts";
import { PythonInterpreter, scopeWithin } from "./interpreter.ts";
import { locate } from "./lexer.ts";
import { Environment } from "./library.ts";
import { counted, fail, RaisedByTemplate, TEMPLATE_LIMITS } from "./limits.ts";
import { parse } from "./parser.ts";
import { str } from "./print.ts";
import { strftime } from "./strftime.ts";
import {
  Dict,
  Fn,
  integer,
  iterate,
  type Key,
  keyOf,
  None,
  Range,
  Str,
  toValue,
  Undefined,
  type Value,
  wrong,
} from "./values.ts";

/** dict() of keywords, of a dict, of pairs. */
function dict(given: Value[]): Value {
  const { args, keywords } = splitArguments(given);
  if (args.length > 1) fail(`dict: expected at most 1 argument, found ${args.length}`);
  const [source] = args;
  if (source instanceof Undefined) wrong("keywords, a dict or pairs", source);
  const map = new Map<Key, Value>(source instanceof Dict ? source.value : []);
  if (source && !(source instanceof Dict))
    for (const pair of iterate(source)) {
      const [key, value, ...more] = iterate(pair);
      if (value === undefined || more.length > 0) fail("dict: expected pairs");
      const known = keyOf(key);
      if (!(key instanceof Str) && (integer(key) === undefined || known === undefined)) wrong("a dict's key", key);
      map.set(known!, value);
    }
  for (const [key, value] of keywords) map.set(key, value);
  return new Dict(map);
}

/** Jinja's namespace(), which the library makes; without names that a sandbox refuses. */
function namespace(given: Value[]): Value {
  const attributes = dict(given);
  for (const name of (attributes as InstanceType<typeof Dict>).value.keys())
    if (typeof name !== "string" || name.startsWith("_")) fail("a namespace's attribute cannot begin with _");
  const make = new Environment().variables.get("namespace") as InstanceType<typeof Fn>;
  return make.value([attributes], new Environment());
}

const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  [
    "range",
    new Fn((given) => {
      const { args, keywords } = splitArguments(given);
      if (keywords.size > 0 || args.length < 1 || args.length > 3) fail("range: expected 1 to 3 arguments");
      const numbers = args.map((value) => integer(value) ?? wrong("range: an integer", value));
      const [start, stop, step] = numbers.length === 1 ? [0, numbers[0], 1] : [numbers[0], numbers[1], numbers[2] ?? 1];
      if (step === 0) fail("range: a step of 0");
      return new Range(start, stop, step);
    }),
  ],
  ["dict", new Fn(dict)],
  ["namespace", new Fn(namespace)],
  [
    "raise_exception",
    native("raise_exception", ["message!"], (message: Value) => {
      throw new RaisedByTemplate(message instanceof None ? "None" : str(message));
    }),
  ],
  [
    "strftime_now",
    native(
      "strftime_now",
      ["format!"],
      (format: Value) =>
        new Str(strftime(new Date(), format instanceof Str ? format.value : wrong("a format", format))),
    ),
  ],
]);

/**
 * @param template - the template's source
 * @param variables - JSON-like values by name
 * @throws {@link RaisedByTemplate} when the template calls raise_exception
 * @throws Error when it is no template, does what Python refuses, or goes beyond {@link TEMPLATE_LIMITS}
 */
export function render(template: string, variables: Readonly<Record<string, unknown>>): string {
  const lines = unixLines(template);
  if (lines.length > TEMPLATE_LIMITS.source)
    fail(`a source of ${lines.length} characters; at most ${TEMPLATE_LIMITS.source} are allowed`);
  const source = lines.replace(/\n$/, ""); // as Jinja reads it
  const body = parse(source);
  return counted(() => {
    const environment = scopeWithin();
    for (const [name, value] of GLOBALS) environment.variables.set(name, value);
    for (const [name, value] of Object.entries(variables)) environment.variables.set(name, toValue(value));
    const interpreter = new PythonInterpreter(environment);
    try {
      return interpreter.render(body, scopeWithin(environment));
    } catch (problem) {
      if (problem instanceof RaisedByTemplate) throw problem;
      throw locate(source, interpreter.at, problem as Error);
    }
  });
}
