// A conversation made ready to be encoded turn by turn: messages checked, neighbours of one role joined, what is called and
// what came back as JSON. Messages have the form of OpenAI's API.
// Source: mistral-common 1.13, normalize.py and validator.py (mode "test", which lets the last message be the assistant's
// only to be continued; here it may also end).
import { show, showName } from "../config/show.ts";
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

type Role = Turn["role"];

/** Which roles may follow which. */
const FOLLOWS: Readonly<Record<Role, readonly Role[]>> = {
  system: ["user", "assistant", "system"],
  user: ["assistant", "system", "user"],
  assistant: ["assistant", "user", "tool"],
  tool: ["assistant", "tool", "user"],
};

const NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const CALL_ID = /^[a-zA-Z0-9]{9}$/;

/**
 * @param continue_final_message - the last message is the assistant's, and is gone on with
 * @throws {@link InputError} naming the message and what is wrong with it
 */
export function readTurns(
  messages: readonly ChatMessage[],
  format: Format,
  continue_final_message: boolean,
): readonly Turn[] {
  const last = messages.length - 1;
  const turns = messages.map((message, i) =>
    readTurn(message, `messages[${i}]`, format, continue_final_message && i === last),
  );
  const unfinished = turns.findIndex((turn) => turn.role === "assistant" && turn.open);
  if (unfinished >= 0 && unfinished < last)
    throw new InputError(`messages[${unfinished}].prefix: expected it in the last message alone`);
  if (continue_final_message && turns.at(-1)?.role !== "assistant")
    throw new InputError(
      `continue_final_message: expected the last message to be the assistant's, found one of role ${turns.at(-1)?.role}`,
    );
  checkOrder(turns);
  checkResults(turns, format);
  return joinNeighbours(turns, format);
}

function readTurn(message: ChatMessage, where: string, format: Format, continued: boolean): Turn {
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

function checkOrder(turns: readonly Turn[]): void {
  if (turns.length === 1 && (turns[0].role === "assistant" || turns[0].role === "tool"))
    throw new InputError(`messages: expected a user or system message first, found role ${turns[0].role} alone`);
  for (let i = 1; i < turns.length; i++) {
    const [before, { role }] = [turns[i - 1].role, turns[i]];
    if (!FOLLOWS[before].includes(role))
      throw new InputError(`messages[${i}]: expected ${FOLLOWS[before].join(", ")} after ${before}, found ${role}`);
  }
}

/** Before the assistant speaks again, every call has its result. What the first message calls is not looked at. */
function checkResults(turns: readonly Turn[], { order_results }: Format): void {
  let called: (string | undefined)[] = [];
  let results: (string | undefined)[] = [];
  for (const [i, turn] of turns.entries()) {
    if (i === 0) continue;
    if (turn.role === "tool") {
      if (order_results && (!called.includes(turn.id) || results.includes(turn.id)))
        throw new InputError(
          `messages[${i}].tool_call_id: expected the id of a call without a result, found ${show(turn.id)}`,
        );
      results.push(turn.id);
    } else if (turn.role === "assistant") {
      if (called.length !== results.length)
        throw new InputError(
          `messages[${i}]: expected ${called.length} results of tools before it, found ${results.length}`,
        );
      called = turn.calls.map(({ id }) => id);
      results = [];
      if (order_results && new Set(called).size < called.length)
        throw new InputError(`messages[${i}].tool_calls: expected each id once, found ${show(called.join(", "))}`);
    }
  }
}

function joinNeighbours(turns: readonly Turn[], format: Format): Turn[] {
  const joined: Turn[] = [];
  let latest: (string | undefined)[] = []; // ids of calls since the last results
  for (let from = 0, to = 0; from < turns.length; from = to) {
    const { role } = turns[from];
    while (to < turns.length && turns[to].role === role) to++;
    const group = turns.slice(from, to);
    if (role === "tool") {
      joined.push(...(format.order_results ? inOrder(group, latest) : group));
      latest = [];
    } else if (role === "system") {
      if (format.system === "own") joined.push(...group.map((turn) => ({ ...turn, content: merged([turn]) }) as Turn));
    } else if (role === "user") joined.push({ role, content: merged(group) });
    else {
      const assistant = group.filter((turn) => turn.role === "assistant");
      const calls = assistant.flatMap((turn) => turn.calls);
      joined.push({ role, content: merged(group), calls, open: assistant.some(({ open }) => open) });
      latest.push(...calls.map(({ id }) => id));
    }
  }
  if (format.system !== "own" && joined[0]?.role !== "user") joined.unshift({ role: "user", content: [] });
  return joined;
}

/** Neighbouring texts as paragraphs of one; thoughts stay apart. */
function merged(turns: readonly Turn[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (const chunk of turns.flatMap((turn) => turn.content as readonly Chunk[])) {
    const last = chunks.at(-1);
    if (!("text" in chunk)) chunks.push(chunk);
    else if (chunk.text !== "" && last && "text" in last)
      chunks[chunks.length - 1] = { text: `${last.text}\n\n${chunk.text}` };
    else if (chunk.text !== "") chunks.push(chunk);
  }
  return chunks;
}

/** Results in the order of their calls. */
function inOrder(results: readonly Turn[], ids: readonly (string | undefined)[]): Turn[] {
  const place = (turn: Turn) => {
    const at = "id" in turn ? ids.lastIndexOf(turn.id) : -1;
    return at < 0 ? ids.length : at;
  };
  return [...results].sort((a, b) => place(a) - place(b));
}

/** The system messages as one prompt, for formats that put it into a user's message. */
export function systemPrompt(messages: readonly ChatMessage[]): string {
  const contents = messages.flatMap(({ role, content }) =>
    role === "system" && (content as string).length > 0 ? [content] : [],
  );
  return contents.map((content) => (typeof content === "string" ? content : textOf(content as Chunk[]))).join("\n\n");
}

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
        throw new InputError(`${where}.parameters: expected a schema, found ${showName(show(parameters))}`);
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
