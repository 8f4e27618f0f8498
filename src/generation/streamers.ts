// Streamers: `generate` hands them the prompt, then each step's tokens, then tells them that it ended. Names and options
// are those of transformers.js.
import { InputError } from "../errors.ts";
import { currentPlatform } from "../platform/index.ts";

/** What receives a generation token by token. */
export abstract class BaseStreamer {
  /** @param value - rows of ids: first the prompts, then one id for each row */
  abstract put(value: readonly ArrayLike<number>[]): void;
  abstract end(): void;
}

/** What a streamer needs of a tokenizer. */
export interface StreamTokenizer {
  decode(ids: number[], options?: Record<string, unknown>): string;
}

export interface TextStreamerOptions {
  /** Leave the prompt out. */
  skip_prompt?: boolean;
  skip_special_tokens?: boolean;
  /** Receives the text piece by piece; without it the text goes to standard output. */
  callback_function?: ((text: string) => void) | null;
  /** Receives the ids as they come, those of the prompt too unless it is skipped. */
  token_callback_function?: ((ids: number[]) => void) | null;
  /** Further options of `tokenizer.decode`. */
  decode_kwargs?: Record<string, unknown>;
}

/**
 * Turns the tokens of one row into text, and emits it in whole words: up to the last space, all of it at the end of a
 * line or after a CJK character. The pieces together are the decoded sequence; none ends within a character.
 * @example new TextStreamer(tokenizer, { skip_prompt: true, callback_function: (text) => process.stdout.write(text) })
 */
export class TextStreamer extends BaseStreamer {
  private readonly tokenizer: StreamTokenizer;
  private readonly skip_prompt: boolean;
  private readonly decode_options: Record<string, unknown>;
  private readonly callback_function: ((text: string) => void) | null;
  private readonly token_callback_function: ((ids: number[]) => void) | null;
  private next_tokens_are_prompt = true;
  /** Ids that are decoded together; the text of the first `printed` UTF-16 units has been emitted. */
  private token_cache: number[] = [];
  private printed = 0;

  constructor(tokenizer: StreamTokenizer, options: TextStreamerOptions = {}) {
    super();
    this.tokenizer = tokenizer;
    this.skip_prompt = options.skip_prompt ?? false;
    this.callback_function = options.callback_function ?? null;
    this.token_callback_function = options.token_callback_function ?? null;
    this.decode_options = { skip_special_tokens: options.skip_special_tokens ?? true, ...options.decode_kwargs };
  }

  /** @throws {@link InputError} when there is more than one row */
  put(value: readonly ArrayLike<number>[]): void {
    if (value.length !== 1) throw new InputError(`TextStreamer: expected a batch of one row, found ${value.length}`);
    const is_prompt = this.next_tokens_are_prompt;
    this.next_tokens_are_prompt = false;
    if (is_prompt && this.skip_prompt) return;
    const ids = Array.from(value[0]);
    this.token_callback_function?.(ids);
    for (const id of ids) this.token_cache.push(id);
    const text = this.decode(this.token_cache);
    const whole = is_prompt || text.endsWith("\n");
    // What decodes to U+FFFD at the end may be the first bytes of a character.
    const certain = text.replace(/\ufffd+$/, "").length;
    const limit = whole || endsInCjk(text) ? certain : text.lastIndexOf(" ") + 1;
    this.emit(text, limit);
    if (whole || this.token_cache.length > LONGEST_CACHE) this.shorten(text);
  }

  end(): void {
    const text = this.decode(this.token_cache);
    this.emit(text, text.length);
    this.token_cache = [];
    this.printed = 0;
    this.next_tokens_are_prompt = true;
    this.on_finalized_text("", true);
  }

  /** Called with every piece of text, and at the end once with `stream_end`; subclasses may override it. */
  on_finalized_text(text: string, stream_end: boolean): void {
    if (this.callback_function) {
      if (text !== "") this.callback_function(text);
      return;
    }
    const shown = stream_end ? `${text}\n` : text;
    // Promises of one chain are run in order, and so the pieces are written in order.
    if (shown !== "") void currentPlatform().then((platform) => platform.write_stdout(shown));
  }

  private decode(ids: number[]): string {
    return ids.length === 0 ? "" : this.tokenizer.decode(ids, this.decode_options);
  }

  private emit(text: string, limit: number): void {
    if (limit <= this.printed) return;
    const piece = text.slice(this.printed, limit);
    this.printed = limit;
    this.on_finalized_text(piece, false);
  }

  /**
   * Keeps of the cache only the last tokens, so that decoding stays cheap. A token whose text has been emitted stays
   * before the others, because a text's first space is dropped in decoding.
   */
  private shorten(text: string): void {
    const pending = text.length - this.printed;
    const length = this.token_cache.length;
    for (let from = length - 1; from > Math.max(0, length - LONGEST_TAIL); from--) {
      const tail = this.token_cache.slice(from);
      const kept = this.decode(tail);
      // A tail that begins within a character, or is too short, decodes to something else.
      if (kept.length <= pending || kept.includes("\ufffd") || !text.endsWith(kept)) continue;
      this.token_cache = tail;
      this.printed = kept.length - pending;
      return;
    }
  }
}

/** Tokens that are decoded again with each new one, in a line without end. */
const LONGEST_CACHE = 64;
/** Tokens that are tried as a shortened cache. */
const LONGEST_TAIL = 16;

/** CJK ideographs, which no space separates: the blocks that Hugging Face's streamer knows. */
const CJK = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]$/u;

const endsInCjk = (text: string): boolean => CJK.test(text);
