// The conversation: its messages, the answer that grows, what went wrong.
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Answer } from "../state/answer.ts";
import { answering, failure, retry } from "../state/answering.ts";
import { current } from "../state/conversations.ts";
import { FaultCard } from "./fault.tsx";
import { GrowingMarkdown } from "./markdown.tsx";
import { AssistantMessage, UserMessage } from "./message.tsx";
import { Welcome } from "./welcome.tsx";

/** How far from its end the conversation still follows what is written, in pixels. */
const NEAR = 80;

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const { messages, id } = current.value;
  const answer = answering.value?.conversation === id ? answering.value : undefined;
  // What is kept of the answer while it grows is shown by the answer itself.
  const shown = messages.filter((message) => message.id !== answer?.id);
  const follow = () => {
    const element = scroller.current;
    if (element && follows.current) element.scrollTop = element.scrollHeight;
  };
  useLayoutEffect(() => {
    follows.current = true;
    follow();
  }, [id, shown.length, answer]);
  return (
    <div
      class="thread"
      ref={scroller}
      onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => {
        follows.current = scrollHeight - scrollTop - clientHeight < NEAR;
      }}
    >
      {shown.length === 0 && !answer ? (
        <Welcome />
      ) : (
        <ol class="messages" aria-label="Conversation">
          {shown.map((message, i) =>
            message.role === "user" ? (
              <UserMessage key={message.id} message={message} />
            ) : (
              <AssistantMessage key={message.id} message={message} last={!answer && i === shown.length - 1} />
            ),
          )}
          {answer && <GrowingAnswer key={answer.id} answer={answer} onGrow={follow} />}
          {!answer && <Unanswered />}
        </ol>
      )}
    </div>
  );
}

function GrowingAnswer({ answer, onGrow }: { answer: Answer; onGrow: () => void }) {
  const { doing, tokens, rate } = answer;
  return (
    <li class="message assistant" aria-busy="true">
      <h2 class="unseen">Answer</h2>
      <GrowingMarkdown answer={answer} onGrow={onGrow} />
      <p class="figures live">
        <span class="pulse" aria-hidden="true" />
        {doing.value !== "" ? `${doing.value}…` : `${tokens.value} tokens`}
        {rate.value !== undefined && ` · ${rate.value.toFixed(1)} tokens/s`}
      </p>
    </li>
  );
}

/** Where the last message has no answer: why, and how it gets one. */
function Unanswered() {
  const { id, messages } = current.value;
  const fault = failure.value?.conversation === id ? failure.value.fault : undefined;
  const open = messages.at(-1)?.role === "user";
  if (!fault && !open) return null;
  return (
    <li class="message assistant">
      {fault ? (
        <FaultCard fault={fault} action={{ label: fault.fatal ? "Start again" : "Try again", run: retry }} />
      ) : (
        <div class="row">
          <p class="hint">This message has no answer yet.</p>
          <button type="button" class="button quiet" onClick={retry}>
            Answer it
          </button>
        </div>
      )}
    </li>
  );
}
