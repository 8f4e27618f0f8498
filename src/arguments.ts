// Arguments as callers give them, before anything else looks at them.
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";

/** Options of which null is a choice. */
const choices: readonly string[] = ["adapter"];

/**
 * The arguments or options of a call without those that are undefined, or null, which says nothing, as None does in Python,
 * but for the adapter: none.
 * @param what - what to call them in messages
 * @throws {@link InputError} when they are no object; absent ones are none
 */
export function givenArguments<T extends object>(given: T | null | undefined, what: string): T {
  if (given !== undefined && given !== null && (typeof given !== "object" || Array.isArray(given)))
    throw new InputError(`${what}: expected an object, found ${show(given)}`);
  return Object.fromEntries(
    Object.entries(given ?? {}).filter(([name, value]) => value != null || (value === null && choices.includes(name))),
  ) as T;
}

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
