// Where messages are written: Enter sends, Shift+Enter begins a line, Escape stops the answer.
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { answering, refusal, send, stop } from "../state/answering.ts";
import { current } from "../state/conversations.ts";
import { keep, kept } from "../state/kept.ts";
import { Icon } from "./icons.tsx";
import { ModelLine } from "./model_line.tsx";

/** On phones Enter begins a line: there is a button beside it, and no Shift. */
const touch = matchMedia("(pointer: coarse) and (hover: none)");

export function Composer() {
  const text = useSignal(kept("draft", ""));
  /** Whether what stands in the way of sending is told. */
  const refused = useSignal(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const { id } = current.value;
  const fit = () => {
    const element = box.current!;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, 240)}px`;
  };
  useLayoutEffect(fit, [text.value]);
  useLayoutEffect(() => {
    if (!touch.matches) box.current!.focus();
  }, [id]);
  const write = (value: string) => {
    text.value = value;
    refused.value = false;
    keep("draft", value === "" ? undefined : value);
  };
  const submit = () => {
    const sent = text.value;
    if (sent.trim() === "") return;
    if (refusal() !== undefined) {
      refused.value = true;
      return;
    }
    write("");
    box.current!.focus();
    void send(sent).then((taken) => {
      if (!taken && text.value === "") write(sent);
    });
  };
  const busy = answering.value !== undefined;
  const reason = refused.value ? refusal() : undefined;
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {reason !== undefined && (
        <p class="hint bad refusal" role="alert">
          {reason}
        </p>
      )}
      <div class="composer-box">
        <label class="unseen" for="message-box">
          Message
        </label>
        <textarea
          id="message-box"
          ref={box}
          rows={1}
          placeholder="Write a message"
          aria-describedby="composer-help"
          enterkeyhint="send"
          value={text.value}
          onInput={(event) => write(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing || touch.matches) return;
            event.preventDefault();
            submit();
          }}
        />
        <div class="composer-buttons">
          <button
            type="button"
            class="round stop"
            aria-label="Stop"
            title="Stop (Escape)"
            disabled={!busy}
            onClick={stop}
          >
            <Icon name="stop" />
          </button>
          <button
            type="submit"
            class="round send"
            aria-label="Send"
            title="Send (Enter)"
            disabled={busy || text.value.trim() === ""}
          >
            <Icon name="send" />
          </button>
        </div>
      </div>
      <div class="composer-foot">
        <ModelLine />
        <p id="composer-help" class="hint keys">
          <kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> begins a line, <kbd>Esc</kbd> stops
        </p>
      </div>
    </form>
  );
}
