// The barrier of a thread that has no thread of its own, but takes turns with its host: it meets nobody, and stops in the
// midst of a step, of whatever kind, so that its host hears in time of what is asked of it.
import { Barrier } from "./barrier.ts";

/** How long a turn is, about: units of work are done. A turn of others in between costs a tenth of a millisecond. */
const TURN_MS = 40;

export class Turns extends Barrier {
  /** Whether it stopped because the host wanted a pause. */
  paused = false;
  private until = 0;
  private readonly next_turn: (callback: () => void) => void;

  /** @param next_turn - calls back when what is ready to run now has run */
  constructor(control: SharedArrayBuffer, next_turn: (callback: () => void) => void) {
    super(control, 1, 1);
    this.next_turn = next_turn;
  }

  begin(): void {
    this.paused = false;
    this.until = performance.now() + TURN_MS;
  }

  get over(): boolean {
    return performance.now() >= this.until;
  }

  /** Lets the others have theirs, and begins the next. @throws EngineError when the team was ended meanwhile */
  async rest(): Promise<void> {
    await new Promise<void>((resolve) => this.next_turn(resolve));
    this.check();
    this.begin();
  }

  override stops(pausable: boolean): boolean {
    return super.stops(pausable) || this.over;
  }

  override end(pausable: boolean): boolean {
    this.paused = pausable && this.waitOrPause();
    return this.paused || this.over;
  }
}
