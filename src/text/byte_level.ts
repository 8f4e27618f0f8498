// Byte-level vocabularies spell every byte as one character, as GPT-2 does: printable ones of Latin-1 as themselves, the
// others as U+0100, U+0101, … in order. So a text is spelled before it is merged, and a token's bytes are read back from it.
import { begunAtEnd } from "./utf8.ts";

const isPlain = (byte: number): boolean =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);

/** Byte → the code of its character. */
const CHARACTERS = new Uint16Array(256);
/** And back; −1 for what spells no byte. */
const BYTES = new Int16Array(256 + 68).fill(-1);
for (let byte = 0, next = 256; byte < 256; byte++) {
  CHARACTERS[byte] = isPlain(byte) ? byte : next++;
  BYTES[CHARACTERS[byte]] = byte;
}

const NONE = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The characters that spell some bytes. */
export function spellBytes(bytes: ArrayLike<number>): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(CHARACTERS[bytes[i]]);
  return text;
}

/** A text's bytes in UTF-8, spelled. */
export function spellText(text: string): string {
  let spelled = "";
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return spelled + spellBytes(encoder.encode(text.slice(i)));
    spelled += String.fromCharCode(CHARACTERS[unit]);
  }
  return spelled;
}

/** The bytes that a token spells; those of its text where a character of it spells none, as Hugging Face's decoder has it. */
export function spelledBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const unit = token.charCodeAt(i);
    if (unit >= BYTES.length || BYTES[unit] < 0) return encoder.encode(token);
    bytes[i] = BYTES[unit];
  }
  return bytes;
}

/**
 * Decodes a stream of spelled tokens. Every whole character is text at once, and certain; each maximal wrong part is one
 * U+FFFD, as soon as no byte to come can mend it.
 */
export class ByteStream {
  /** Always empty: nothing here can break later. */
  readonly pending = "";
  private begun = NONE;

  push(token: string): string {
    let bytes = spelledBytes(token);
    if (this.begun.length > 0) {
      const all = new Uint8Array(this.begun.length + bytes.length);
      all.set(this.begun);
      all.set(bytes, this.begun.length);
      bytes = all;
    }
    const end = bytes.length - begunAtEnd(bytes);
    this.begun = end < bytes.length ? bytes.slice(end) : NONE;
    return decoder.decode(bytes.subarray(0, end));
  }

  end(): string {
    const text = decoder.decode(this.begun);
    this.begun = NONE;
    return text;
  }

  take(): string {
    return "";
  }

  /** Text until here is out of sight already; a character that is only begun is not. */
  forget(): void {}
}
