// Text files that are read as they stand.
import { InputError } from "../errors.ts";

/** Nothing is changed: line ends, a newline at the end and a byte order mark are tokens like others. */
export function readUTF8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${file}: expected text in UTF-8, found bytes that are not`, { cause });
  }
}
