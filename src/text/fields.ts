// Reading fields of JSON files with checks: what a value must be, and an error that names the place otherwise.
import { parseJSON } from "../checkpoint/json.ts";
import { TokenizerError } from "../errors.ts";

const describe = (value: unknown): string => {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** @throws {@link TokenizerError} always: what `where` was expected to be, and what was found */
export function wrong(where: string, expected: string, found: unknown): never {
  throw new TokenizerError(`${where}: expected ${expected}, found ${describe(found)}`);
}

export const object = (value: unknown, where: string): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : wrong(where, "an object", value);

export const list = (value: unknown, where: string): readonly unknown[] =>
  Array.isArray(value) ? value : wrong(where, "a list", value);

export const string = (value: unknown, where: string): string =>
  typeof value === "string" ? value : wrong(where, "a string", value);

/** A boolean; `otherwise` where it is absent. */
export const flag = (value: unknown, where: string, otherwise: boolean): boolean =>
  value === undefined || value === null
    ? otherwise
    : typeof value === "boolean"
      ? value
      : wrong(where, "true or false", value);

/** A whole number in [0, most]. */
export const count = (value: unknown, where: string, most: number): number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most
    ? value
    : wrong(where, `a whole number from 0 to ${most}`, value);

/**
 * Parses a file's bytes.
 * @throws {@link TokenizerError} when they are not UTF-8, not JSON, nested too deeply, or an object has a key twice
 */
export function parse_json(bytes: Uint8Array, source: string): unknown {
  try {
    return parseJSON(bytes, source);
  } catch (cause) {
    throw new TokenizerError((cause as Error).message, { cause });
  }
}
