// From tokens back to text, one token at a time: ▁ to a space, byte tokens to characters, one leading space dropped.
// The rules are those of Hugging Face's decoders Replace, ByteFallback, Fuse and Strip in this order.
import type { Replacement } from "./text_form.ts";

export interface DecoderForm {
  readonly replace: readonly Replacement[];
  readonly byte_fallback: boolean;
  /** At most `count` of the character `content` are dropped at the start of the text. */
  readonly strip: { readonly content: string; readonly count: number };
}

/** As {@link https://datatracker.ietf.org/doc/html/rfc3629#section-4 RFC 3629} has it: without overlong forms and surrogates. */
const lead_length = (byte: number): number =>
  byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;

/** What a few bytes are to UTF-8. */
function utf8_state(bytes: readonly number[]): "whole" | "begun" | "broken" {
  const length = lead_length(bytes[0]);
  if (length === 0) return "broken";
  for (let i = 1; i < bytes.length; i++) {
    const low = i > 1 ? 0x80 : bytes[0] === 0xe0 ? 0xa0 : bytes[0] === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : bytes[0] === 0xed ? 0x9f : bytes[0] === 0xf4 ? 0x8f : 0xbf;
    if (bytes[i] < low || bytes[i] > high) return "broken";
  }
  return bytes.length === length ? "whole" : "begun";
}

const byte_pattern = /^<0x([0-9A-Fa-f]{2})>$/;
const BROKEN = "\ufffd";

/** The bytes that a token stands for in the middle of a text: a byte token is its byte, `▁` a space. */
export function tokenBytes(form: DecoderForm, token: string): Uint8Array {
  for (const { pattern, content } of form.replace) token = token.replaceAll(pattern, () => content);
  const byte = form.byte_fallback ? byte_pattern.exec(token) : null;
  return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : new TextEncoder().encode(token);
}

/**
 * Decodes a stream of tokens. A run of byte tokens is text when all of it is valid UTF-8; otherwise each byte of the
 * run is one U+FFFD, also those of its whole characters.
 *
 * `eager` gives a byte run's whole characters at once, and so has said too much when the run breaks later; without it
 * a run is held back until it ends, and what was given never changes.
 */
export class TokenStream {
  readonly #form: DecoderForm;
  readonly #eager: boolean;
  #to_strip: number;
  #run = ""; // whole characters of the byte run that are still held back
  #run_bytes = 0; // bytes of the run that are not yet said
  #begun: number[] = []; // bytes of a character that is not whole yet
  #broken = false;

  constructor(form: DecoderForm, eager: boolean) {
    this.#form = form;
    this.#eager = eager;
    this.#to_strip = form.strip.count;
  }

  /** @returns the text that became certain (or, eager, visible) by this token */
  push(token: string): string {
    for (const { pattern, content } of this.#form.replace) token = token.replaceAll(pattern, () => content);
    const byte = this.#form.byte_fallback && token.length === 6 ? byte_pattern.exec(token) : null;
    if (byte) {
      this.#push_byte(Number.parseInt(byte[1], 16));
      return this.#eager && !this.#broken ? this.#strip(this.#take_run()) : "";
    }
    return this.#strip(this.#end_run() + token);
  }

  /** @returns what was held back */
  end(): string {
    return this.#strip(this.#end_run());
  }

  #push_byte(byte: number): void {
    this.#run_bytes++;
    this.#begun.push(byte);
    const state = utf8_state(this.#begun);
    if (state === "begun") return;
    if (state === "broken") this.#broken = true;
    else this.#run += new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(this.#begun));
    this.#begun = [];
  }

  #take_run(): string {
    const text = this.#run;
    this.#run = "";
    this.#run_bytes = this.#begun.length;
    return text;
  }

  #end_run(): string {
    const text = this.#broken || this.#begun.length > 0 ? BROKEN.repeat(this.#run_bytes) : this.#run;
    this.#run = "";
    this.#run_bytes = 0;
    this.#begun = [];
    this.#broken = false;
    return text;
  }

  #strip(text: string): string {
    const { content } = this.#form.strip;
    while (this.#to_strip > 0 && text !== "") {
      if (!text.startsWith(content)) this.#to_strip = 0;
      else {
        text = text.slice(content.length);
        this.#to_strip--;
      }
    }
    return text;
  }
}
