// Reading fields of JSON files with checks: what a value must be, and an error that names the place otherwise.
import { parseJSON } from "../checkpoint/json.ts";
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { TEXT_LIMITS } from "./limits.ts";

/** @throws {@link TokenizerError} always: what `where` was expected to be, and what was found */
export function wrong(where: string, expected: string, found: unknown): never {
  const what = Array.isArray(found) ? `a list of ${found.length}` : show(found);
  throw new TokenizerError(`${where}: expected ${expected}, found ${what}`);
}

export const object = (value: unknown, where: string): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : wrong(where, "an object", value);

export const list = (value: unknown, where: string): readonly unknown[] =>
  Array.isArray(value) ? value : wrong(where, "a list", value);

export const string = (value: unknown, where: string): string =>
  typeof value === "string" ? value : wrong(where, "a string", value);

/** A list that is no longer than any in use. */
export function atMost<T>(values: readonly T[], most: number, what: string, where: string): readonly T[] {
  if (values.length > most)
    throw new TokenizerError(`${where}: expected at most ${most} ${what}, found ${values.length}`);
  return values;
}

/** A token, or the text of a rule. */
export function short(text: string, where: string): string {
  if (text.length > TEXT_LIMITS.token)
    throw new TokenizerError(`${where}: expected at most ${TEXT_LIMITS.token} characters, found ${text.length}`);
  return text;
}

/** A boolean; `otherwise` where it is absent. */
export const flag = (value: unknown, where: string, otherwise: boolean): boolean =>
  value === undefined || value === null
    ? otherwise
    : typeof value === "boolean"
      ? value
      : wrong(where, "true or false", value);

export const isCount = (value: unknown, most: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;

/** A whole number in [0, most]. */
export const count = (value: unknown, where: string, most: number): number =>
  isCount(value, most) ? value : wrong(where, `a whole number from 0 to ${most}`, value);

/**
 * Parses a file's bytes.
 * @throws {@link TokenizerError} when they are not UTF-8, not JSON, nested too deeply, or an object has a key twice
 */
export function readJSON(bytes: Uint8Array, source: string): unknown {
  try {
    return parseJSON(bytes, source);
  } catch (cause) {
    throw new TokenizerError((cause as Error).message, { cause });
  }
}
