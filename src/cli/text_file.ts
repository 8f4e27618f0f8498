// Texts that commands read from a file, or from standard input by the name -.
import { readFile } from "node:fs/promises";
import { InputError } from "../errors.ts";
import { readText } from "../text/lines.ts";
import { readInput } from "./io.ts";

async function readBytes(file: string): Promise<Uint8Array> {
  if (file === "-") return readInput();
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    const found = cause.code === "ENOENT" ? "no such file" : cause.message;
    throw new InputError(`${file}: expected a text file, found ${found}`, { cause });
  });
}

/** A text as it stands there: line ends, a newline at the end and a byte order mark are tokens like others. */
export async function readTextFile(file: string): Promise<string> {
  const bytes = await readBytes(file);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${file}: expected text in UTF-8, found bytes that are not`, { cause });
  }
}

/** A text as people write it: line ends of any system are one kind, and the last one is no part of it. */
export const readPromptFile = async (file: string): Promise<string> =>
  readText(await readBytes(file)).replace(/\n$/, "");
