// The new tokens of one row, or their text, as an async iterable: what `generate` tells its streamer, handed to a loop.
import { checkSignal, onAbort } from "../abort.ts";
import { InputError } from "../errors.ts";
import type { GeneratingModel } from "./chat_model.ts";
import { type GenerateInputs, generateArguments } from "./generate_inputs.ts";
import type { FinishReason } from "./stopping.ts";
import { BaseStreamer, checkStreamer } from "./streamers.ts";
import { TextOutput, type TextTokenizer } from "./text_output.ts";

/** Who is told of a stream's beginning and end. */
interface StreamListener {
  /** The prompt's ids, before the first new one. */
  begin?(prompt: ArrayLike<number>): void;
  /** Why the row ended, where it did by itself. */
  end?(reason: FinishReason): void;
}

/** Generates one row. Leaving the loop early ends the generation. */
export async function* streamTokens(
  model: GeneratingModel,
  given: GenerateInputs,
  listener: StreamListener = {},
): AsyncGenerator<number, void, void> {
  const inputs = generateArguments(given, "stream");
  checkStreamer(inputs.streamer);
  const queue = new TokenQueue(inputs.streamer ?? undefined, listener);
  const { signal } = inputs;
  checkSignal(signal);
  signal?.throwIfAborted();
  // Not AbortSignal.any: Node 20 and 22 keep what it makes as long as the signal that it follows.
  const left = new AbortController();
  const forget = onAbort(signal, () => left.abort(signal!.reason));
  const done = model
    .generated({ ...inputs, streamer: queue, signal: left.signal })
    .then(
      (output) => {
        if (!inputs.past_key_values) output.past_key_values?.dispose();
        listener.end?.(output.finish_reasons[0]);
        queue.close();
      },
      (error) => queue.close(error),
    )
    .finally(forget);
  try {
    yield* queue;
  } finally {
    left.abort(new InputError("the stream was left"));
    await done;
  }
}

/** The same as pieces of text, special tokens skipped. @param end - is told why the row ended */
export async function* streamText(
  model: GeneratingModel,
  inputs: GenerateInputs,
  tokenizer: TextTokenizer,
  end?: StreamListener["end"],
): AsyncGenerator<string, void, void> {
  let text = new TextOutput(tokenizer);
  const begin = (prompt: ArrayLike<number>) => {
    text = new TextOutput(tokenizer, { prompt });
  };
  for await (const id of streamTokens(model, inputs, { begin, end })) {
    const piece = text.push(id);
    if (piece !== "") yield piece;
  }
  const rest = text.end();
  if (rest !== "") yield rest;
}

/** A streamer that hands tokens to an async loop. */
class TokenQueue extends BaseStreamer {
  private readonly tokens: number[] = [];
  private prompt = true;
  private closed = false;
  private failure: { readonly error: unknown } | undefined;
  private wake: () => void = () => {};
  private readonly next: BaseStreamer | undefined;
  private readonly listener: StreamListener;

  /** @param next - a streamer of the caller's, which is told the same */
  constructor(next: BaseStreamer | undefined, listener: StreamListener) {
    super();
    this.next = next;
    this.listener = listener;
  }

  put(value: readonly ArrayLike<number>[]): unknown {
    if (value.length !== 1) throw new InputError(`stream: expected one row, found ${value.length}`);
    const told = this.next?.put(value);
    if (this.prompt) this.listener.begin?.(value[0]);
    else this.tokens.push(value[0][0]);
    this.prompt = false;
    this.wake();
    return told;
  }

  end(): unknown {
    return this.next?.end();
  }

  close(...error: [error?: unknown]): void {
    this.closed = true;
    if (error.length > 0) this.failure = { error: error[0] };
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number, void, void> {
    while (true) {
      while (this.tokens.length) yield this.tokens.shift()!;
      if (this.closed) {
        if (this.failure) throw this.failure.error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
