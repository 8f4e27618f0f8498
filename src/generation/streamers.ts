// Streamers: `generate` hands them the prompt, then each step's tokens, then tells them that it ended. Names and options
// are those of transformers.js.
import { functionArgument, givenOptions, methodsArgument } from "../arguments.ts";
import { isPromise } from "../callbacks.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { currentPlatform } from "../platform/index.ts";
import { TextOutput, type TextTokenizer } from "./text_output.ts";

/** What receives a generation token by token. */
export abstract class BaseStreamer {
  /**
   * Where it returns a promise, the generation goes on, and ends when the promise is settled; it fails when it rejects.
   * @param value - rows of ids: first the prompts, then one id for each row
   */
  abstract put(value: readonly ArrayLike<number>[]): unknown;
  abstract end(): unknown;
}

/** The option `streamer`. @throws {@link InputError} when it is none, with how one is made of a function */
export function checkStreamer(streamer: unknown): void {
  if (typeof streamer === "function")
    throw new InputError(
      "streamer: expected an object with put and end, found a function: new TextStreamer(tokenizer, { callback_function }) makes one of it",
    );
  if (streamer !== undefined) methodsArgument(streamer, "streamer", "put", "end");
}

/** The options of `TextStreamer`. */
export interface TextStreamerOptions {
  /** Leaves the prompt out. @default false */
  skip_prompt?: boolean | undefined;
  /** Leaves `<s>`, `</s>` and their like out. @default true */
  skip_special_tokens?: boolean | undefined;
  /** Receives the text piece by piece. @default writes it to standard output */
  callback_function?: ((text: string) => void) | null | undefined;
  /** Receives the ids as they come, those of the prompt too unless it is skipped. */
  token_callback_function?: ((ids: number[]) => void) | null | undefined;
  /** Further options of `tokenizer.decode`. @default none */
  decode_kwargs?: Record<string, unknown> | undefined;
}

const known = namesOf<TextStreamerOptions>({
  skip_prompt: true,
  skip_special_tokens: true,
  callback_function: true,
  token_callback_function: true,
  decode_kwargs: true,
});

/**
 * Turns the tokens of one row into text, and emits it in whole words: up to the last space, all of it at the end of a
 * line or after a CJK character. The pieces together are the decoded sequence; none ends within a character. Without
 * the prompt the text begins at its first word, without the space before it.
 * @example new TextStreamer(tokenizer, { skip_prompt: true, callback_function: (text) => process.stdout.write(text) })
 */
export class TextStreamer extends BaseStreamer {
  private readonly skipPrompt: boolean;
  private readonly callback: ((text: string) => void) | null;
  private readonly tokenCallback: ((ids: number[]) => void) | null;
  private readonly begin: () => TextOutput;
  private output: TextOutput;
  private isPrompt = true;

  /** @throws {@link InputError} when the tokenizer cannot decode, or a callback is no function */
  constructor(tokenizer: TextTokenizer, given: TextStreamerOptions = {}) {
    super();
    if (typeof tokenizer?.decode_stream !== "function" && typeof tokenizer?.decode !== "function")
      throw new InputError(`TextStreamer: expected a tokenizer, found ${show(tokenizer)}`);
    const options = givenOptions(given, "TextStreamer", known);
    this.skipPrompt = options.skip_prompt ?? false;
    this.callback = functionArgument(options.callback_function, "callback_function") ?? null;
    this.tokenCallback = functionArgument(options.token_callback_function, "token_callback_function") ?? null;
    const decode = { skip_special_tokens: options.skip_special_tokens ?? true, ...options.decode_kwargs };
    const limit = (text: string) => (this.isPrompt ? text.length : wholeWords(text));
    this.begin = () => new TextOutput(tokenizer, { decode, limit });
    this.output = this.begin();
  }

  /** @throws {@link InputError} when there is more than one row */
  put(value: readonly ArrayLike<number>[]): unknown {
    if (value.length !== 1) throw new InputError(`TextStreamer: expected a batch of one row, found ${value.length}`);
    const told: unknown[] = [];
    if (!(this.isPrompt && this.skipPrompt)) {
      const ids = Array.from(value[0]);
      told.push(this.tokenCallback?.(ids), this.emit(ids.map((id) => this.output.push(id)).join("")));
    }
    this.isPrompt = false;
    return together(told);
  }

  end(): unknown {
    const last = this.emit(this.output.end());
    this.output = this.begin();
    this.isPrompt = true;
    return together([last, this.on_finalized_text("", true)]);
  }

  /** Called with every piece of text, and at the end once with `streamEnd`; subclasses may override it. */
  on_finalized_text(text: string, streamEnd: boolean): unknown {
    if (this.callback) return text === "" ? undefined : this.callback(text);
    const shown = streamEnd ? `${text}\n` : text;
    // Promises of one chain are run in order, and so the pieces are written in order.
    return shown === "" ? undefined : currentPlatform().then((platform) => platform.write_stdout(shown));
  }

  private emit(text: string): unknown {
    return text === "" ? undefined : this.on_finalized_text(text, false);
  }
}

/** What several callbacks have returned, as one value. */
function together(returned: readonly unknown[]): unknown {
  const promises = returned.filter(isPromise);
  return promises.length > 0 ? Promise.all(promises) : undefined;
}

/** CJK ideographs, which no space separates: the blocks that Hugging Face's streamer knows. */
const CJK = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2ceaf}\u{2f800}-\u{2fa1f}]$/u;

/** How much of a text is whole words. */
const wholeWords = (text: string): number =>
  text.endsWith("\n") || CJK.test(text.slice(-2)) ? text.length : text.lastIndexOf(" ") + 1;
