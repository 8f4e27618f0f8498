// How long steps take: what the last ones took tells what the next will.

/** From so many rows on a step's time is that of its rows; below, that of reading the weights once. */
const MANY = 16;

/** Weight of the newest figure. */
const NEWEST = 0.3;

export class StepTimes {
  private row_ms: number | undefined;
  private few_ms: number | undefined;

  add(rows: number, ms: number): void {
    const mean = (old: number | undefined, now: number) => (old === undefined ? now : old + NEWEST * (now - old));
    if (rows >= MANY) this.row_ms = mean(this.row_ms, ms / rows);
    else this.few_ms = mean(this.few_ms, ms);
  }

  /** What a step of some rows will take; infinity where nothing is known. */
  of(rows: number): number {
    if (rows >= MANY) return this.row_ms === undefined ? Infinity : rows * this.row_ms;
    return this.few_ms ?? Infinity;
  }

  /** What a step of few rows takes, 0 where nothing is known. */
  get between(): number {
    return this.few_ms ?? 0;
  }
}
