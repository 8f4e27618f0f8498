// What a model's answer calls: the text before, and the calls, in each of the forms that Mistral's models were trained to
// write.
//
//   [TOOL_CALLS] [{"name": "f", "arguments": {…}, "id": "…"}, …]               v2, v3, v7
//   [TOOL_CALLS]f[CALL_ID]…[ARGS]{…}[TOOL_CALLS]g[ARGS]{…}                     v11; from v13 on without ids
import { InputError } from "../errors.ts";
import { endOfJSON } from "./python_json.ts";

/** A call in the form of OpenAI's API, but for the arguments, which are an object as transformers and templates have them. */
export interface ToolCall {
  /** Where the model wrote one, or one was asked for. */
  id?: string;
  type: "function";
  function: { name: string; arguments: unknown };
}

/** An answer taken apart: a message of the assistant's, to be put behind the conversation. */
export interface ParsedAnswer {
  role: "assistant";
  /** What is no call, broken calls among it. */
  content: string;
  tool_calls: ToolCall[];
  /** What is wrong with a call that was not understood. Its text is in `content`, from its mark on. */
  error?: string;
}

export interface ParseToolCallsOptions {
  /** Give calls without an id one of nine random letters and digits, which templates of v3 ask for. Default false. */
  add_ids?: boolean;
}

const MARK = "[TOOL_CALLS]";
const ID = "[CALL_ID]";
const ARGS = "[ARGS]";

/** A stretch of an answer, and whether its text is the model's: a mark that was a token is a mark. */
export type AnswerPart = { readonly text: string } | { readonly mark: string };

/**
 * @param answer - the text of an answer, with its control tokens (`skip_special_tokens: false`)
 * @example
 * parse_tool_calls('[TOOL_CALLS] [{"name": "wind", "arguments": {"at": "noon"}}]').tool_calls[0].function.name; // "wind"
 */
export function parse_tool_calls(answer: string, options: ParseToolCallsOptions = {}): ParsedAnswer {
  if (typeof answer !== "string") throw new InputError(`answer: expected a text, found ${typeof answer}`);
  const parts = answer
    .replace(/<\/s>\s*$/, "")
    .split(/(\[TOOL_CALLS\]|\[CALL_ID\]|\[ARGS\])/)
    .map((text, i) => (i % 2 === 1 ? { mark: text } : { text }));
  return parseAnswer(parts, options);
}

/** The same of an answer whose marks are known apart from its text. */
export function parseAnswer(parts: readonly AnswerPart[], { add_ids = false }: ParseToolCallsOptions): ParsedAnswer {
  const first = parts.findIndex((part) => "mark" in part && part.mark === MARK);
  const textOf = (some: readonly AnswerPart[]) => some.map((part) => ("text" in part ? part.text : part.mark)).join("");
  let content = textOf(first < 0 ? parts : parts.slice(0, first));
  const tool_calls: ToolCall[] = [];
  const errors: string[] = [];
  for (let from = first, to = first; from >= 0 && from < parts.length; from = to) {
    to = from + 1;
    while (to < parts.length && !("mark" in parts[to] && (parts[to] as { mark: string }).mark === MARK)) to++;
    const stretch = parts.slice(from + 1, to);
    try {
      const { calls, rest } = readCalls(stretch, textOf);
      tool_calls.push(...calls);
      content += rest;
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      errors.push(error.message);
      content += MARK + textOf(stretch);
    }
  }
  if (add_ids) for (const call of tool_calls) call.id ??= randomId();
  return { role: "assistant", content, tool_calls, ...(errors.length > 0 ? { error: errors.join("; ") } : {}) };
}

class Malformed extends Error {}

/** The calls behind a mark, and what stands behind them. */
function readCalls(
  stretch: readonly AnswerPart[],
  textOf: (parts: readonly AnswerPart[]) => string,
): { calls: ToolCall[]; rest: string } {
  const whole = textOf(stretch);
  if (/^\s*\[/.test(whole) && !/^\s*\[(?:CALL_ID|ARGS)\]/.test(whole)) {
    const { value, rest } = readJSON(whole, "a list of calls");
    return { calls: (value as unknown[]).map(listedCall), rest };
  }
  const marks = stretch.flatMap((part, i) => ("mark" in part ? [{ mark: part.mark, i }] : []));
  const args = marks.find(({ mark }) => mark === ARGS)?.i;
  const id = marks.find(({ mark, i }) => mark === ID && (args === undefined || i < args))?.i;
  // Without a mark, as where special tokens were skipped, arguments begin at their brace.
  const brace = args === undefined ? whole.indexOf("{") : -1;
  if (args === undefined && brace < 0) throw new Malformed("expected a list of calls, or a name and its arguments, found neither");
  const before = args === undefined ? whole.slice(0, brace) : textOf(stretch.slice(0, id ?? args));
  const name = before.trim();
  if (name === "" || /[\s{}"]/.test(name)) throw new Malformed(`expected the name of a function, found ${JSON.stringify(name)}`);
  const { value, rest } = readJSON(args === undefined ? whole.slice(brace) : textOf(stretch.slice(args + 1)), "arguments");
  const call: ToolCall = { type: "function", function: { name, arguments: value } };
  if (id !== undefined && args !== undefined) call.id = textOf(stretch.slice(id + 1, args)).trim();
  return { calls: [call.id === undefined ? call : { id: call.id, ...call }], rest };
}

function readJSON(text: string, what: string): { value: unknown; rest: string } {
  const end = endOfJSON(text, 0);
  if (end < 0) throw new Malformed(`expected ${what} in JSON, found ${JSON.stringify(text.trim().slice(0, 40))}`);
  const rest = text.slice(end);
  try {
    return { value: JSON.parse(text.slice(0, end)), rest: rest.trim() === "" ? "" : rest };
  } catch {
    throw new Malformed(`expected ${what} in JSON, found NaN or Infinity`); // which Python knows alone
  }
}

function listedCall(entry: unknown, i: number): ToolCall {
  const { name, arguments: given, id } = (entry ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || name === "") throw new Malformed(`expected call ${i} to have a name`);
  return {
    ...(typeof id === "string" ? { id } : {}),
    type: "function",
    function: { name, arguments: given ?? {} },
  };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Of those that share it, 9 in a million: a bias of the remainder that nothing depends on. */
const randomId = (): string =>
  Array.from(crypto.getRandomValues(new Uint32Array(9)), (n) => LETTERS[n % LETTERS.length]).join("");
