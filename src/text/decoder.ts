// From tokens back to text, one token at a time: ▁ to a space, byte tokens to characters, one leading space dropped.
// The rules are those of Hugging Face's decoders Replace, ByteFallback, Fuse and Strip in this order.
import { mostOfToken } from "./limits.ts";
import { type Replacement, replaceAll } from "./text_form.ts";

export interface DecoderForm {
  /** What to call it in messages. */
  readonly where: string;
  readonly replace: readonly Replacement[];
  readonly byte_fallback: boolean;
  /** At most `count` of the character `content` are dropped at the start of the text. */
  readonly strip: { readonly content: string; readonly count: number };
}

/** As {@link https://datatracker.ietf.org/doc/html/rfc3629#section-4 RFC 3629} has it: without overlong forms and surrogates. */
const leadLength = (byte: number): number =>
  byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;

/** What a few bytes are to UTF-8. */
function utf8State(bytes: readonly number[]): "whole" | "begun" | "broken" {
  const length = leadLength(bytes[0]);
  if (length === 0) return "broken";
  for (let i = 1; i < bytes.length; i++) {
    const low = i > 1 ? 0x80 : bytes[0] === 0xe0 ? 0xa0 : bytes[0] === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : bytes[0] === 0xed ? 0x9f : bytes[0] === 0xf4 ? 0x8f : 0xbf;
    if (bytes[i] < low || bytes[i] > high) return "broken";
  }
  return bytes.length === length ? "whole" : "begun";
}

const bytePattern = /^<0x([0-9A-Fa-f]{2})>$/;
const BROKEN = "\ufffd";
const utf8 = new TextEncoder();

function replaced({ replace, where }: DecoderForm, token: string): string {
  const most = mostOfToken(token.length);
  for (const replacement of replace) token = replaceAll(token, replacement, most, where);
  return token;
}

/** The bytes that a token stands for in the middle of a text: a byte token is its byte, `▁` a space. */
export function tokenBytes(form: DecoderForm, token: string): Uint8Array {
  token = replaced(form, token);
  const byte = form.byte_fallback ? bytePattern.exec(token) : null;
  return byte ? Uint8Array.of(Number.parseInt(byte[1], 16)) : utf8.encode(token);
}

/**
 * Decodes a stream of tokens. A run of byte tokens is text when all of it is valid UTF-8; otherwise each byte of the
 * run is one U+FFFD, also those of its whole characters. So nothing of a run is certain before it ends. Who shows
 * characters earlier takes them from `pending`; of a run that breaks later, only bytes not taken become U+FFFD.
 */
export class TokenStream {
  private readonly form: DecoderForm;
  private toStrip: number;
  /** The whole characters of a byte run that is valid so far, without those taken. */
  pending = "";
  private untaken = 0; // bytes of the run behind what was taken: those of `pending`, and what follows
  private begun: number[] = []; // bytes of a character that is not whole yet
  private broken = false;

  constructor(form: DecoderForm) {
    this.form = form;
    this.toStrip = form.strip.count;
  }

  /** @returns the text that became certain by this token */
  push(token: string): string {
    token = replaced(this.form, token);
    const byte = this.form.byte_fallback && token.length === 6 ? bytePattern.exec(token) : null;
    if (!byte) return this.end() + this.strip(token);
    this.pushByte(Number.parseInt(byte[1], 16));
    return "";
  }

  /** Ends a byte run. @returns what of it was held back */
  end(): string {
    const text = this.broken || this.begun.length > 0 ? this.strip(BROKEN.repeat(this.untaken)) : this.pending;
    this.pending = "";
    this.untaken = 0;
    this.begun = [];
    this.broken = false;
    return text;
  }

  /** Gives the first `length` UTF-16 units of what is pending before they are certain. */
  take(length = this.pending.length): string {
    const text = this.pending.slice(0, length);
    if (text === "") return text;
    this.pending = this.pending.slice(length);
    this.untaken = utf8.encode(this.pending).length + this.begun.length;
    return text;
  }

  /** Leaves out all text until here, but for a character that is only begun. */
  forget(): void {
    this.pending = "";
    this.untaken = 0;
    if (this.broken || this.begun.length > 0) this.toStrip = 0; // U+FFFD or a long character stands first
  }

  private pushByte(byte: number): void {
    this.untaken++;
    if (this.broken) return;
    this.begun.push(byte);
    const state = utf8State(this.begun);
    if (state === "begun") return;
    if (state === "broken") {
      this.broken = true;
      this.pending = "";
    } else
      this.pending += this.strip(new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(this.begun)));
    this.begun = [];
  }

  private strip(text: string): string {
    const { content } = this.form.strip;
    while (this.toStrip > 0 && text !== "") {
      if (!text.startsWith(content)) this.toStrip = 0;
      else {
        text = text.slice(content.length);
        this.toStrip--;
      }
    }
    return text;
  }
}
