// A conversation becomes text by the model's chat template: what transformers' apply_chat_template does before it
// tokenizes. The template itself is run by jinja/render.ts, which says what bounds it.
import { knownOptions } from "../config/option_names.ts";
import { printable, show } from "../config/show.ts";
import { InputError, TokenizerError } from "../errors.ts";
import { warnOnce } from "../platform/warn_once.ts";
import { textOf, withoutParts } from "./content_parts.ts";
import { encodeOptions } from "./encoding.ts";
import { RaisedByTemplate, TemplateError } from "./jinja/limits.ts";
import { render } from "./jinja/render.ts";
import { stripEnd } from "./jinja/strings.ts";

export { TEMPLATE_LIMITS } from "./jinja/limits.ts";

/** A message as the template wants it; `content` is a text or a list of parts. */
export interface ChatMessage {
  role?: string;
  content?: unknown;
  [field: string]: unknown;
}

/** What a chat template is told. */
export interface ChatOptions {
  /** Functions that the model may call, as JSON schemas. @default none */
  tools?: readonly unknown[] | null | undefined;
  /** Texts that the model may use. @default none */
  documents?: readonly unknown[] | null | undefined;
  /** Ends with what begins an answer, where the template has such a thing. @default false */
  add_generation_prompt?: boolean | undefined;
  /** Ends inside the last message, so that the model goes on with it. @default false */
  continue_final_message?: boolean | undefined;
  /** Further variables of the template. */
  [variable: string]: unknown;
}

/** The options of apply_chat_template, but for those of the encoding. */
const callOptions = [
  ...["tools", "documents", "add_generation_prompt", "continue_final_message", "chat_template", "tokenize"],
  ...["return_dict", "split_special_tokens"],
];

/**
 * What a template is told by a call.
 * @throws {@link InputError} for an option that it does not read
 */
export function templateVariables(template: string, options: object): ChatOptions {
  const read = Object.keys(options).filter((name) => template.includes(name));
  for (const [name, value] of Object.entries(options))
    if (["tools", "documents"].includes(name) && !read.includes(name) && (value as unknown[])?.length > 0)
      void warnOnce(name, `apply_chat_template: the template does not read ${name}: the model is not told of them`);
  return knownOptions<ChatOptions>({ ...options }, "apply_chat_template", [...callOptions, ...encodeOptions, ...read]);
}

/** Marks the end of the message to continue. It ends in a space to show whether the template trims. */
const MARK = "CONTINUE_FINAL_MESSAGE_TAG ";

/**
 * @param template - Jinja source
 * @param messages - the conversation; keys whose value is null count as absent
 * @param options - the template's variables, special tokens among them
 * @throws {@link TokenizerError} with its message when the template calls raise_exception; or when it fails otherwise
 * @throws {@link InputError} when there are no messages, or the options exclude each other
 */
export function renderChatTemplate(template: string, messages: readonly ChatMessage[], options: ChatOptions): string {
  if (typeof template !== "string") throw new InputError(`chat_template: expected a string, found ${show(template)}`);
  const {
    add_generation_prompt = false,
    continue_final_message = false,
    tools = null,
    documents = null,
    ...variables
  } = options;
  const given = withoutParts(template, checkMessages(messages));
  if (add_generation_prompt && continue_final_message)
    throw new InputError(
      "add_generation_prompt begins a new message, continue_final_message goes on with the last: expected one of them, found both",
    );
  const conversation = continue_final_message ? [...given.slice(0, -1), mark(given[given.length - 1])] : given;
  const text = run(template, conversation, { ...variables, tools, documents, add_generation_prompt });
  return continue_final_message ? cutAtMark(text) : text;
}

/** @throws {@link InputError} when they are no conversation; keys whose value is null are left out */
export function checkMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  if (!Array.isArray(messages)) throw new InputError(`messages: expected a list of messages, found ${show(messages)}`);
  if (messages.length === 0) throw new InputError("messages: expected at least one message, found none");
  return messages.map((message, i) => {
    if (typeof message !== "object" || message === null || Array.isArray(message))
      throw new InputError(`messages[${i}]: expected an object with role and content, found ${show(message)}`);
    return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  });
}

function mark(message: ChatMessage): ChatMessage {
  const { content } = message;
  if (typeof content === "string") return { ...message, content: content + MARK };
  const at = Array.isArray(content) ? content.findLastIndex((part) => typeof part?.text === "string") : -1;
  if (at < 0) throw new InputError("continue_final_message: expected text in the last message, found none");
  const parts = [...(content as { text: string }[])];
  parts[at] = { ...parts[at], text: parts[at].text + MARK };
  return { ...message, content: parts };
}

function cutAtMark(text: string): string {
  const at = text.lastIndexOf(MARK.trimEnd());
  if (at < 0) throw new InputError("continue_final_message: the chat template leaves the last message's text out");
  return text.startsWith(MARK, at) ? text.slice(0, at) : stripEnd(text.slice(0, at));
}

function run(template: string, messages: readonly ChatMessage[], variables: Readonly<Record<string, unknown>>): string {
  try {
    return render(template, { ...variables, messages });
  } catch (cause) {
    const why = reason(template, messages, cause instanceof RaisedByTemplate);
    if (cause instanceof RaisedByTemplate) throw new TokenizerError(cause.message + why, { cause });
    const message = cause instanceof TemplateError ? cause.message : printable(String(cause));
    throw new TokenizerError(`chat template: ${message}${why}`, { cause });
  }
}

/** What of the messages it probably was that a template has refused or failed at; it may speak of something else. */
function reason(template: string, messages: readonly ChatMessage[], raised: boolean): string {
  if (raised && messages[0].role === "system" && !template.includes("system"))
    return ` (this template has no role "system": put its text before that of the first user message)`;
  const without = messages.findIndex(({ content, tool_calls }) => content === undefined && tool_calls === undefined);
  if (without >= 0) return ` (messages[${without}] has no content)`;
  for (const [i, { content }] of messages.entries()) {
    const other = Array.isArray(content) ? content.findIndex((part) => textOf(part) === undefined) : -1;
    if (other >= 0) return ` (messages[${i}].content[${other}] is no { type: "text", text })`;
  }
  return "";
}
