// What a filter is called with, read as what it expects.
import { wrong } from "./tests.ts";
import { entries, Int, List, None, Str, truth, UNDEFINED, Undefined, type Value } from "./values.ts";

export interface FilterCall {
  readonly args: readonly Value[];
  readonly keywords: ReadonlyMap<string, Value>;
}

/** The argument at a place, or of a name. */
export const argument = ({ args, keywords }: FilterCall, at: number, name: string): Value | undefined =>
  args[at] ?? keywords.get(name);
export const flag = (call: FilterCall, at: number, name: string): boolean => {
  const value = argument(call, at, name);
  return value !== undefined && truth(value);
};
export const textArgument = (call: FilterCall, at: number, name: string): string | undefined => {
  const value = argument(call, at, name);
  if (value === undefined || value instanceof None) return undefined;
  return value instanceof Str ? value.value : wrong(`${name}: a string`, value);
};
export const integer = (call: FilterCall, at: number, name: string, otherwise: number): number => {
  const value = argument(call, at, name);
  return value === undefined ? otherwise : value instanceof Int ? value.value : wrong(`${name}: an integer`, value);
};

/** An item's attribute by a path such as `function.name` or `0`. */
export function attribute(value: Value, path: string): Value {
  for (const part of path.split(".")) {
    if (value instanceof Undefined) return wrong(`something with an attribute ${part}`, value);
    value = (value instanceof List ? value.value[Number(part)] : entries(value)?.get(part)) ?? UNDEFINED;
  }
  return value;
}

export const pathOf = (value: Value | undefined): string =>
  value instanceof Str || value instanceof Int ? String(value.value) : wrong("attribute: a string", value ?? UNDEFINED);
