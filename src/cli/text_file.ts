// Texts that commands read from a file, or from standard input by the name -.
import { readFile } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { readInput } from "./io.ts";

const bytesOf = (file: string): Promise<Uint8Array> => (file === "-" ? readInput() : readFile(file));

/** A text as it stands there: line ends, a newline at the end and a byte order mark are tokens like others. */
export async function readTextFile(file: string): Promise<string> {
  const bytes = await bytesOf(file);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${file}: expected text in UTF-8, found bytes that are not`, { cause });
  }
}
