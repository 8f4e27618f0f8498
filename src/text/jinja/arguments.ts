// What functions, methods, filters and tests are called with, by place or by name, as Python binds it.
import { showName } from "../../config/show.ts";
import { fail } from "./limits.ts";
import { Fn, type Value } from "./values.ts";

export interface Arguments {
  readonly args: readonly Value[];
  readonly keywords: ReadonlyMap<string, Value>;
}

/** The library passes named arguments as one value more. */
export function splitArguments(given: readonly Value[]): Arguments {
  const last = given.at(-1);
  return last?.type === "KeywordArgumentsValue"
    ? { args: given.slice(0, -1), keywords: last.value as Map<string, Value> }
    : { args: given, keywords: new Map() };
}

/**
 * The arguments in the order of the parameters, undefined where one is not given.
 * @param parameters - their names; those that must be given are followed by `!`
 */
export function bindArguments(
  what: string,
  parameters: readonly string[],
  { args, keywords }: Arguments,
): (Value | undefined)[] {
  const names = parameters.map((name) => name.replace("!", ""));
  if (args.length > names.length) fail(`${what}: expected at most ${names.length} arguments, found ${args.length}`);
  for (const name of keywords.keys()) {
    const at = names.indexOf(name);
    if (at < 0) fail(`${what}: no parameter is named ${showName(name)}`);
    if (at < args.length) fail(`${what}: the argument ${name} is given twice`);
  }
  return parameters.map(
    (name, i) =>
      args[i] ?? keywords.get(names[i]) ?? (name.endsWith("!") ? fail(`${what}: expected ${names[i]}`) : undefined),
  );
}

/** A function with the parameters of {@link bindArguments}. */
export const native = (what: string, parameters: readonly string[], run: (...args: any[]) => Value): Value =>
  new Fn((given) => run(...bindArguments(what, parameters, splitArguments(given))));
