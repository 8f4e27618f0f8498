// OpenAI's content parts, { type: "text", text }, in conversations for templates that know texts alone.
import type { ChatMessage } from "./chat_template.ts";

/** A template that reads parts itself has to say what their text is called. */
const READS_PARTS = /\.\s*text\b|\[\s*(["'])text\1\s*\]|\battribute\s*=\s*(["'])text\2/;

/**
 * The messages as a template takes them: parts that are texts become one text, a line each, unless the template reads them
 * itself. Others, pictures and sounds, stay: what becomes of them is the template's business.
 */
export function withoutParts(template: string, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (READS_PARTS.test(template)) return messages;
  return messages.map((message) => {
    const texts = Array.isArray(message.content) ? message.content.map(textOf) : [undefined];
    return texts.includes(undefined) ? message : { ...message, content: texts.join("\n") };
  });
}

/** The text of a part; undefined where it is none. */
export function textOf(part: unknown): string | undefined {
  if (typeof part === "string") return part;
  const { type, text } = Object(part) as { type?: unknown; text?: unknown };
  return type === "text" && typeof text === "string" ? text : undefined;
}
