// Conversations in files: JSON, a list of messages with role and content, as apply_chat_template takes them.
import { readFile, stat } from "node:fs/promises";
import { printable } from "../../config/show.ts";
import { InputError } from "../../errors.ts";
import type { Message } from "../../generation/conversation.ts";
import { saveFile } from "../../platform/files.ts";
import { currentPlatform } from "../../platform/index.ts";

const MOST_BYTES = 1 << 28;

/** @throws {@link InputError} when it is no conversation; what the file's system says */
export async function loadConversation(path: string): Promise<Message[]> {
  const size = (await stat(path).catch(() => undefined))?.size;
  if (size === undefined) throw new InputError(`${path}: expected a conversation, found nothing`);
  if (size > MOST_BYTES) throw new InputError(`${path}: expected a conversation, found a file of ${size} bytes`);
  let given: unknown;
  try {
    given = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new InputError(`${path}: expected a conversation in JSON: ${printable((cause as Error).message)}`, { cause });
  }
  const messages = Array.isArray(given) ? given : (given as { messages?: unknown } | null)?.messages;
  const isMessage = (message: any) => typeof message?.role === "string" && typeof message.content === "string";
  if (!Array.isArray(messages) || !messages.every(isMessage))
    throw new InputError(`${path}: expected a list of messages with role and content`);
  return messages;
}

/** Writes a file as a whole, or not at all. @throws {@link InputError} where another kind of file is there */
export async function saveConversation(path: string, messages: readonly Message[]): Promise<void> {
  if (await stat(path).catch(() => undefined))
    await loadConversation(path).catch((cause) => {
      throw new InputError(`${path}: something else is there: give another name`, { cause });
    });
  const bytes = new TextEncoder().encode(`${JSON.stringify(messages, null, 2)}\n`);
  await saveFile(await currentPlatform(), path, (file) => file.write(bytes));
}
