// Checks of what processors are given, with errors that name the setting.
import { show } from "../config/show.ts";
import { ConfigError } from "../errors.ts";

const fault = (name: string, expected: string, found: unknown) =>
  new ConfigError(`${name}: expected ${expected}, found ${show(found)}`);

/** @throws {@link ConfigError} unless `value` is a number for which `holds` is true */
export function number(name: string, value: unknown, expected: string, holds: (value: number) => boolean): number {
  if (typeof value !== "number" || !holds(value)) throw fault(name, expected, value);
  return value;
}

/** @throws {@link ConfigError} unless `value` is an integer of at least `least` */
export function integer(name: string, value: unknown, least: number): number {
  return number(name, value, `an integer of at least ${least}`, (v) => Number.isInteger(v) && v >= least);
}

/** @throws {@link ConfigError} unless `value` is a list of token ids, each below `limit` */
export function tokens(name: string, value: unknown, limit = 2 ** 31): number[] {
  const expected = limit === 2 ** 31 ? "a list of token ids" : `a list of token ids below ${limit} (vocab_size)`;
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < limit;
  if (!Array.isArray(value) || !value.every(isId)) throw fault(name, expected, value);
  return value;
}

/** One id or several as a list; none for null and undefined. @throws {@link ConfigError} for anything else */
export function idList(ids: number | readonly number[] | null | undefined): number[] {
  if (ids === null || ids === undefined) return [];
  if (typeof ids === "number") return [ids];
  if (!Array.isArray(ids)) throw fault("eos_token_id", "a token id or a list of them", ids);
  return [...ids];
}

/** @throws {@link ConfigError} unless `value` is a list with at least one entry */
export function nonEmptyList(name: string, value: unknown): unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw fault(name, "a list that is not empty", value);
  return value;
}
