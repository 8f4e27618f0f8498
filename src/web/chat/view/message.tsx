// One message, with what can be done with it.
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { copyText } from "../copy.ts";
import { answering, edit, refusal, retry } from "../state/answering.ts";
import type { ChatMessage, Figures } from "../state/conversation.ts";
import { chosen } from "../state/traces.ts";
import { notify, panel, say } from "../state/view.ts";
import { IconButton } from "./button.tsx";
import { Markdown } from "./markdown.tsx";

const ends: Readonly<Record<string, string>> = {
  length: "cut by its length",
  aborted: "stopped",
  tool_calls: "ends with calls",
};

const count = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? "" : "s"}`;

/** `41 tokens, 12.3 a second` */
export function figuresLine({ tokens, tokens_per_second, end, dropped }: Figures): string {
  const parts = [count(tokens, "token")];
  if (tokens_per_second !== undefined) parts.push(`${tokens_per_second.toFixed(1)} tokens/s`);
  if (end !== undefined && ends[end]) parts.push(ends[end]);
  if (dropped > 0) parts.push("the oldest messages left out");
  return parts.join(" · ");
}

/** The same in full, behind its first line. */
function FiguresLine({ figures }: { figures: Figures }) {
  const { prompt_tokens, cached_tokens, first_ms, seed, dropped, model } = figures;
  const facts: [string, string][] = [["Model", model]];
  if (prompt_tokens > 0) facts.push(["Prompt", `${count(prompt_tokens, "token")}, ${cached_tokens} of them cached`]);
  if (first_ms !== undefined)
    facts.push(["First token", `after ${(first_ms / 1000).toFixed(first_ms < 9_950 ? 2 : 0)} s`]);
  facts.push(["Choice", seed === undefined ? "the likeliest token always" : `sampled, seed ${seed}`]);
  if (dropped > 0) facts.push(["Left out", `the first ${count(dropped, "message")}: the context is full`]);
  return (
    <details class="figures">
      <summary>{figuresLine(figures)}</summary>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

async function copy(text: string): Promise<void> {
  if (await copyText(text)) say("Copied");
  else notify("The browser does not let the page copy.", { bad: true });
}

export function UserMessage({ message }: { message: ChatMessage }) {
  const editing = useSignal(false);
  const button = useRef<HTMLButtonElement>(null);
  const leave = () => {
    editing.value = false;
    setTimeout(() => button.current?.focus());
  };
  if (editing.value) return <Editor message={message} leave={leave} />;
  return (
    <li class="message user" data-message={message.id}>
      <h2 class="unseen">You</h2>
      <div class="bubble">{message.content}</div>
      <div class="tools">
        <IconButton icon="copy" label="Copy" size={16} onClick={() => void copy(message.content)} />
        <IconButton
          icon="edit"
          label="Edit"
          size={16}
          buttonRef={button}
          disabled={answering.value !== undefined}
          onClick={() => {
            editing.value = true;
          }}
        />
      </div>
    </li>
  );
}

function Editor({ message, leave }: { message: ChatMessage; leave: () => void }) {
  const text = useSignal(message.content);
  const box = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    box.current!.focus();
    box.current!.setSelectionRange(text.value.length, text.value.length);
  }, []);
  const submit = () => {
    if (edit(message.id, text.value)) document.querySelector<HTMLElement>("#message-box")?.focus();
    else notify(refusal() ?? "An empty message cannot be sent.", { bad: true });
  };
  return (
    <li class="message user editing" data-message={message.id}>
      <form
        class="editor"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <label class="unseen" for={`edit-${message.id}`}>
          Edited text
        </label>
        <textarea
          id={`edit-${message.id}`}
          ref={box}
          rows={Math.min(10, message.content.split("\n").length + 1)}
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape") {
              event.stopPropagation();
              leave();
            } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              submit();
            }
          }}
        />
        <p class="hint">What comes after this message is replaced by the new answer.</p>
        <div class="row end">
          <button type="button" class="button quiet" onClick={leave}>
            Cancel
          </button>
          <button type="submit" class="button primary">
            Save and answer
          </button>
        </div>
      </form>
    </li>
  );
}

export function AssistantMessage({ message, last }: { message: ChatMessage; last: boolean }) {
  const { figures, id } = message;
  const busy = answering.value !== undefined;
  return (
    <li class="message assistant" data-message={id}>
      <h2 class="unseen">Answer</h2>
      <Markdown text={message.content} id={id} />
      <div class="tools">
        <IconButton icon="copy" label="Copy" size={16} onClick={() => void copy(message.content)} />
        {last && <IconButton icon="retry" label="Retry" size={16} disabled={busy} onClick={retry} />}
        <IconButton
          icon="experts"
          label="Experts of this answer"
          size={16}
          onClick={() => {
            chosen.value = id;
            panel.value = "experts";
          }}
        />
        {figures && <FiguresLine figures={figures} />}
      </div>
    </li>
  );
}
