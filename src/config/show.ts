// How error messages show what was found: values and names may come from a hostile file, so they are cut to a length
// and cannot carry control characters to a terminal.

const longest = 80;

/** Control and format characters (which turn the direction of text, or hide it), lone surrogates, line separators. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/gu;

const cut = (text: string, most = longest): string => (text.length <= most ? text : `${text.slice(0, most)}…`);

/** Text of a file's, or about it, cut short and safe to print. */
export const printable = (text: string, most = longest): string =>
  cut(text, most).replace(unprintable, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);

/** The class of an object or a callable instance, with its article; undefined for plain objects and functions. */
function classOf(value: object): string | undefined {
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  if (typeof name !== "string" || ["", "Object", "Function", "AsyncFunction"].includes(name)) return undefined;
  if (name === "Promise") return "a Promise (is an await missing?)";
  return `${/^[aeio]/i.test(name) ? "an" : "a"} ${printable(name, 40)}`;
}

/** A value in one short line: strings in quotes, short lists of numbers in full, larger things by their kind and size. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return `"${printable(value)}"`;
  if (typeof value === "function") return classOf(value) ?? "a function";
  if (value === null || typeof value !== "object") return cut(String(value));
  if (ArrayBuffer.isView(value)) return `an array of ${(value as Uint8Array).length} numbers`;
  if (!Array.isArray(value)) return classOf(value) ?? "an object";
  if (value.length <= 8 && value.every((v) => typeof v === "number")) return `[${value.join(", ")}]`;
  return `a list of ${value.length}`;
}

/** The name of a tensor, key or file: as it is where it is an ordinary one, else as {@link show} gives it. */
export const showName = (name: string): string => (/^[\p{L}\p{N} ._\-/\\:[\]]{1,160}$/u.test(name) ? name : show(name));

/** The last component of a path. */
export const fileName = (path: string): string =>
  path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
