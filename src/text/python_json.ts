// JSON as Python's json.loads reads it and json.dumps writes it (ensure_ascii false): what models have seen of tools, their
// arguments and results. Numbers keep their kind (1.0 is no 1) and their digits, objects the order of their keys.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { floatText } from "./jinja/print.ts";

/** How deep values may nest. */
const MAX_DEPTH = 256;

const wellFormed = (text: string): string => text.replace(/\p{Cs}/gu, "\ufffd");
const quoted = (text: string): string => JSON.stringify(wellFormed(text));
/** A list of such. */
export const jsonList = (items: readonly string[]): string => `[${items.join(", ")}]`;
const inObject = (items: Iterable<readonly [string, string]>): string =>
  `{${Array.from(items, ([key, value]) => `${quoted(key)}: ${value}`).join(", ")}}`;

/** An object of values that are JSON already. */
export const jsonObject = (items: Readonly<Record<string, string>>): string => inObject(Object.entries(items));
const floatJSON = (x: number): string =>
  Number.isFinite(x) ? floatText(x) : Number.isNaN(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity";

/**
 * A value as JSON.
 * @param where - what to call it in messages
 * @throws {@link InputError} for what JSON cannot hold
 */
export function toPythonJSON(value: unknown, where: string, depth = 0): string {
  if (depth > MAX_DEPTH) throw new InputError(`${where}: expected values nested at most ${MAX_DEPTH} deep`);
  if (value === null) return "null";
  if (typeof value === "string") return quoted(value);
  if (typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value).toString() : floatJSON(value);
  if (Array.isArray(value)) return jsonList(value.map((item, i) => toPythonJSON(item, `${where}[${i}]`, depth + 1)));
  if (typeof value !== "object") throw new InputError(`${where}: expected a value of JSON, found ${show(value)}`);
  const given = Object.entries(value).filter(([, item]) => item !== undefined);
  return inObject(given.map(([key, item]) => [key, toPythonJSON(item, `${where}.${key}`, depth + 1)]));
}

/** A text that is JSON, written anew; undefined where it is none. */
export function rewriteJSON(text: string): string | undefined {
  const reader = new JSONReader(text);
  const value = reader.value();
  return value !== undefined && reader.atEnd() ? value : undefined;
}

/** Where the JSON value ends that begins at a place of a text (behind white space); −1 where none does. */
export function endOfJSON(text: string, at: number): number {
  const reader = new JSONReader(text, at);
  return reader.value() === undefined ? -1 : reader.at;
}

const space = /[ \t\n\r]*/y;
const number = /(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const word = /null|true|false|NaN|-?Infinity/y;
/** Each method gives a value written anew, or undefined where there is none. */
class JSONReader {
  private readonly text: string;
  at: number;

  constructor(text: string, at = 0) {
    this.text = text;
    this.at = at;
  }

  atEnd(): boolean {
    this.skip();
    return this.at === this.text.length;
  }

  value(depth = 0): string | undefined {
    this.skip();
    const c = this.text[this.at];
    if (c === '"') {
      const read = this.string();
      return read === undefined ? undefined : quoted(read);
    }
    if (c === "[" || c === "{") {
      if (depth === MAX_DEPTH) return undefined;
      this.at++;
      return c === "[" ? this.list(depth + 1) : this.object(depth + 1);
    }
    const name = this.match(word);
    if (name) return name[0];
    const found = this.match(number);
    if (!found) return undefined;
    const [all, whole, fraction, exponent] = found;
    if (fraction === undefined && exponent === undefined) return whole === "-0" ? "0" : whole;
    return floatJSON(Number(all));
  }

  private list(depth: number): string | undefined {
    const items: string[] = [];
    if (this.take("]")) return jsonList(items);
    for (;;) {
      const item = this.value(depth);
      if (item === undefined) return undefined;
      items.push(item);
      if (this.take("]")) return jsonList(items);
      if (!this.take(",")) return undefined;
    }
  }

  private object(depth: number): string | undefined {
    const items = new Map<string, string>(); // of equal keys the last value counts, in the first one's place
    if (this.take("}")) return inObject(items);
    for (;;) {
      this.skip();
      const key = this.string();
      if (key === undefined || !this.take(":")) return undefined;
      const item = this.value(depth);
      if (item === undefined) return undefined;
      items.set(key, item);
      if (this.take("}")) return inObject(items);
      if (!this.take(",")) return undefined;
    }
  }

  private string(): string | undefined {
    if (this.text[this.at] !== '"') return undefined;
    let end = this.at + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    try {
      const read = JSON.parse(this.text.slice(this.at, end + 1));
      this.at = end + 1;
      return read;
    } catch {
      return undefined;
    }
  }

  private skip(): void {
    this.match(space);
  }

  private take(c: string): boolean {
    this.skip();
    if (this.text[this.at] !== c) return false;
    this.at++;
    return true;
  }

  private match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at += found[0].length;
    return found;
  }
}
