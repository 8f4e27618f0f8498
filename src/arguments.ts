// Arguments as callers give them, before anything else looks at them.
import { knownOptions } from "./config/option_names.ts";
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";

/**
 * The arguments or options of a call without those that are undefined, or null, which says nothing, as None does in Python.
 * @param what - what to call them in messages
 * @param choices - those of which null is a choice: no adapter
 * @throws {@link InputError} when they are no object; absent ones are none
 */
export function givenArguments<T extends object>(
  given: T | null | undefined,
  what: string,
  choices: readonly string[] = ["adapter"],
): T {
  if (given !== undefined && given !== null && (typeof given !== "object" || Array.isArray(given)))
    throw new InputError(`${what}: expected an object, found ${show(given)}`);
  return Object.fromEntries(
    Object.entries(given ?? {}).filter(([name, value]) => value != null || (value === null && choices.includes(name))),
  ) as T;
}

/**
 * The one object of arguments that a model is called with.
 * @param what - what is called
 * @throws {@link InputError} for what users of Python's libraries pass in its place, with what to write
 */
export function callArguments<T extends object>(given: T, what: string): T {
  if (typeof given === "string")
    throw new InputError(`${what}: a text needs the model's tokenizer: ${what}({ ...tokenizer(text) }), or a pipeline`);
  const tensor = typeof given === "object" && given !== null && "dims" in given && "data" in given;
  if (given === undefined || tensor || Array.isArray(given) || ArrayBuffer.isView(given) || given instanceof Promise)
    throw new InputError(`${what}: expected one object, { input_ids, … }, found ${show(given)}`);
  return givenArguments(given, `${what}: { input_ids, … }`);
}

/**
 * The options of a call, all of them known: without those that say nothing, or mean nothing here.
 * @param what - what is called, for messages
 * @throws {@link InputError} when they are no object, or one is not known, with the name that was probably meant
 */
export const givenOptions = <T extends object>(
  given: T | null | undefined,
  what: string,
  known: Iterable<string>,
  choices: readonly string[] = [],
): T => knownOptions(givenArguments(given, `${what}: the options`, choices), what, known);

/** A text that is not empty, e.g. a path. @throws {@link InputError} */
export function textArgument(value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new InputError(`${what}: expected a text, found ${show(value)}`);
}

/** A function, where one was given. @throws {@link InputError} */
export function functionArgument<T>(value: T, what: string): T {
  if (value === undefined || value === null || typeof value === "function") return value;
  throw new InputError(`${what}: expected a function, found ${show(value)}`);
}

/** An object with methods of these names. @throws {@link InputError} */
export function methodsArgument<T>(value: T, what: string, ...names: readonly string[]): T {
  const missing = names.find(
    (name) => typeof (value as Record<string, unknown> | null | undefined)?.[name] !== "function",
  );
  if (missing === undefined) return value;
  throw new InputError(`${what}: expected an object with ${names.join(" and ")}, found ${show(value)}`);
}

/** A number that is one. @throws {@link InputError} */
export function numberArgument(value: unknown, what: string): number {
  if (typeof value === "number" && !Number.isNaN(value)) return value;
  throw new InputError(`${what}: expected a number, found ${show(value)}`);
}
