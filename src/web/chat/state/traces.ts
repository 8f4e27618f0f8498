// Which answer's experts the heat map shows: that of the answer that grows, else of the one that was chosen, else of the last.
import { computed, effect, signal } from "@preact/signals";
import type { Conversation } from "./conversation.ts";
import { current, traces } from "./conversations.ts";
import { Trace } from "./trace.ts";
import { panel } from "./view.ts";

/** The answer that was chosen; undefined is the last. */
export const chosen = signal<string | undefined>(undefined);

const lastAnswer = ({ messages }: Conversation): string | undefined =>
  messages.findLast(({ role }) => role === "assistant")?.id;

export const shownAnswer = computed(() => {
  const { messages } = current.value;
  return messages.some(({ id }) => id === chosen.value) ? chosen.value : lastAnswer(current.value);
});

/** The trace of that answer, where it is there. */
export const shownTrace = signal<Trace | undefined>(undefined);

/** An answer has ended: its trace is shown, without reading it again. */
export function keepShown(trace: Trace): void {
  chosen.value = undefined;
  shownTrace.value = trace;
}

export function watchTraces(): void {
  effect(() => {
    const id = shownAnswer.value;
    if (panel.value !== "experts" || shownTrace.peek()?.id === id) return;
    if (id === undefined) {
      shownTrace.value = undefined;
      return;
    }
    void traces()
      .trace(id)
      .then((stored) => {
        if (shownAnswer.value === id && shownTrace.value?.id !== id) shownTrace.value = stored && Trace.from(stored);
      });
  });
}
