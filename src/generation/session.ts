// A conversation's one timeline: what the model has seen stays in its cache, and each turn feeds only what is new.
import { givenArguments, methodsArgument } from "../arguments.ts";
import { atOnce } from "../callbacks.ts";
import { InputError } from "../errors.ts";
import type { AdapterSet } from "../model/adapter_set.ts";
import type { KeyValueCache } from "../model/cache.ts";
import type { CausalLM } from "./causal_lm.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import { streamText } from "./stream.ts";
import { BaseStreamer } from "./streamers.ts";
import type { TextTokenizer } from "./text_output.ts";

/** A chat turn as templates know it. */
export type Message = { role: string; content: string };

/** What a session needs of a tokenizer. */
export interface ChatTokenizer extends TextTokenizer {
  apply_chat_template(
    messages: Message[],
    options: { add_generation_prompt: boolean; return_dict: false; return_tensor: false },
  ): number[];
}

/** Options of an answer, or a function of how many tokens its prompt has. */
export type AnswerOptions = GenerateInputs | ((prompt_tokens: number) => GenerateInputs);

export class ChatSession {
  readonly messages: Message[] = [];
  /** Prompt tokens of the last turn, and how many of them the cache held already. */
  prompt_tokens = 0;
  cached_tokens = 0;
  private readonly model: CausalLM;
  private readonly tokenizer: ChatTokenizer;
  private cache: KeyValueCache | undefined;
  /** The tokens that the cache holds, and those chosen after them. */
  private ids: number[] = [];
  private answering = false;

  constructor(model: CausalLM, tokenizer: ChatTokenizer) {
    this.model = methodsArgument(model, "model", "create_cache", "generate");
    this.tokenizer = methodsArgument(tokenizer, "tokenizer", "apply_chat_template");
  }

  /**
   * Sends a message and streams the answer's text. Leaving the loop, or aborting, keeps what was answered so far.
   * @param options - of `generate`, or what makes them from the number of the prompt's tokens
   * @throws TokenizerError when the template refuses; the conversation is then as before
   * @throws {@link InputError} while the message before is being answered
   */
  async *send(content: string, options: AnswerOptions = {}): AsyncGenerator<string, void, void> {
    if (this.answering) throw new InputError("send: the message before is still being answered");
    this.answering = true;
    try {
      yield* this.answer(content, options);
    } finally {
      this.answering = false;
    }
  }

  private async *answer(content: string, given: AnswerOptions): AsyncGenerator<string, void, void> {
    this.messages.push({ role: "user", content });
    let prompt: number[];
    let options: GenerateInputs;
    let adapters: readonly AdapterSet[];
    try {
      const template = { add_generation_prompt: true, return_dict: false, return_tensor: false } as const;
      prompt = this.tokenizer.apply_chat_template(this.messages, template);
      const made = typeof given === "function" ? atOnce(given(prompt.length), "send: options") : given;
      options = givenArguments(made, "send: the options");
      adapters = this.model.engine.adapters.choose(options, 1);
    } catch (error) {
      this.messages.pop();
      throw error;
    }
    this.prepare(prompt, adapters);
    const { cache } = this;
    const recorder = new Recorder(options.streamer);
    let answer = "";
    try {
      const inputs = {
        ...options,
        input_ids: [prompt],
        past_key_values: cache,
        tokenizer: this.tokenizer,
        streamer: recorder,
      };
      for await (const text of streamText(this.model, inputs, this.tokenizer, true)) {
        answer += text;
        yield text;
      }
    } finally {
      // Unless the conversation was reset meanwhile.
      if (this.cache === cache) {
        this.ids = [...prompt, ...recorder.ids].slice(0, cache!.get_seq_length());
        this.messages.push({ role: "assistant", content: answer });
      }
    }
  }

  /**
   * Makes the cache hold nothing but a beginning of `prompt`: what both have in common, where it can be cut back to that,
   * and was computed with the same adapters.
   */
  private prepare(prompt: number[], adapters: readonly AdapterSet[]): void {
    if (this.cache && !this.cache.suits(adapters)) this.resetCache();
    let common = 0;
    // The last token is always fed, for its logits.
    while (common < this.ids.length && common < prompt.length - 1 && this.ids[common] === prompt[common]) common++;
    if (this.cache && common < this.ids.length) {
      try {
        this.cache.crop(common);
      } catch {
        this.resetCache(); // a window has rolled over the keys: begin anew
        common = 0;
      }
    }
    this.cache ??= this.model.create_cache(1);
    this.prompt_tokens = prompt.length;
    this.cached_tokens = common;
  }

  private resetCache(): void {
    this.cache?.dispose();
    this.cache = undefined;
    this.ids = [];
  }

  /** Forgets the conversation. */
  reset(): void {
    this.messages.length = 0;
    this.resetCache();
  }

  /** Gives the cache back. */
  dispose(): void {
    this.resetCache();
  }
}

/** Keeps the ids that were chosen. */
class Recorder extends BaseStreamer {
  readonly ids: number[] = [];
  private prompt = true;
  private readonly next: BaseStreamer | null | undefined;

  /** @param next - a streamer of the caller's, which is told the same */
  constructor(next: BaseStreamer | null | undefined) {
    super();
    this.next = next;
  }

  put(value: readonly ArrayLike<number>[]): unknown {
    if (!this.prompt) this.ids.push(value[0][0]);
    this.prompt = false;
    return this.next?.put(value);
  }

  end(): unknown {
    return this.next?.end();
  }
}
