// A prompt's chunk on its way: it may pause between two parts, while steps of waiting tokens run.
import type { DraftPart } from "./draft.ts";
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

  /** Counts a part that took some milliseconds. */
  partEnded(ms: number): void {
    this.posted = false;
    this.spent += ms;
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
