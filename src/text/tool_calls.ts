// What a model's answer calls: the text before, and the calls, in each of the forms that Mistral's models were trained to
// write.
//
//   [TOOL_CALLS] [{"name": "f", "arguments": {…}, "id": "…"}, …]               v2, v3, v7
//   [TOOL_CALLS]f[CALL_ID]…[ARGS]{…}[TOOL_CALLS]g[ARGS]{…}                     v11; from v13 on without ids
import { givenOptions } from "../arguments.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { endOfJSON } from "./python_json.ts";

/** A call in the form of OpenAI's API, but for the arguments, which are an object as transformers and templates have them. */
export interface ToolCall {
  /** Where the model wrote one, or one was asked for. */
  id?: string;
  type: "function";
  function: { name: string; arguments: Record<string, unknown> };
}

/** An answer taken apart: a message of the assistant's, to be put behind the conversation. */
export type ParsedAnswer = {
  role: "assistant";
  /** What is no call, broken calls among it. */
  content: string;
  tool_calls: ToolCall[];
  /** What is wrong with the first call that was not understood. Its text is in `content`, from its mark on. */
  error?: string;
};

/** The options of `parse_tool_calls`. */
export interface ParseToolCallsOptions {
  /** Gives calls without an id one of nine random letters and digits, which templates of v3 ask for. @default false */
  add_ids?: boolean | undefined;
}

const MARK = "[TOOL_CALLS]";
const ID = "[CALL_ID]";
const ARGS = "[ARGS]";

/** A control token in a text. */
export interface Mark {
  readonly token: string;
  readonly at: number;
}

/** The control tokens that an answer's calls are marked by. */
export const MARKS: readonly string[] = [MARK, ID, ARGS];

/**
 * Takes an answer apart. Calls that are broken stay text: nothing of an answer is lost.
 * @param answer - its text, control tokens among it (`skip_special_tokens: false`)
 * @example
 * parse_tool_calls('[TOOL_CALLS] [{"name": "wind", "arguments": {"at": "noon"}}]').tool_calls[0]?.function.name; // "wind"
 */
export function parse_tool_calls(answer: string, options: ParseToolCallsOptions = {}): ParsedAnswer {
  if (typeof answer !== "string") throw new InputError(`answer: expected a text, found ${show(answer)}`);
  const text = answer.replace(/<\/s>\s*$/, "");
  const marks = Array.from(text.matchAll(/\[(?:TOOL_CALLS|CALL_ID|ARGS)\]/g), (m) => ({ token: m[0], at: m.index }));
  return parseMarked(text, marks, options);
}

/**
 * The text of ids in which only control tokens are marks.
 * @param tokens - those that mark, with their ids where the vocabulary has them
 */
export function markedText(
  ids: readonly number[],
  tokens: readonly { readonly token: string; readonly id: number | undefined }[],
  decode: (ids: number[]) => string,
): { text: string; marks: Mark[] } {
  const marks: Mark[] = [];
  let text = "";
  let from = 0;
  for (let to = 0; to < ids.length; to++) {
    const found = tokens.find(({ id }) => id === ids[to]);
    if (!found) continue;
    text += decode(ids.slice(from, to));
    marks.push({ token: found.token, at: text.length });
    text += found.token;
    from = to + 1;
  }
  return { text: text + decode(ids.slice(from)), marks };
}

/** The same of a text whose control tokens are known: others that it spells are text. */
export function parseMarked(text: string, marks: readonly Mark[], given: ParseToolCallsOptions): ParsedAnswer {
  const { add_ids = false } = givenOptions(given, "parse_tool_calls", ["add_ids"]);
  const tool_calls: ToolCall[] = [];
  let error: string | undefined;
  let content = "";
  let done = 0;
  for (let i = 0; i < marks.length; ) {
    const { token, at } = marks[i];
    let next = i + 1;
    while (next < marks.length && marks[next].token !== MARK) next++;
    const inner = marks.slice(i + 1, next);
    i = next;
    if (token !== MARK || at < done) continue; // a text in the arguments before may spell one
    content += between(text.slice(done, at), tool_calls.length > 0);
    const end = marks[next]?.at ?? text.length;
    const reader = new CallReader(text, at + MARK.length, end, inner);
    try {
      for (const call of reader.calls()) tool_calls.push(call);
      done = reader.at;
    } catch (caught) {
      if (!(caught instanceof Malformed)) throw caught;
      error ??= caught.message;
      content += text.slice(at, end);
      done = end;
    }
  }
  content += between(text.slice(done), tool_calls.length > 0);
  if (add_ids) for (const call of tool_calls) call.id ??= randomId();
  return { role: "assistant", content, tool_calls, ...(error === undefined ? {} : { error }) };
}

/** White space behind a call is nothing. */
const between = (text: string, behind: boolean): string => (behind && text.trim() === "" ? "" : text);

class Malformed extends Error {}

/** Reads what stands behind a mark. */
class CallReader {
  private readonly text: string;
  private readonly next: number;
  private readonly marks: readonly Mark[];
  /** As far as it has read. */
  at: number;

  /**
   * @param next - where the next call begins, unless it is in a string of this one
   * @param marks - those until there
   */
  constructor(text: string, at: number, next: number, marks: readonly Mark[]) {
    this.text = text;
    this.at = at;
    this.next = next;
    this.marks = marks;
  }

  /** @throws Malformed */
  calls(): ToolCall[] {
    const list = /\s*\[/y;
    list.lastIndex = this.at;
    const begins = list.test(this.text) ? list.lastIndex - 1 : -1;
    if (begins >= 0 && !this.marks.some(({ at }) => at === begins))
      return (this.json("a list of calls") as unknown[]).map(listedCall);
    return [this.named()];
  }

  private named(): ToolCall {
    const args = this.marks.find(({ token }) => token === ARGS);
    const id = this.marks.find(({ token, at }) => token === ID && args !== undefined && at < args.at);
    // Without a mark, as where special tokens were skipped, arguments begin at their brace.
    const end = id?.at ?? args?.at ?? this.at + this.text.slice(this.at, this.next).indexOf("{");
    if (end < this.at) throw new Malformed("expected a list of calls, or a name and its arguments, found neither");
    const name = this.text.slice(this.at, end).trim();
    if (name === "" || /[\s{}[\]"]/.test(name))
      throw new Malformed(`expected the name of a function, found ${show(name)}`);
    const call = id && { id: this.text.slice(id.at + ID.length, args!.at).trim() };
    this.at = args ? args.at + ARGS.length : end;
    const given = this.json("arguments");
    return { ...call, type: "function", function: { name, arguments: objectOf(given) } };
  }

  private json(what: string): unknown {
    const end = endOfJSON(this.text, this.at);
    const { at, text } = this;
    try {
      if (end >= 0) return JSON.parse(text.slice(at, (this.at = end)));
    } catch {
      // NaN or Infinity, which Python knows alone.
    }
    throw new Malformed(
      `expected ${what} in JSON, found ${show(text.slice(at, Math.min(this.next, at + 100)).trim())}`,
    );
  }
}

function objectOf(given: unknown): Record<string, unknown> {
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return given as Record<string, unknown>;
  throw new Malformed(`expected arguments to be an object, found ${show(given)}`);
}

function listedCall(entry: unknown, i: number): ToolCall {
  const { name, arguments: given, id } = (entry ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || name === "")
    throw new Malformed(`expected call ${i} to have a name, found ${show(name)}`);
  return {
    ...(typeof id === "string" ? { id } : {}),
    type: "function",
    function: { name, arguments: objectOf(given) },
  };
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const randomId = (): string =>
  Array.from(crypto.getRandomValues(new Uint32Array(9)), (n) => LETTERS[n % LETTERS.length]).join("");
