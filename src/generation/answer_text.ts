// The text of an answer as it comes, and in the end its calls. Where tools may be called, nothing of a call is given as text.
import type { ParsedAnswer, ParseToolCallsOptions, ToolCall } from "../text/tool_calls.ts";
import { TextOutput, type TextTokenizer } from "./text_output.ts";

/** What marks the first call: a control token, or the same text where the vocabulary has none. */
const MARK = "[TOOL_CALLS]";

/** What reads the calls of an answer. */
export interface CallParser {
  parse_tool_calls(answer: number[], options: ParseToolCallsOptions): ParsedAnswer;
}

/** How much of a text stands before a mark, or what may become one. */
function beforeMark(text: string): number {
  const at = text.indexOf(MARK);
  if (at >= 0) return at;
  for (let from = Math.max(0, text.length - MARK.length + 1); from < text.length; from++)
    if (MARK.startsWith(text.slice(from))) return from;
  return text.length;
}

export class AnswerText {
  /** The text that was given. */
  text = "";
  private readonly ids: number[] = [];
  private readonly output: TextOutput;
  private readonly isMark: (id: number) => boolean;
  private readonly parser: CallParser | undefined;
  private marked = false;

  /** @param parser - what reads calls, where there are tools */
  constructor(tokenizer: TextTokenizer, parser: CallParser | undefined) {
    this.parser = parser;
    this.output = new TextOutput(tokenizer, parser ? { limit: beforeMark } : {});
    this.isMark = (id) => parser !== undefined && tokenizer.decode?.([id], { skip_special_tokens: false }) === MARK;
  }

  /** @returns what can be shown by this token */
  push(id: number): string {
    this.ids.push(id);
    this.marked ||= this.isMark(id);
    return this.marked ? "" : this.give(this.output.push(id));
  }

  /** The answer is complete. @returns the text that was held back and belongs to no call, and the calls */
  end(): { rest: string; calls: ToolCall[] } {
    const parsed = this.parser?.parse_tool_calls(this.ids, { add_ids: true });
    const { content = "", tool_calls: calls = [] } = parsed ?? {};
    const plain = !this.marked && calls.length === 0;
    const rest = plain ? this.output.end() : content.startsWith(this.text) ? content.slice(this.text.length) : "";
    return { rest: this.give(rest), calls };
  }

  private give(text: string): string {
    this.text += text;
    return text;
  }
}
