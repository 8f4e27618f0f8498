// From tokens back to text, one token at a time: ▁ to a space, byte tokens to characters, one leading space dropped.
// The rules are those of Hugging Face's decoders Replace, ByteFallback, Fuse and Strip in this order.
import { ByteStream, spelledBytes } from "./byte_level.ts";
import { mostOfToken } from "./limits.ts";
import { type Replacement, replaceAll } from "./text_form.ts";
import { utf8State } from "./utf8.ts";

export interface DecoderForm {
  /** What to call it in messages. */
  readonly where: string;
  readonly replace: readonly Replacement[];
  readonly byte_fallback: boolean;
  /** At most `count` of the character `content` are dropped at the start of the text. */
  readonly strip: { readonly content: string; readonly count: number };
}

const bytePattern = /^<0x([0-9A-Fa-f]{2})>$/;
const BROKEN = "\ufffd";
const utf8 = new TextEncoder();

function replaced({ replace, where }: DecoderForm, token: string): string {
  const most = mostOfToken(token.length);
  for (const replacement of replace) token = replaceAll(token, replacement, most, where);
  return token;
}

/** How a vocabulary's tokens become text: by rules, or as spelled bytes. */
export type Decoder = DecoderForm | "ByteLevel";

export const tokenStream = (decoder: Decoder): TokenStream | ByteStream =>
  decoder === "ByteLevel" ? new ByteStream() : new TokenStream(decoder);

/** The bytes that a token stands for in the middle of a text: a byte token is its byte, `▁` a space. */
export function tokenBytes(form: Decoder, token: string): Uint8Array {
  if (form === "ByteLevel") return spelledBytes(token);
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
