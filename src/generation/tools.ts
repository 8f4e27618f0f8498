// Tools that a conversation's model may call: what the template is told of them, and what calls give back.
import { isPromise } from "../callbacks.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { ToolCall } from "../text/tool_calls.ts";
import type { Message } from "./conversation.ts";

/** What a tool is told beside its arguments. */
export interface ToolCallContext {
  /** The call's, which its result carries. */
  readonly id: string;
  /** The turn's. */
  readonly signal: AbortSignal | undefined;
}

/** A function that the model may call, in the form of OpenAI's API, and what runs it. */
export interface ChatTool {
  type: "function";
  function: {
    name: string;
    /** What it is for, in words. */
    description?: string | undefined;
    /** Its arguments, as a JSON schema. */
    parameters?: Record<string, unknown> | undefined;
  };
  /**
   * Runs a call. The model is told what it returns, a text as it is, anything else as JSON; what it throws fails the turn.
   * Where a tool has none, the turn ends with the calls, and the caller sends what they give back.
   * @param args - as the model wrote them: they may be anything
   */
  execute?: ((args: Record<string, unknown>, call: ToolCallContext) => unknown) | undefined;
}

/** @throws {@link InputError} */
export function checkTools(tools: readonly ChatTool[] | undefined): readonly ChatTool[] {
  if (tools === undefined) return [];
  if (!Array.isArray(tools)) throw new InputError(`tools: expected a list, found ${show(tools)}`);
  for (const [i, tool] of tools.entries()) {
    if (typeof tool?.function?.name !== "string")
      throw new InputError(`tools[${i}].function.name: expected a text, found ${show(tool?.function?.name)}`);
    if (tool.execute !== undefined && typeof tool.execute !== "function")
      throw new InputError(`tools[${i}].execute: expected a function, found ${show(tool.execute)}`);
  }
  return tools;
}

/** What the template is told. */
export const described = (tools: readonly ChatTool[]): Omit<ChatTool, "execute">[] =>
  tools.map(({ execute, ...tool }) => tool);

const byName = (tools: readonly ChatTool[], { function: { name } }: ToolCall): ChatTool | undefined =>
  tools.find((tool) => tool.function.name === name);

/** Whether all calls can be answered here: by what runs them, or that there is no such tool. */
export const canRun = (tools: readonly ChatTool[], calls: readonly ToolCall[]): boolean =>
  calls.every((call) => byName(tools, call)?.execute !== undefined || !byName(tools, call));

/** Runs calls, one after the other. @throws what a tool throws; the signal's reason */
export async function runCalls(
  tools: readonly ChatTool[],
  calls: readonly ToolCall[],
  signal: AbortSignal | undefined,
): Promise<Message[]> {
  const results: Message[] = [];
  for (const call of calls) {
    signal?.throwIfAborted();
    const { name, arguments: args } = call.function;
    const id = call.id!;
    const tool = byName(tools, call);
    const given = tool ? tool.execute!(args, { id, signal }) : { error: `there is no tool ${show(name)}` };
    const result = isPromise(given) ? await given : given;
    const content = typeof result === "string" ? result : (JSON.stringify(result) ?? "null");
    results.push({ role: "tool", tool_call_id: id, name, content });
  }
  return results;
}
