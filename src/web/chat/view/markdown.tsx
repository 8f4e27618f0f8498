// An answer's text: complete, or as it grows. The nodes are made by markdown/, which Preact leaves alone.
import { useLayoutEffect, useRef } from "preact/hooks";
import { MarkdownStream } from "../markdown/stream.ts";
import type { Answer } from "../state/answer.ts";

export function Markdown({ text }: { text: string }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = root.current!;
    element.replaceChildren();
    const stream = new MarkdownStream(element);
    stream.push(text);
    stream.end();
  }, [text]);
  return <div class="markdown" ref={root} />;
}

/** Draws once a frame, whatever comes between. */
export function GrowingMarkdown({ answer, onGrow }: { answer: Answer; onGrow: () => void }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const stream = new MarkdownStream(root.current!);
    let waiting = answer.text;
    let frame = 0;
    const draw = () => {
      frame = 0;
      stream.push(waiting);
      waiting = "";
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
    };
  }, [answer]);
  return <div class="markdown growing" ref={root} />;
}
