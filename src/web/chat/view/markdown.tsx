// An answer's text: complete, or as it grows. The nodes are made by markdown/, which Preact leaves alone.
import { useLayoutEffect, useRef } from "preact/hooks";
import { MarkdownStream } from "../markdown/stream.ts";
import type { Answer } from "../state/answer.ts";

/** A text is shown in parts of so many characters, so that the page is never busy for long. */
const PART = 6000;

/** What was drawn of the last answer while it grew: its nodes are taken over. */
let drawn: { readonly id: string; readonly text: string; readonly nodes: readonly Node[] } | undefined;

export function Markdown({ text, id }: { text: string; id: string }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = root.current!;
    element.replaceChildren();
    if (drawn?.id === id && drawn.text === text) {
      element.append(...drawn.nodes);
      drawn = undefined;
      return undefined;
    }
    const stream = new MarkdownStream(element);
    let at = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const draw = () => {
      stream.push(text.slice(at, (at += PART)));
      if (at < text.length) timer = setTimeout(draw);
      else stream.end();
    };
    draw();
    return () => clearTimeout(timer);
  }, [text, id]);
  return <div class="markdown" ref={root} />;
}

/** Draws once a frame, whatever comes between. */
export function GrowingMarkdown({ answer, onGrow }: { answer: Answer; onGrow: () => void }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = root.current!;
    const stream = new MarkdownStream(element);
    let waiting = answer.text;
    let frame = 0;
    const draw = () => {
      frame = 0;
      stream.push(waiting.slice(0, PART));
      waiting = waiting.slice(PART);
      if (waiting !== "") frame = requestAnimationFrame(draw);
      onGrow();
    };
    draw();
    const leave = answer.listen((piece) => {
      waiting += piece;
      frame ||= requestAnimationFrame(draw);
    });
    return () => {
      leave();
      cancelAnimationFrame(frame);
      if (waiting.length > PART) return; // the page was hidden meanwhile
      stream.push(waiting);
      stream.end();
      drawn = { id: answer.id, text: answer.text, nodes: [...element.childNodes] };
    };
  }, [answer]);
  return <div class="markdown growing" ref={root} />;
}
