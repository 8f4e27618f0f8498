// A conversation's one timeline: what the model has seen stays in its cache, and each turn feeds only what is new.
import { givenArguments, givenOptions, methodsArgument } from "../arguments.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import type { ToolCall } from "../text/tool_calls.ts";
import { AnswerText, type CallParser } from "./answer_text.ts";
import type { CausalLM } from "./causal_lm.ts";
import type { ChatCache, ChatModel } from "./chat_model.ts";
import {
  dropOldest,
  type Encode,
  type GivenMessage,
  lastTurn,
  type Message,
  readMessages,
  systemOf,
} from "./conversation.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import type { FinishReason } from "./stopping.ts";
import { streamTokens } from "./stream.ts";
import { BaseStreamer } from "./streamers.ts";
import type { TextTokenizer } from "./text_output.ts";
import { type ChatTool, canRun, checkTools, described, runCalls } from "./tools.ts";

/** What a session needs of a tokenizer. */
export interface ChatTokenizer extends TextTokenizer, Partial<CallParser> {
  apply_chat_template(
    messages: Message[],
    options: { add_generation_prompt: boolean; return_dict: false; return_tensor: false },
  ): number[];
}

/** Why a turn ended: an end of its own, the room or `max_new_tokens`, calls that the caller has to answer, or an abort. */
export type TurnEnd = FinishReason | "tool_calls" | "aborted";

/** The options of `ChatSession`. */
export interface ChatSessionOptions {
  /** What the model is told before the conversation. Where its template has no such role, it begins the first message. @default nothing */
  system?: string | null | undefined;
  /** A conversation to go on with. @default none */
  messages?: readonly GivenMessage[] | null | undefined;
  /** Functions that the model may call. Calls are run, and answered to, within a turn. @default none */
  tools?: readonly ChatTool[] | null | undefined;
  /**
   * What becomes of a conversation that fills the context: `"drop_oldest"` leaves its oldest turns out of what the model is
   * shown, down to half of the context, so that it need not be read again with every turn; `"error"` refuses the message.
   * @default "drop_oldest"
   */
  context_overflow?: "drop_oldest" | "error" | null | undefined;
  /** A template, in Jinja. @default the tokenizer's */
  chat_template?: string | null | undefined;
  /** Answers with calls in one turn, at most; then the turn ends with those of the last. @default 8 */
  max_tool_rounds?: number | null | undefined;
}

const known = namesOf<ChatSessionOptions>({
  system: true,
  messages: true,
  tools: true,
  context_overflow: true,
  chat_template: true,
  max_tool_rounds: true,
});

/**
 * A conversation with a model. Everything said stays in `messages`, and what the model has read in its cache.
 * @example
 * const session = new ChatSession(model, tokenizer, { system: "Answer in one sentence." });
 * for await (const text of session.send("What is pesto made of?")) process.stdout.write(text);
 * const answer = await session.prompt("And what is mustard made of?", { max_new_tokens: 60 });
 * session.dispose();
 */
export class ChatSession {
  /** All that was said, the system prompt first where there is one. It may be changed between turns. */
  readonly messages: Message[] = [];
  /** Messages behind the system prompt, the oldest ones, that the model is shown no more, since the context is full. */
  dropped = 0;
  /** Prompt tokens of the last answer, and how many of them the cache held already. */
  prompt_tokens = 0;
  cached_tokens = 0;
  /** Why the last turn ended; undefined where it failed. */
  finish_reason: TurnEnd | undefined;
  private readonly model: ChatModel;
  private readonly tokenizer: ChatTokenizer;
  private readonly tools: readonly ChatTool[];
  private readonly parser: CallParser | undefined;
  private readonly refuses: boolean;
  private readonly most_rounds: number;
  private readonly template: object;
  private cache: ChatCache | undefined;
  /** The tokens that the cache holds, and those chosen after them. */
  private ids: number[] = [];
  private answering = false;
  /** Whether what the last round has answered stays. */
  private kept = false;
  /** How often the conversation was reset. */
  private resets = 0;

  /** @throws {@link InputError} naming the argument that is wrong */
  constructor(model: CausalLM, tokenizer: ChatTokenizer, options?: ChatSessionOptions);
  /** @internal */
  constructor(model: ChatModel, tokenizer: ChatTokenizer, options?: ChatSessionOptions);
  constructor(model: ChatModel, tokenizer: ChatTokenizer, options: ChatSessionOptions = {}) {
    this.model = methodsArgument(model, "model", "create_cache", "generate");
    this.tokenizer = methodsArgument(tokenizer, "tokenizer", "apply_chat_template");
    const given = givenOptions(options, "ChatSession", known);
    const { system, messages, context_overflow = "drop_oldest", chat_template, max_tool_rounds = 8 } = given;
    this.tools = checkTools(given.tools ?? undefined);
    if (this.tools.length > 0) this.parser = methodsArgument(tokenizer as CallParser, "tokenizer", "parse_tool_calls");
    if (context_overflow !== "drop_oldest" && context_overflow !== "error")
      throw new InputError(`context_overflow: expected "drop_oldest" or "error", found ${show(context_overflow)}`);
    if (!Number.isInteger(max_tool_rounds) || max_tool_rounds! < 1)
      throw new InputError(`max_tool_rounds: expected an integer of at least 1, found ${show(max_tool_rounds)}`);
    this.refuses = context_overflow === "error";
    this.most_rounds = max_tool_rounds!;
    this.template = {
      ...(chat_template == null ? {} : { chat_template }),
      ...(this.tools.length > 0 ? { tools: described(this.tools) } : {}),
    };
    if (messages) this.load(messages);
    if (system != null) this.system = system;
  }

  /** What the model is told before the conversation; undefined where that is nothing. Setting it holds from the next turn on. */
  get system(): string | undefined {
    return systemOf(this.messages)?.content;
  }
  set system(content: string | null | undefined) {
    const present = systemOf(this.messages) ? 1 : 0;
    if (content == null || content === "") this.messages.splice(0, present);
    else if (typeof content !== "string") throw new InputError(`system: expected a text, found ${show(content)}`);
    else this.messages.splice(0, present, { role: "system", content });
  }

  /**
   * Sends a message and streams the answer's text. Where the model calls tools, they are run, and what it then answers is
   * streamed, too. A turn that fails leaves the conversation as before; leaving the loop, or aborting, keeps what was
   * answered so far, if there is any.
   * @param content - the user's text, or a message, or several: what tools gave back
   * @param options - of `generate`. Without `max_new_tokens` an answer may take what is left of the context; it never takes
   *   more.
   * @throws TokenizerError when the template refuses
   * @throws {@link InputError} while the message before is being answered, or when the context has no room for the message
   */
  async *send(
    content: string | GivenMessage | readonly GivenMessage[],
    options: GenerateInputs = {},
  ): AsyncGenerator<string, void, void> {
    const given = typeof content === "string" ? [{ role: "user", content }] : [content].flat();
    yield* this.turn(readMessages(given, "send: content", 1), options, this.messages.length);
  }

  /** The same, waited for: the answer's text. */
  async prompt(
    content: string | GivenMessage | readonly GivenMessage[],
    options: GenerateInputs = {},
  ): Promise<string> {
    let answer = "";
    for await (const text of this.send(content, options)) answer += text;
    return answer;
  }

  /**
   * Answers the last message of the user's again. Another seed, or sampling at all, gives another answer. Where that fails,
   * the answer before is kept.
   * @throws {@link InputError} when there is none
   */
  async *regenerate(options: GenerateInputs = {}): AsyncGenerator<string, void, void> {
    const last = lastTurn(this.messages);
    if (last < 0) throw new InputError("regenerate: expected a message of the user's in the conversation, found none");
    yield* this.turn([this.messages[last]], options, last);
  }

  /** Takes the last turn back: the last message of the user's and all after it, which are given back. */
  undo(): Message[] {
    this.checkIdle("undo");
    const last = lastTurn(this.messages);
    return last < 0 ? [] : this.messages.splice(last);
  }

  /** Puts another conversation in the place of this one. What of it the cache holds is not read again. */
  load(messages: readonly GivenMessage[]): void {
    this.checkIdle("load");
    const given = readMessages(messages, "messages");
    this.messages.splice(0, this.messages.length, ...given);
    this.dropped = 0;
  }

  /** Forgets the conversation, but for the system prompt. */
  reset(): void {
    this.messages.splice(systemOf(this.messages) ? 1 : 0);
    this.dropped = 0;
    this.resets++;
    this.resetCache();
  }

  /** Gives the cache back. */
  dispose(): void {
    this.resetCache();
  }

  private checkIdle(what: string): void {
    if (this.answering) throw new InputError(`${what}: the message before is still being answered`);
  }

  /** Puts messages in the place of those from `from` on, and answers. */
  private async *turn(
    messages: readonly Message[],
    options: GenerateInputs,
    from: number,
  ): AsyncGenerator<string, void, void> {
    this.checkIdle("send");
    this.answering = true;
    this.finish_reason = undefined;
    const { dropped, resets } = this;
    const before = this.messages.splice(from, Infinity, ...messages);
    try {
      for (let round = 1; ; round++) {
        const { calls, signal } = yield* this.answer(options);
        if (calls.length === 0 || round === this.most_rounds || !canRun(this.tools, calls)) return;
        this.kept = false;
        this.messages.push(...(await runCalls(this.tools, calls, signal)));
      }
    } finally {
      this.answering = false;
      if (!this.kept && this.resets === resets) {
        this.messages.splice(from, Infinity, ...before);
        this.dropped = dropped;
      }
    }
  }

  /** Answers once, by text or by calls. */
  private async *answer(
    given: GenerateInputs,
  ): AsyncGenerator<string, { calls: readonly ToolCall[]; signal: AbortSignal | undefined }, void> {
    this.kept = false;
    const options = givenArguments(given, "send: the options");
    const { resets, tokenizer } = this;
    const { signal } = options;
    const { prompt, length } = await this.fit(options);
    let cache = await this.prepare(prompt, options);
    while (cache !== this.cache) cache = await this.prepare(prompt, options); // it was given back meanwhile
    const recorder = new Recorder(options.streamer);
    const answer = new AnswerText(tokenizer, this.parser);
    let calls: ToolCall[] = [];
    let end: TurnEnd | undefined = "aborted";
    try {
      const past_key_values = cache as KeyValueCache; // that the model has made
      const own = { input_ids: [prompt], past_key_values, tokenizer, streamer: recorder };
      let reason: FinishReason | undefined;
      const ended = (why: FinishReason) => {
        reason = why;
      };
      for await (const id of streamTokens(this.model, { ...options, ...length, ...own }, { end: ended })) {
        const text = answer.push(id);
        if (text !== "") yield text;
      }
      const last = answer.end();
      calls = last.calls;
      end = calls.length > 0 ? "tool_calls" : reason;
      if (last.rest !== "") yield last.rest;
    } catch (error) {
      if (!signal?.aborted) end = undefined;
      throw error;
    } finally {
      if (this.cache === cache) this.ids = [...prompt, ...recorder.ids].slice(0, cache.get_seq_length());
      if (this.resets === resets) {
        this.finish_reason = end;
        this.kept = end === "aborted" ? answer.text !== "" : end !== undefined;
        if (this.kept)
          this.messages.push({
            role: "assistant",
            content: answer.text,
            ...(calls.length > 0 ? { tool_calls: calls } : {}),
          });
      }
    }
    return { calls, signal };
  }

  /**
   * The prompt of what is shown of the conversation, without so many of its oldest turns that there is room for an answer,
   * and how long that may be.
   * @throws {@link InputError} when the context has no room
   */
  private async fit(options: GenerateInputs): Promise<{ prompt: number[]; length: GenerateInputs }> {
    const { tokenizer, model, messages, template } = this;
    const settings = [options, options.generation_config, model.generation_config];
    const asked = settings.find((each) => each?.max_new_tokens != null)?.max_new_tokens ?? undefined;
    const encode: Encode = (shown) =>
      tokenizer.apply_chat_template([...shown], {
        ...template,
        add_generation_prompt: true,
        return_dict: false,
        return_tensor: false,
      });
    let shown = dropOldest(messages, this.dropped, encode, () => true);
    const most = await model.most_tokens(shown.ids.length);
    const wanted = Math.min(asked ?? Infinity, most >> 2);
    if (!this.refuses && shown.ids.length + wanted > most)
      shown = dropOldest(messages, this.dropped, encode, (tokens) => tokens <= most / 2);
    const room = most - shown.ids.length;
    if (room <= 0)
      throw new InputError(
        `the ${this.refuses ? "conversation" : "message"} has ${shown.ids.length} tokens, the context holds ${most}, an answer among them`,
      );
    this.dropped = shown.dropped;
    const bounded = options.max_length != null || options.generation_config?.max_length != null;
    const length = asked === undefined && bounded ? {} : { max_new_tokens: Math.min(asked ?? room, room) };
    return { prompt: shown.ids, length };
  }

  /**
   * Makes the cache hold nothing but a beginning of `prompt`: what both have in common, where it can be cut back to that,
   * and was computed with the same adapters.
   */
  private async prepare(prompt: number[], options: GenerateInputs): Promise<ChatCache> {
    const { cache, ids, model } = this;
    let common = 0;
    // The last token is always fed, for its logits.
    while (common < ids.length && common < prompt.length - 1 && ids[common] === prompt[common]) common++;
    const suits = cache !== undefined && (await model.cache_suits(cache, options));
    // Where a window has rolled over the keys it cannot be.
    const usable = suits && (common === ids.length || (await cache.croppable(common)));
    if (!usable || this.cache !== cache) {
      this.resetCache();
      common = 0;
      this.cache = await model.create_cache(1);
    } else if (common < ids.length) cache.crop(common);
    this.prompt_tokens = prompt.length;
    this.cached_tokens = common;
    return this.cache!;
  }

  private resetCache(): void {
    this.cache?.dispose();
    this.cache = undefined;
    this.ids = [];
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
