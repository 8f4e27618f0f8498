// A conversation, as it is kept: plain data.
import type { TurnEnd } from "../../../index.ts";
import type { Said } from "../engine.ts";

/** What an answer took. */
export interface Figures {
  readonly model: string;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly tokens: number;
  /** Of the second token and those after it; absent where there were fewer. */
  readonly tokens_per_second?: number | undefined;
  /** Milliseconds to the first token. */
  readonly first_ms?: number | undefined;
  /** Absent where the likeliest token was always taken. */
  readonly seed?: number | undefined;
  /** Messages that the model was not shown, as the context was full. */
  readonly dropped: number;
  readonly end: TurnEnd | undefined;
}

export interface ChatMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly content: string;
  readonly figures?: Figures | undefined;
}

export interface Conversation {
  readonly id: string;
  readonly title: string;
  /** Whether the user gave the title. */
  readonly named: boolean;
  readonly system: string;
  readonly messages: readonly ChatMessage[];
  readonly created: number;
  readonly updated: number;
}

export const newId = (): string => crypto.randomUUID();

export function newConversation(system: string): Conversation {
  const now = Date.now();
  return { id: newId(), title: "New chat", named: false, system, messages: [], created: now, updated: now };
}

/** A title of the first message, until the user gives one. */
export function titleOf(content: string): string {
  const line = content.trim().split("\n")[0].replace(/\s+/g, " ");
  const title = line.length <= 48 ? line : `${line.slice(0, 47).replace(/\s\S*$/, "")}…`;
  return title || "New chat";
}

/** The messages as the library has them, the system prompt first; those of the user's that were never answered are left out. */
export const saidIn = (system: string, messages: readonly ChatMessage[]): Said[] => [
  ...(system.trim() === "" ? [] : [{ role: "system" as const, content: system }]),
  ...messages
    .filter(({ role }, i) => role === "assistant" || messages[i + 1]?.role === "assistant")
    .map(({ role, content }) => ({ role, content })),
];

/** What the terminal's /save writes of the same conversation. */
export const exported = ({ system, messages }: Conversation): string =>
  `${JSON.stringify(saidIn(system, messages), null, 2)}\n`;

/**
 * Reads what `exported` or the terminal's /save has written.
 * @throws an Error that says what was expected
 */
export function imported(text: string, name: string): Conversation {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${name}: expected a conversation in JSON: ${(cause as Error).message}`, { cause });
  }
  const all = Array.isArray(given) ? given : (given as { messages?: unknown } | null)?.messages;
  const isMessage = (message: any) =>
    ["system", "user", "assistant"].includes(message?.role) && typeof message.content === "string";
  if (!Array.isArray(all) || !all.every(isMessage))
    throw new Error(`${name}: expected a list of messages with role (system, user or assistant) and content`);
  const system = all[0]?.role === "system" ? all[0].content : "";
  const messages = all
    .filter(({ role }) => role !== "system")
    .map(({ role, content }): ChatMessage => ({ id: newId(), role, content }));
  const first = messages.find(({ role }) => role === "user");
  return { ...newConversation(system), title: titleOf(first?.content ?? name), messages };
}
