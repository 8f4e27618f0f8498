// Arguments as callers give them, before anything else looks at them.
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";

/**
 * The arguments or options of a call without those that are null or undefined, which say nothing, as None does in Python.
 * @param what - what to call them in messages
 * @throws {@link InputError} when they are no object; absent ones are none
 */
export function givenArguments<T extends object>(given: T | null | undefined, what: string): T {
  if (given !== undefined && given !== null && (typeof given !== "object" || Array.isArray(given)))
    throw new InputError(`${what}: expected an object, found ${show(given)}`);
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value != null)) as T;
}
