// New token ids become text: behind the prompt's, special tokens left out, never half a character, up to a stop string.
// Everything that shows generated text goes through here, so that all show the same.
import { show } from "../config/show.ts";
import { ConfigError, InputError } from "../errors.ts";
import type { DecodeStream } from "../text/encoding.ts";

/** What is needed of a tokenizer: `decode_stream`, or `decode` where it is another project's. */
export interface TextTokenizer {
  decode_stream?(options: Record<string, unknown> & { certain: true; prompt: ArrayLike<number> }): DecodeStream;
  decode?(ids: number[], options?: Record<string, unknown>): string;
}

export interface TextOutputOptions {
  /** The ids before the new ones. A text's first token has no space of its own; what follows a prompt has. */
  prompt?: ArrayLike<number>;
  /** Options of the tokenizer's decoding; special tokens are skipped unless they say otherwise. */
  decode?: Record<string, unknown>;
  /** The text ends where one of these does first; of several that end there, it is the longest. */
  stop?: string | readonly string[] | null;
  /** Leave the stop string in the text. Default false. */
  keepStop?: boolean;
  /** How much of the text that has not been given may be given now, in UTF-16 units; by default all. */
  limit?: (text: string) => number;
}

/**
 * The text of one row of new ids.
 * @example
 * const output = new TextOutput(tokenizer, { prompt: [1, 45], stop: "\nQ:" });
 * for (const id of ids) process.stdout.write(output.push(id));
 * process.stdout.write(output.end());
 */
export class TextOutput {
  /** The stop string that ended the text; null as long as there is none. */
  stop: string | null = null;
  private readonly tokens: DecodeStream;
  private readonly stops: readonly string[];
  private readonly keepStop: boolean;
  private readonly limit: (text: string) => number;
  /** Text that is certain and was not given. */
  private held = "";

  /** @throws {@link InputError} when the tokenizer cannot decode; {@link ConfigError} when a stop string is empty */
  constructor(tokenizer: TextTokenizer, options: TextOutputOptions = {}) {
    const { prompt = [], stop, keepStop = false, limit = (text) => text.length } = options;
    const decode = { skip_special_tokens: true, ...options.decode };
    this.stops = typeof stop === "string" ? [stop] : (stop ?? []);
    if (this.stops.some((s) => typeof s !== "string" || s === ""))
      throw new ConfigError(`stop: expected strings that are not empty, found ${show(stop)}`);
    this.keepStop = keepStop;
    this.limit = limit;
    if (tokenizer?.decode_stream) this.tokens = tokenizer.decode_stream({ ...decode, certain: true, prompt });
    else if (tokenizer?.decode) this.tokens = new WindowDecoder((ids) => tokenizer.decode!(ids, decode), prompt);
    else
      throw new InputError(
        `tokenizer: expected a tokenizer, which has decode_stream or decode, found ${show(tokenizer)}`,
      );
  }

  /** @returns what can be shown by this token; nothing once a stop string was found */
  push(id: number): string {
    if (this.stop !== null) return "";
    this.held += this.tokens.push(id);
    const text = this.held + this.tokens.pending;
    return this.cut(text) ?? this.give(text, Math.min(this.beforeStop(text), this.limit(text)));
  }

  /** @returns what was held back */
  end(): string {
    if (this.stop !== null) return "";
    const text = this.held + this.tokens.end();
    this.held = "";
    return this.cut(text) ?? text;
  }

  /** The text of all new ids at once: what the pieces are when joined. */
  static whole(
    tokenizer: TextTokenizer,
    ids: ArrayLike<number>,
    options?: TextOutputOptions,
  ): { text: string; stop: string | null } {
    const output = new TextOutput(tokenizer, options);
    let text = "";
    for (let i = 0; i < ids.length; i++) text += output.push(ids[i]);
    text += output.end();
    return { text, stop: output.stop };
  }

  private give(text: string, length: number): string {
    // What is certain comes first; the rest is shown before it is.
    this.tokens.take(Math.max(0, length - this.held.length));
    this.held = this.held.slice(length);
    return text.slice(0, length);
  }

  /** The text up to a stop string, where there is one. */
  private cut(text: string): string | undefined {
    const [first] = this.stops
      .map((stop) => ({ stop, at: text.indexOf(stop), end: text.indexOf(stop) + stop.length }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.end - b.end || a.at - b.at);
    if (!first) return undefined;
    this.stop = first.stop;
    this.held = "";
    return text.slice(0, this.keepStop ? first.end : first.at);
  }

  /** How much of the text cannot be the beginning of a stop string. */
  private beforeStop(text: string): number {
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length - 1));
    for (let at = Math.max(0, text.length - longest); at < text.length; at++)
      if (this.stops.some((stop) => stop.startsWith(text.slice(at)))) return at;
    return text.length;
  }
}

/** How much of a text stands before U+FFFD at its end. */
function wholeLength(text: string): number {
  let whole = text.length;
  while (text[whole - 1] === "\ufffd") whole--;
  return whole;
}

/**
 * A stream for tokenizers that only decode whole rows: with each token, those of the last piece and what came after them
 * are decoded again. U+FFFD at the end may be the first bytes of a character, and waits.
 */
class WindowDecoder implements DecodeStream {
  readonly pending = "";
  private readonly decode: (ids: number[]) => string;
  private ids: number[];
  /** How many of the ids made the last piece, and how much of their text has been given. */
  private last: number;
  private given: number;
  /** U+FFFD at the prompt's end: a character that the new ids may make whole. */
  private begun: string;

  constructor(decode: (ids: number[]) => string, prompt: ArrayLike<number>) {
    this.decode = decode;
    this.ids = Array.from(prompt);
    this.last = this.ids.length;
    const text = this.last ? decode(this.ids) : "";
    this.given = wholeLength(text);
    this.begun = text.slice(this.given);
  }

  push(id: number): string {
    this.ids.push(id);
    const text = this.decode(this.ids);
    const whole = wholeLength(text);
    if (whole <= this.given) return "";
    if (text.startsWith(this.begun, this.given)) this.given += this.begun.length; // broken: it is the prompt's
    this.begun = "";
    const piece = text.slice(this.given, whole);
    this.given = whole;
    if (whole === text.length) {
      this.ids = this.ids.slice(this.last);
      this.last = this.ids.length;
      this.given = this.decode(this.ids).length;
    }
    return piece;
  }

  end(): string {
    const text = this.ids.length > this.last ? this.decode(this.ids).slice(this.given) : "";
    this.ids = [];
    this.last = this.given = 0;
    return text;
  }

  take(): string {
    return "";
  }
}
