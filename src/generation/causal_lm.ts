// MixtralForCausalLM: a loaded Mixtral that generates.
import { InputError } from "../errors.ts";
import { MixtralPreTrainedModel } from "../model/mixtral.ts";
import type { Tensor } from "../tensor.ts";
import { type GenerateOutput, generate } from "./generate.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import { BaseStreamer } from "./streamers.ts";

/** What `stream` needs of a tokenizer to give text instead of ids. */
interface StreamingTokenizer {
  decode_stream(options: { skip_special_tokens: boolean }): { push(id: number): string; end(): string };
}

/**
 * Mixtral with its language-model head.
 * @example
 * const model = await MixtralForCausalLM.from_pretrained("models/demo");
 * const ids = await model.generate({ input_ids: [1, 20, 300], max_new_tokens: 40 });
 */
export class MixtralForCausalLM extends MixtralPreTrainedModel {
  static override readonly needs_head = true;

  /**
   * Generates until every row is finished.
   * @returns int32 (rows, length), prompt included; with `return_dict_in_generate` an object with what was asked for
   * @throws {@link InputError} or ConfigError for what was passed; the signal's reason when aborted: what was generated
   *   so far is its `partial`
   */
  generate(inputs: GenerateInputs & { return_dict_in_generate: true }): Promise<GenerateOutput>;
  generate(inputs: GenerateInputs): Promise<Tensor>;
  async generate(inputs: GenerateInputs): Promise<Tensor | GenerateOutput> {
    const output = await generate(this, inputs);
    return (inputs.return_dict_in_generate ?? inputs.generation_config?.return_dict_in_generate ?? false)
      ? output
      : output.sequences;
  }

  /**
   * Generates one row as an async iterable, without the prompt: pieces of text where a tokenizer is given (special tokens
   * skipped), else token ids. Leaving the loop early ends the generation.
   */
  stream<T extends GenerateInputs>(
    inputs: T,
  ): AsyncGenerator<T extends { tokenizer: StreamingTokenizer } ? string : number, void, void>;
  async *stream(inputs: GenerateInputs): AsyncGenerator<string | number, void, void> {
    const tokenizer = inputs.tokenizer as StreamingTokenizer | undefined;
    const text = tokenizer?.decode_stream({ skip_special_tokens: true });
    const queue = new TokenQueue(inputs.streamer ?? undefined);
    const left = new AbortController();
    const signal = inputs.signal ? AbortSignal.any([inputs.signal, left.signal]) : left.signal;
    const done = generate(this, { ...inputs, streamer: queue, signal }).then(
      (output) => {
        if (!inputs.past_key_values) output.past_key_values?.dispose();
        queue.close();
      },
      (error) => queue.close(error),
    );
    try {
      for await (const token of queue) {
        const piece = text ? text.push(token) : token;
        if (piece !== "") yield piece;
      }
      const rest = text?.end();
      if (rest) yield rest;
    } finally {
      left.abort(new InputError("the stream was left"));
      await done;
    }
  }
}

/** A streamer that hands tokens to an async loop. */
class TokenQueue extends BaseStreamer {
  private readonly tokens: number[] = [];
  private prompt = true;
  private closed = false;
  private error: unknown;
  private wake: () => void = () => {};
  private readonly next: BaseStreamer | undefined;

  /** @param next - a streamer of the caller's, which is told the same */
  constructor(next: BaseStreamer | undefined) {
    super();
    this.next = next;
  }

  put(value: readonly ArrayLike<number>[]): void {
    if (value.length !== 1) throw new InputError(`stream: expected one row, found ${value.length}`);
    this.next?.put(value);
    if (!this.prompt) this.tokens.push(value[0][0]);
    this.prompt = false;
    this.wake();
  }

  end(): void {
    this.next?.end();
  }

  close(error?: unknown): void {
    this.closed = true;
    this.error = error;
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number, void, void> {
    while (true) {
      while (this.tokens.length) yield this.tokens.shift()!;
      if (this.closed) {
        if (this.error !== undefined) throw this.error;
        return;
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
