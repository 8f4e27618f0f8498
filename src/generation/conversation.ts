// What of a conversation the model is shown: its system prompt where the template wants it, and no more of the oldest turns
// than there is room for.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { textOf } from "../text/content_parts.ts";
import type { ToolCall } from "../text/tool_calls.ts";

/** A message of a conversation, as templates know it. */
export type Message = {
  /** `system`, `user`, `assistant` or `tool`. */
  role: string;
  content: string;
  /** What the assistant calls. */
  tool_calls?: ToolCall[] | undefined;
  /** What a tool gave back: of which call, and the tool's name. */
  tool_call_id?: string | undefined;
  name?: string | undefined;
};

/** The same, as it may be given: its content may be parts, which become one text, a line each. */
export type GivenMessage = Omit<Message, "content"> & {
  content: string | readonly { readonly type: "text"; readonly text: string }[];
};

/** @throws {@link InputError} for what is no message of a text */
export function readMessages(given: readonly GivenMessage[], what: string, least = 0): Message[] {
  if (!Array.isArray(given) || given.length < least)
    throw new InputError(`${what}: expected messages with role and content, found ${show(given)}`);
  return given.map((message: GivenMessage, i) => {
    const { role, content } = Object(message) as Partial<GivenMessage>;
    const texts = Array.isArray(content) ? content.map(textOf) : [content];
    const other = typeof role !== "string" ? "role" : texts.some((text) => typeof text !== "string") && "content";
    if (other) throw new InputError(`${what}[${i}].${other}: expected a text, found ${show({ role, content }[other])}`);
    return { ...message, content: texts.join("\n") };
  });
}

/** Renders messages to ids. @throws what the template does where it refuses them */
export type Encode = (messages: readonly Message[]) => number[];

export const systemOf = (messages: readonly Message[]): Message | undefined =>
  messages[0]?.role === "system" ? messages[0] : undefined;

/** Where the last turn begins: at the last message of the user's; -1 where there is none. */
export const lastTurn = (messages: readonly Message[]): number => messages.findLastIndex(({ role }) => role === "user");

/**
 * The ids of a conversation. A system prompt that the template refuses or leaves out begins the first message of the user's,
 * a paragraph of its own, as in Mistral's own formats.
 */
export function encodeConversation(messages: readonly Message[], encode: Encode): number[] {
  const system = systemOf(messages);
  return encode(system && !takesSystem(system, encode) ? folded(messages) : messages);
}

function takesSystem(system: Message, encode: Encode): boolean {
  const user = { role: "user", content: "Hello" };
  try {
    return encode([system, user]).join() !== encode([user]).join();
  } catch {
    return false; // what it refuses otherwise, too, is told when it renders the whole
  }
}

function folded([{ content }, ...messages]: readonly Message[]): Message[] {
  const first = messages.findIndex(({ role }) => role === "user");
  return messages.map((message, i) =>
    i === first && content !== "" ? { ...message, content: `${content}\n\n${message.content}` } : message,
  );
}

/** The conversation as it is shown where its oldest messages, behind the system prompt, are left out. */
export function withoutOldest(messages: readonly Message[], dropped: number): Message[] {
  const system = systemOf(messages);
  return system ? [system, ...messages.slice(1 + dropped)] : messages.slice(dropped);
}

/**
 * Leaves out whole turns, the oldest first and never the last, until what remains has few enough tokens.
 * @param dropped - messages that are left out already
 * @param fits - whether so many tokens are few enough
 * @returns how many messages are left out then, and the ids of the others
 */
export function dropOldest(
  messages: readonly Message[],
  dropped: number,
  encode: Encode,
  fits: (tokens: number) => boolean,
): { dropped: number; ids: number[] } {
  const first = systemOf(messages) ? 1 : 0;
  const last = lastTurn(messages) - first;
  if (dropped > last) dropped = 0; // turns were taken back meanwhile
  let ids = encodeConversation(withoutOldest(messages, dropped), encode);
  while (!fits(ids.length) && dropped < last) {
    dropped = messages.findIndex(({ role }, i) => i > first + dropped && role === "user") - first;
    ids = encodeConversation(withoutOldest(messages, dropped), encode);
  }
  return { dropped, ids };
}
