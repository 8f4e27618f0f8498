// One message of a conversation, in the form of OpenAI's API, checked and taken apart; and the tools beside it.
// Source: mistral-common 1.13, validator.py and messages.py.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { ChatMessage } from "./chat_template.ts";
import type { Format } from "./mistral_formats.ts";
import { jsonList, jsonObject, rewriteJSON, toPythonJSON } from "./python_json.ts";

/** A stretch of a message's text, or of what the model thought before it. */
export type Chunk = { readonly text: string } | { readonly thinking: string; readonly closed: boolean };

export interface Call {
  readonly id: string | undefined;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface TextTurn {
  readonly role: "system" | "user";
  readonly content: readonly Chunk[];
}

export interface AssistantTurn {
  readonly role: "assistant";
  readonly content: readonly Chunk[];
  readonly calls: readonly Call[];
  /** Whether it is to be gone on with. */
  readonly open: boolean;
}

/** What a tool gave back. */
export interface ResultTurn {
  readonly role: "tool";
  readonly content: string;
  readonly id: string | undefined;
  readonly name: string | undefined;
}

export type Turn = TextTurn | AssistantTurn | ResultTurn;

const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const CALL_ID = /^[a-zA-Z0-9]{9}$/;

/**
 * @param continued - whether it is the assistant's, and gone on with
 * @throws {@link InputError} naming the message and what is wrong with it
 */
export function readTurn(message: ChatMessage, where: string, format: Format, continued: boolean): Turn {
  const { role } = message;
  if (role === "system" || role === "user")
    return { role, content: readContent(message.content, where, format, role === "system") };
  if (role === "tool") return readResult(message, where, format);
  if (role !== "assistant")
    throw new InputError(`${where}.role: expected system, user, assistant or tool, found ${show(role)}`);
  const calls = readCalls(message.tool_calls, `${where}.tool_calls`, format);
  const content = message.content == null ? [] : readContent(message.content, where, format, true);
  const thought = message.reasoning_content ?? message.reasoning;
  if (thought !== undefined)
    content.unshift(...readContent([{ type: "thinking", thinking: thought }], where, format, true));
  if (!format.calls_and_content && hasContent(content) === calls.length > 0)
    throw new InputError(`${where}: expected content or tool_calls, found ${calls.length > 0 ? "both" : "neither"}`);
  return { role, content, calls, open: continued || message.prefix === true };
}

const hasContent = (content: readonly Chunk[]): boolean =>
  content.some((chunk) => !("text" in chunk) || chunk.text !== "");

function readContent(content: unknown, where: string, format: Format, thinks: boolean): Chunk[] {
  if (typeof content === "string") return [{ text: content }];
  if (!Array.isArray(content))
    throw new InputError(`${where}.content: expected a text or a list of parts, found ${show(content)}`);
  return content.map((part, i) => {
    if (part?.type === "text" && typeof part.text === "string") return { text: part.text };
    if (thinks && format.thinking && part?.type === "thinking" && typeof part.thinking === "string")
      return { thinking: part.thinking, closed: part.closed !== false };
    const kinds = thinks && format.thinking ? "text or thinking" : "text";
    throw new InputError(
      `${where}.content[${i}]: expected a part of ${kinds} in ${format.version}, found ${show(part?.type ?? part)}`,
    );
  });
}

function readCalls(value: unknown, where: string, format: Format): Call[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new InputError(`${where}: expected a list, found ${show(value)}`);
  if (value.length > 0) needTools(format, where);
  return value.map((call, i) => {
    const { name, arguments: given } = call?.function ?? {};
    checkName(name, `${where}[${i}].function.name`);
    return {
      id: readId(call.id, `${where}[${i}].id`, format),
      name,
      arguments: readArguments(given, `${where}[${i}].function.arguments`),
    };
  });
}

/** An object, or its JSON; what is no JSON stays a text. */
function readArguments(given: unknown, where: string): string {
  if (given === undefined || given === null) return "{}";
  if (typeof given === "string") return jsonOf(given);
  if (typeof given === "object" && !Array.isArray(given)) return toPythonJSON(given, where);
  throw new InputError(`${where}: expected an object or its JSON, found ${show(given)}`);
}

/** A text that is JSON as such, any other as a string. */
const jsonOf = (text: string): string => (text === "" ? "{}" : (rewriteJSON(text) ?? toPythonJSON(text, "")));

function readResult(message: ChatMessage, where: string, format: Format): Turn {
  needTools(format, where);
  const { name, content } = message;
  if (name !== undefined && name !== null) checkName(name, `${where}.name`);
  const id = readId(message.tool_call_id, `${where}.tool_call_id`, format);
  const text = textOf(readContent(content, where, format, false));
  return {
    role: "tool",
    content: format.results_as_json ? jsonOf(text) : text,
    id,
    name: (name as string | null) ?? undefined,
  };
}

function needTools({ version, calls }: Format, where: string): void {
  if (calls === undefined) throw new InputError(`${where}: expected no tools in ${version}, which has none`);
}

function checkName(name: unknown, where: string): void {
  if (typeof name !== "string" || !NAME.test(name))
    throw new InputError(`${where}: expected 1 to 64 letters, digits, _ and -, found ${show(name)}`);
}

function readId(id: unknown, where: string, { call_ids, version }: Format): string | undefined {
  const text = typeof id === "string" && id !== "" && id !== "null" ? id : undefined;
  if (call_ids === "nine" && !CALL_ID.test(text ?? ""))
    throw new InputError(`${where}: expected 9 letters and digits in ${version}, found ${show(id)}`);
  if (call_ids === "any" && text === undefined)
    throw new InputError(`${where}: expected a text in ${version}, found ${show(id)}`);
  return text;
}

/** Text parts, each a paragraph. */
export const textOf = (content: readonly Chunk[]): string =>
  content.flatMap((chunk) => ("text" in chunk && chunk.text !== "" ? [chunk.text] : [])).join("\n\n");

/**
 * Tools as models have seen them: JSON, with the fields in this order.
 * @throws {@link InputError} naming the tool and what is wrong with it
 */
export function toolsJSON(tools: readonly unknown[]): string {
  if (!Array.isArray(tools)) throw new InputError(`tools: expected a list, found ${show(tools)}`);
  return jsonList(
    tools.map((tool, i) => {
      const where = `tools[${i}].function`;
      const given = tool?.function;
      if (typeof given !== "object" || given === null)
        throw new InputError(`${where}: expected an object with name and parameters, found ${show(given)}`);
      const { name, description = "", parameters = {} } = given;
      checkName(name, `${where}.name`);
      if (typeof (description ?? "") !== "string")
        throw new InputError(`${where}.description: expected a text, found ${show(description)}`);
      if (typeof parameters !== "object" || Array.isArray(parameters))
        throw new InputError(`${where}.parameters: expected a schema, found ${show(parameters)}`);
      return jsonObject({
        type: toPythonJSON("function", where),
        function: jsonObject({
          name: toPythonJSON(name, where),
          description: toPythonJSON(description ?? "", where),
          parameters: toPythonJSON(parameters ?? {}, `${where}.parameters`),
        }),
      });
    }),
  );
}
