// Sequences that were taken out of the scheduler while steps with them are on their way.
import type { Sequence } from "./sequence.ts";

export class Removals {
  private readonly leaving = new Map<Sequence, { readonly left: Promise<void>; readonly leave: () => void }>();

  has(sequence: Sequence): boolean {
    return this.leaving.has(sequence);
  }

  /** @returns when the last step with it is over */
  add(sequence: Sequence): Promise<void> {
    let entry = this.leaving.get(sequence);
    if (!entry) {
      let leave = () => {};
      const left = new Promise<void>((resolve) => {
        leave = resolve;
      });
      entry = { left, leave };
      this.leaving.set(sequence, entry);
    }
    return entry.left;
  }

  /** Counts a step with a sequence as over. @returns whether the sequence was taken out meanwhile */
  stepOver(sequence: Sequence): boolean {
    sequence.posted--;
    const entry = this.leaving.get(sequence);
    if (entry && sequence.posted === 0) {
      this.leaving.delete(sequence);
      entry.leave();
    }
    return entry !== undefined;
  }
}
