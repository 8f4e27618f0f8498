// JSON from files that nobody vouches for: strict UTF-8, bounded nesting, no more keys and values than any in use has, no key
// twice in one object.
import { printable, show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import type { Repository } from "./repository.ts";

/** Bytes that a file of settings has at most. */
export const configLimit = 2 ** 20;

const deepest = 64;
/** Keys of all objects, and values, of a file: a quarter of these is what the largest vocabularies in use have. */
const mostKeys = 2 ** 20;
const mostValues = 2 ** 23;

/**
 * Parses a JSON file's bytes.
 * @param where - what to call the file in messages
 * @throws {@link CheckpointError} when the bytes are no UTF-8, no JSON, nested too deeply, too many things, or an object
 *   has a key twice
 */
export function parseJSON(bytes: Uint8Array, where: string): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError(`${where}: expected JSON in UTF-8, found bytes that are not UTF-8`, { cause });
  }
  checkNesting(text, where);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${where}: expected JSON (${printable((cause as Error).message)})`, { cause });
  }
}

/** As {@link parseJSON}, for a file whose outermost value must be an object. */
export function parseJSONObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  const value = parseJSON(bytes, where);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CheckpointError(`${where}: expected a JSON object, found ${show(value)}`);
  return value as Record<string, unknown>;
}

/** Reads and parses a JSON file of at most `limit` bytes. @throws {@link CheckpointError} */
export async function readJSONObject(
  repository: Repository,
  name: string,
  limit: number,
): Promise<Record<string, unknown>> {
  return parseJSONObject(await repository.read(name, limit), repository.where(name));
}

/**
 * Looks at brackets and keys only, before JSON.parse: which takes any depth, not the same in every engine, and lets
 * the last of two equal keys win. All else is left for JSON.parse to judge. One pass; time grows with the length.
 */
function checkNesting(text: string, where: string): void {
  /** The keys so far of each object that is open; null for a list. */
  const open: (Set<string> | null)[] = [];
  let literal = "";
  let count = 0;
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') {
      const start = i++;
      while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      // Only what a colon follows is a key; the rest of the strings are not copied.
      if (text[followedBy(text, i + 1)] === ":") literal = text.slice(start, i + 1);
    } else if (c === "{" || c === "[") {
      if (open.length === deepest) throw new CheckpointError(`${where}: JSON is nested deeper than ${deepest} levels`);
      open.push(c === "{" ? new Set() : null);
      values++;
    } else if (c === ",") {
      if (++values > mostValues) throw new CheckpointError(`${where}: JSON of more than ${mostValues} values`);
    } else if (c === "}" || c === "]") open.pop();
    else if (c === ":") {
      if (++count > mostKeys) throw new CheckpointError(`${where}: JSON of more than ${mostKeys} keys`);
      const key = unescaped(literal);
      const keys = open.at(-1);
      if (keys?.has(key)) throw new CheckpointError(`${where}: key ${show(key)} stands twice in one object`);
      keys?.add(key);
    }
  }
}

/** Index of the first character from `i` on that is no white space. */
function followedBy(text: string, i: number): number {
  while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") i++;
  return i;
}

/** The text of a JSON string literal; what is no valid one is left for JSON.parse to refuse. */
function unescaped(literal: string): string {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  try {
    return JSON.parse(literal);
  } catch {
    return literal;
  }
}
