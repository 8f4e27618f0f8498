// Asking and answering: what Send, Stop, Retry and an edited message do. One answer at a time, in one tab at a time for each
// conversation; what it has so far is kept every two seconds, so that a reload in the middle loses little.
import { signal } from "@preact/signals";
import type { LoadedModel, TurnResult } from "../engine.ts";
import { randomSeed } from "../sampling.ts";
import { Answer } from "./answer.ts";
import { type ChatMessage, type Conversation, type Figures, newId, saidIn, titleOf } from "./conversation.ts";
import { add, change, current, isKept, latest, show, traces } from "./conversations.ts";
import { type Fault, faultOf, isAbort } from "./faults.ts";
import { lost, model, modelName, ready, refreshInfo } from "./model.ts";
import { sampling, settingFaults } from "./settings.ts";
import { keepShown } from "./traces.ts";
import { notify, readAloud, say } from "./view.ts";

const KEEP_MS = 2000;

/** The answer that grows now. */
export const answering = signal<Answer | undefined>(undefined);

/** What went wrong with the last message of a conversation. */
export const failure = signal<{ readonly conversation: string; readonly fault: Fault } | undefined>(undefined);

/** Why nothing can be sent now, in words. */
export function refusal(): string | undefined {
  const busy = answering.value;
  if (busy)
    return busy.conversation === current.value.id ? "The answer is being written" : "Another chat is being answered";
  if (settingFaults.value.size > 0) return `Settings: ${[...settingFaults.value.values()][0]}`;
  return undefined;
}

export function stop(): void {
  answering.value?.controller.abort();
}

/** Sends a message in the conversation that is shown. @returns whether it was taken: another tab may be answering there */
export async function send(content: string): Promise<boolean> {
  if (content.trim() === "" || refusal() !== undefined) return false;
  return answerTo(current.value, (messages) => ({ before: messages, content }));
}

/** Answers the last message again; with a seed that was set, by the next one. */
export function retry(): void {
  const { messages } = current.value;
  const last = lastQuestion(messages);
  if (last < 0 || refusal() !== undefined) return;
  const { seed } = sampling.value;
  if (seed !== null && messages.length > last + 1) sampling.value = { ...sampling.value, seed: seed + 1 };
  else if (model.value.is === "ready" && model.value.loaded.greedy(sampling.value))
    notify("The likeliest token is always taken, so the answer is the same. A temperature (Settings) varies it.");
  void answerTo(current.value, (messages) => {
    const last = lastQuestion(messages);
    return last < 0 ? undefined : { before: messages.slice(0, last), content: messages[last].content };
  });
}

const lastQuestion = (messages: readonly ChatMessage[]): number =>
  messages.findLastIndex(({ role }) => role === "user");

/** Puts another text in the place of a message of the user's, and answers it; what came after it goes. */
export function edit(id: string, content: string): boolean {
  if (content.trim() === "" || refusal() !== undefined) return false;
  void answerTo(current.value, (messages) => {
    const at = messages.findIndex((message) => message.id === id);
    return at < 0 ? undefined : { before: messages.slice(0, at), content };
  });
  return true;
}

/** What is to be answered, and after what: of the messages as they are once no other tab answers. */
type Question = (messages: readonly ChatMessage[]) => { before: readonly ChatMessage[]; content: string } | undefined;

/** Runs something while no other tab answers in the same conversation. @param run - is told whether that is so */
async function alone(conversation: string, run: (alone: boolean) => Promise<void>): Promise<void> {
  if (!navigator.locks) await run(true);
  else
    await navigator.locks.request(`tramontane-chat:${conversation}`, { ifAvailable: true }, (lock) =>
      run(lock !== null),
    );
}

/** @returns whether it is answered here, as soon as that is known */
function answerTo(conversation: Conversation, question: Question): Promise<boolean> {
  const { id } = conversation;
  const answer = new Answer(newId(), id);
  answering.value = answer;
  failure.value = undefined;
  return new Promise((taken) => {
    const run = async (alone: boolean) => {
      // What this tab shows may be older than what another has kept.
      const now = alone ? await latest(conversation) : undefined;
      const asked = now && question(now.messages);
      taken(asked !== undefined);
      if (asked) await answerAlone(answer, now, asked.before, asked.content);
      else if (!alone)
        notify("This chat is being answered in another tab. Wait for it, or stop it there.", { bad: true });
    };
    alone(id, run)
      .catch((error) => {
        failure.value = { conversation: id, fault: faultOf(error) };
      })
      .finally(() => {
        answering.value = undefined;
        taken(true);
      });
  });
}

/** Keeps the question; the messages behind it go. */
async function ask(
  conversation: Conversation,
  before: readonly ChatMessage[],
  question: ChatMessage,
): Promise<Conversation | undefined> {
  const { id } = conversation;
  const asked = (now: Conversation): Conversation => ({
    ...now,
    title: now.named || before.length > 0 ? now.title : titleOf(question.content),
    messages: [...before, question],
    updated: Date.now(),
  });
  if (isKept(id)) return change(id, asked);
  const fresh = asked(conversation);
  await add(fresh);
  if (current.value.id === id) show(fresh);
  return fresh;
}

async function answerAlone(
  answer: Answer,
  conversation: Conversation,
  before: readonly ChatMessage[],
  content: string,
): Promise<void> {
  const question: ChatMessage = { id: newId(), role: "user", content };
  const asked = await ask(conversation, before, question);
  if (!asked) return; // deleted in another tab
  answer.doing.value = model.value.is === "ready" ? "Reading" : "Waiting for the model";
  const loaded = await ready();
  if (!loaded || answer.controller.signal.aborted) return;
  answer.doing.value = "Reading";
  say("Answering");
  const greedy = loaded.greedy(sampling.value);
  const seed = sampling.value.seed ?? randomSeed();
  const name = modelName.value ?? "";
  const keepAnswer = (result?: TurnResult) =>
    change(conversation.id, (now) => {
      // Only where the question still stands: another tab may have taken it away.
      const at = now.messages.findIndex(({ id }) => id === question.id);
      if (at < 0 || answer.text === "") return now;
      const figures = figuresOf(answer, name, greedy ? undefined : seed, result);
      const message: ChatMessage = { id: answer.id, role: "assistant", content: answer.text, figures };
      return { ...now, messages: [...now.messages.slice(0, at + 1), message], updated: Date.now() };
    });
  let saving: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    saving = saving.then(() => keepAnswer()).then((now) => now || stop());
  }, KEEP_MS);
  let result: TurnResult | undefined;
  try {
    result = await stream(answer, loaded, saidIn(asked.system, before), content, seed);
  } catch (error) {
    failed(error, answer, conversation.id);
  } finally {
    clearInterval(timer);
    await saving;
    if (answer.trace) {
      await traces().keepTrace(answer.trace.stored());
      keepShown(answer.trace);
    }
    if (answer.text === "") await restore(conversation, before, question);
    else {
      await keepAnswer(result);
      const kept = new Set(before.map(({ id }) => id));
      await traces().dropTraces(conversation.messages.map(({ id }) => id).filter((id) => !kept.has(id)));
    }
    await refreshInfo(loaded);
  }
  if (result) readAloud(`${name} has answered`, answer.text);
}

/** Where answering again gave nothing, the answer before stays. */
async function restore(
  { id, messages }: Conversation,
  before: readonly ChatMessage[],
  question: ChatMessage,
): Promise<void> {
  if (messages[before.length]?.content !== question.content) return;
  await change(id, (now) => (now.messages.at(-1)?.id === question.id ? { ...now, messages } : now));
}

async function stream(
  answer: Answer,
  loaded: LoadedModel,
  before: ReturnType<typeof saidIn>,
  content: string,
  seed: number,
): Promise<TurnResult> {
  const turn = loaded.answer({
    ...{ before, content, seed, sampling: sampling.value, signal: answer.controller.signal },
    onPrompt: (loaded, total) => {
      if (loaded < total) answer.doing.value = `Reading, ${loaded} of ${total} tokens`;
    },
    onToken: () => answer.token(),
    onExperts: (choices) => answer.experts(loaded, choices),
  });
  for (;;) {
    const { done, value } = await turn.next();
    if (done) return value;
    answer.push(value);
  }
}

function failed(error: unknown, answer: Answer, conversation: string): void {
  if (isAbort(error, answer.controller.signal)) {
    say("Stopped");
    return;
  }
  const fault = faultOf(error);
  failure.value = { conversation, fault };
  if (fault.fatal) lost(fault);
}

function figuresOf(answer: Answer, model: string, seed: number | undefined, result: TurnResult | undefined): Figures {
  const { prompt_tokens = 0, cached_tokens = 0, dropped = 0, end = "aborted" } = result ?? {};
  return {
    ...{ model, prompt_tokens, cached_tokens, dropped, end, seed, first_ms: answer.first_ms },
    tokens: answer.generated,
    tokens_per_second: answer.tokensPerSecond,
  };
}
