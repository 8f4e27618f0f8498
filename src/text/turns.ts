// A conversation made ready to be encoded turn by turn: the order of messages checked, neighbours of one role joined, results
// in the order of their calls.
// Source: mistral-common 1.13, normalize.py and validator.py (mode "test", which lets the last message be the assistant's
// only to be continued; here it may also end).
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { ChatMessage } from "./chat_template.ts";
import type { Format } from "./mistral_formats.ts";
import { type Chunk, readTurn, type Turn, textOf } from "./turn.ts";

type Role = Turn["role"];

/** Which roles may follow which. */
const FOLLOWS: Readonly<Record<Role, readonly Role[]>> = {
  system: ["user", "assistant", "system"],
  user: ["assistant", "system", "user"],
  assistant: ["assistant", "user", "tool"],
  tool: ["assistant", "tool", "user"],
};

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
  let joined: Turn[] = [];
  let latest: (string | undefined)[] = []; // ids of calls since the last results
  for (let from = 0, to = 0; from < turns.length; from = to) {
    const { role } = turns[from];
    while (to < turns.length && turns[to].role === role) to++;
    const group = turns.slice(from, to);
    if (role === "tool") {
      joined = joined.concat(format.order_results ? inOrder(group, latest) : group);
      latest = [];
    } else if (role === "system") {
      if (format.system === "own")
        joined = joined.concat(group.map((turn) => ({ ...turn, content: merged([turn]) }) as Turn));
    } else if (role === "user") joined.push({ role, content: merged(group) });
    else {
      const assistant = group.filter((turn) => turn.role === "assistant");
      const calls = assistant.flatMap((turn) => turn.calls);
      joined.push({ role, content: merged(group), calls, open: assistant.some(({ open }) => open) });
      latest = latest.concat(calls.map(({ id }) => id));
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
