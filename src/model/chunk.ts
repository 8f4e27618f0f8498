// A prompt's chunk on its way: it may pause between two parts, while steps of waiting tokens run.
import type { DraftPart } from "./draft.ts";
import type { PageList } from "./pages.ts";
import type { Sequence } from "./sequence.ts";

export class Chunk {
  readonly parts: readonly DraftPart[];
  readonly rows: number;
  /** Whether the team has it, or it waits to be resumed. */
  posted = false;
  /** When its present part was posted. */
  began = 0;
  /** What its parts took so far, in milliseconds. */
  spent = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Copies of the page lists of sequences that have left: the chunk goes on writing to their pages. */
  private readonly kept: PageList[] = [];

  constructor(parts: readonly DraftPart[]) {
    this.parts = parts;
    this.rows = parts.reduce((sum, { count }) => sum + count, 0);
  }

  has(sequence: Sequence): boolean {
    return this.parts.some((part) => part.sequence === sequence);
  }

  partBegan(): void {
    this.posted = true;
    this.began = performance.now();
  }

  /** Calls back at a time, as `performance.now` counts, unless it was asked to already or the part ends before. */
  pauseAt(time: number, pause: () => void): void {
    this.timer ??= setTimeout(pause, Math.max(0, time - performance.now()));
  }

  /** Keeps the pages of a sequence that leaves from others until the chunk is over. */
  keep({ pages }: Sequence): void {
    this.kept.push(pages.fork());
  }

  /** No thread writes to any of its pages any more. */
  over(): void {
    for (const pages of this.kept.splice(0)) pages.release();
  }

  /** Counts a part that took some milliseconds. */
  partEnded(ms: number): void {
    this.posted = false;
    this.spent += ms;
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
