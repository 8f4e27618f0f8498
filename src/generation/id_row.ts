// The ids of one row: the prompt, then the new tokens as they come. What a call may ask for at most can be far more than it
// will ever have, so memory follows the tokens that there are.

export class IdRow {
  private data: Int32Array;
  private readonly most: number;
  private readonly pad: number;

  /**
   * @param most - ids at most
   * @param pad - what stands where nothing was set
   */
  constructor(most: number, pad: number) {
    this.most = most;
    this.pad = pad;
    this.data = new Int32Array(Math.min(most, 256)).fill(pad);
  }

  /** Sets ids from index `at` on. */
  set(ids: ArrayLike<number>, at: number): void {
    this.grow(at + ids.length);
    this.data.set(ids, at);
  }

  /** The first `length` ids: a view, which shows what is set later until the row has grown. */
  first(length: number): Int32Array {
    this.grow(length);
    return this.data.subarray(0, length);
  }

  private grow(length: number): void {
    const { data } = this;
    if (length <= data.length) return;
    this.data = new Int32Array(Math.max(length, Math.min(this.most, 2 * data.length))).fill(this.pad, data.length);
    this.data.set(data);
  }
}
