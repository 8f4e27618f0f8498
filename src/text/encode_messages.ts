// A conversation becomes ids without a template, as Mistral's models were trained: every message is encoded by itself, and
// control tokens are put between as ids. Whatever a message spells stays text.
// Source: mistral-common 1.13, instruct.py.
import { knownOptions, namesOf } from "../config/option_names.ts";
import { InputError } from "../errors.ts";
import { type ChatMessage, checkMessages } from "./chat_template.ts";
import { stripEnd } from "./jinja/strings.ts";
import type { Format } from "./mistral_formats.ts";
import { jsonList, jsonObject, toPythonJSON } from "./python_json.ts";
import { type AssistantTurn, type Call, type Chunk, type ResultTurn, type Turn, textOf, toolsJSON } from "./turn.ts";
import { readTurns, systemPrompt } from "./turns.ts";

/** The options of `encode_messages`. */
export interface EncodeMessagesOptions {
  /** Functions that the model may call, as JSON schemas. @default none */
  tools?: readonly unknown[] | null | undefined;
  /** Leaves the last message, which is the assistant's, without its end. @default false */
  continue_final_message?: boolean | undefined;
  /** `"v1"`, `"v2"`, `"v3"`, `"v7"`, `"v11"` or `"v13"`. @default what the tokenizer's files tell */
  version?: string | undefined;
}

const OPTIONS = namesOf<EncodeMessagesOptions>({ tools: true, continue_final_message: true, version: true });

/**
 * Options that are known. What templates are told beside them is nothing here: an answer begins by itself.
 * @throws {@link InputError} for others, with the nearest known name
 */
export function messageOptions(options: object, what: string): EncodeMessagesOptions {
  const { add_generation_prompt, continue_final_message, documents, ...rest } = options as Record<string, unknown>;
  if (add_generation_prompt && continue_final_message)
    throw new InputError("add_generation_prompt, continue_final_message: expected one of them, found both");
  if (documents) throw new InputError("documents: messages that are encoded by themselves have none");
  return {
    ...knownOptions(rest, what, OPTIONS),
    ...(continue_final_message === undefined ? {} : { continue_final_message: !!continue_final_message }),
  };
}

/** What is needed of a tokenizer. */
export interface Encoder {
  /** The ids of a text alone, in which nothing is a control token. */
  encode(text: string): number[];
  /** The id of a control token. @throws {@link InputError} when there is none */
  control(token: string): number;
}

/** @throws {@link InputError} when the messages are no conversation of this format */
export function encodeMessages(
  messages: readonly ChatMessage[],
  { tools, continue_final_message = false }: EncodeMessagesOptions,
  format: Format,
  encoder: Encoder,
): number[] {
  // OpenAI's newer name of the role.
  const given = checkMessages(messages).map((message) =>
    message.role === "developer" ? { ...message, role: "system" } : message,
  );
  return new MessageEncoder(given, tools ?? [], continue_final_message, format, encoder).ids();
}

class MessageEncoder {
  private readonly format: Format;
  private readonly encoder: Encoder;
  private readonly turns: readonly Turn[];
  private readonly tools: string | undefined;
  private readonly system: string;
  private readonly firstUser: number;
  private readonly lastUser: number;

  constructor(messages: ChatMessage[], tools: readonly unknown[], open: boolean, format: Format, encoder: Encoder) {
    this.format = format;
    this.encoder = encoder;
    this.turns = readTurns(messages, format, open);
    const json = toolsJSON(tools);
    this.tools = tools.length > 0 && format.calls !== undefined ? json : undefined;
    this.system = format.system === "own" ? "" : systemPrompt(messages);
    this.firstUser = this.turns.findIndex(({ role }) => role === "user");
    this.lastUser = this.turns.findLastIndex(({ role }) => role === "user");
  }

  ids(): number[] {
    const parts = [[this.encoder.control("<s>")]];
    let results = 0; // since the last calls
    for (const [i, turn] of this.turns.entries()) {
      if (turn.role === "assistant" && turn.calls.length > 0) results = 0;
      else results = turn.role === "tool" ? results + 1 : Number.NEGATIVE_INFINITY;
      // v2 forgets what was called before the last question.
      const forgotten = this.format.result === "list" && i < this.lastUser;
      if (turn.role === "system")
        parts.push(this.between("[SYSTEM_PROMPT]", this.chunks(turn.content), "[/SYSTEM_PROMPT]"));
      else if (turn.role === "user") parts.push(this.user(turn.content, i));
      else if (turn.role === "assistant") {
        if (!(forgotten && turn.calls.length > 0)) parts.push(this.assistant(turn));
      } else if (turn.role === "tool" && !forgotten) {
        if (this.format.result === "list" && results > 1)
          throw new InputError(
            `messages: expected one result of a tool in a turn in ${this.format.version}, found more`,
          );
        parts.push(this.between("[TOOL_RESULTS]", this.result(turn), "[/TOOL_RESULTS]"));
      }
    }
    return parts.flat();
  }

  private between(begin: string, ids: readonly number[], end: string): number[] {
    return [this.encoder.control(begin), ...ids, this.encoder.control(end)];
  }

  private user(content: readonly Chunk[], i: number): number[] {
    const { system } = this.format;
    const prompted = i === (system === "first user" ? this.firstUser : this.lastUser) && this.system !== "";
    const text = prompted ? `${this.system}\n\n${textOf(content)}` : textOf(content);
    if (this.format.calls === undefined) return this.encoder.encode(`[INST] ${text} [/INST]`);
    const told = this.tools !== undefined && i === (this.format.tools === "first" ? this.firstUser : this.lastUser);
    return [
      ...(told ? this.between("[AVAILABLE_TOOLS]", this.encoder.encode(this.tools!), "[/AVAILABLE_TOOLS]") : []),
      ...this.between("[INST]", this.encoder.encode(text), "[/INST]"),
    ];
  }

  private assistant({ content, calls, open }: AssistantTurn): number[] {
    if (content.length === 0 && calls.length === 0)
      throw new InputError("messages: expected content or tool_calls of the assistant, found neither");
    if (!this.format.calls_and_content && content.length > 0 && calls.length > 0)
      throw new InputError(
        `messages: expected content or tool_calls in one turn in ${this.format.version}, found both`,
      );
    const text = content.every((chunk) => "text" in chunk) ? textOf(content) : undefined;
    return [
      ...(text === undefined
        ? this.chunks(content)
        : this.encoder.encode(this.format.calls === undefined ? text : stripEnd(text, " "))),
      ...this.calls(calls),
      ...(open ? [] : [this.encoder.control("</s>")]),
    ];
  }

  private chunks(content: readonly Chunk[]): number[] {
    return content.flatMap((chunk) => {
      if ("text" in chunk) return this.encoder.encode(chunk.text);
      const ids = [this.encoder.control("[THINK]"), ...this.encoder.encode(chunk.thinking)];
      return chunk.closed ? [...ids, this.encoder.control("[/THINK]")] : ids;
    });
  }

  private calls(calls: readonly Call[]): number[] {
    if (calls.length === 0) return [];
    const { encoder } = this;
    if (this.format.calls === "list") {
      const withId = this.format.call_ids !== "none";
      const list = calls.map(({ name, arguments: given, id }) =>
        jsonObject({
          name: toPythonJSON(name, ""),
          arguments: given,
          ...(withId && id !== undefined ? { id: toPythonJSON(id, "") } : {}),
        }),
      );
      return [encoder.control("[TOOL_CALLS]"), ...encoder.encode(jsonList(list))];
    }
    return calls.flatMap(({ name, arguments: given, id }) => [
      encoder.control("[TOOL_CALLS]"),
      ...encoder.encode(name),
      ...(this.format.calls === "named" && id !== undefined
        ? [encoder.control("[CALL_ID]"), ...encoder.encode(id)]
        : []),
      encoder.control("[ARGS]"),
      ...encoder.encode(given),
    ]);
  }

  private result({ content, id, name }: ResultTurn): number[] {
    const { encoder } = this;
    switch (this.format.result) {
      case "list":
        return encoder.encode(jsonList([jsonObject({ name: toPythonJSON(name ?? null, ""), content })]));
      case "object":
        return encoder.encode(jsonObject({ content, call_id: toPythonJSON(id, "") }));
      case "id and text":
        return [...encoder.encode(id!), encoder.control("[TOOL_CONTENT]"), ...encoder.encode(content)];
      case "text":
        return encoder.encode(content);
    }
  }
}
