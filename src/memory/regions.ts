// Hands out ranges of a bank and takes them back: a list of free ranges, first fit, neighbours merged.

export class Regions {
  /** Free ranges [start, end), ascending, never touching. */
  private free: [start: number, end: number][];
  private readonly align: number;

  /** @param align - every range is a multiple of it, and so is every address */
  constructor(start: number, end: number, align: number) {
    this.align = align;
    this.free = end > start ? [[start, end]] : [];
  }

  /** The address of `bytes` free bytes, or undefined where there is no such range. */
  take(bytes: number): number | undefined {
    const size = Math.ceil(bytes / this.align) * this.align;
    const i = this.free.findIndex(([start, end]) => end - start >= size);
    if (i < 0) return undefined;
    const [start, end] = this.free[i];
    if (end - start === size) this.free.splice(i, 1);
    else this.free[i] = [start + size, end];
    return start;
  }

  /** Gives back what `take` handed out. */
  give(address: number, bytes: number): void {
    const end = address + Math.ceil(bytes / this.align) * this.align;
    let i = this.free.findIndex(([start]) => start > address);
    if (i < 0) i = this.free.length;
    this.free.splice(i, 0, [address, end]);
    if (i + 1 < this.free.length && this.free[i + 1][0] === end) {
      this.free[i][1] = this.free[i + 1][1];
      this.free.splice(i + 1, 1);
    }
    if (i > 0 && this.free[i - 1][1] === address) {
      this.free[i - 1][1] = this.free[i][1];
      this.free.splice(i, 1);
    }
  }

  /** Bytes free in all. */
  get available(): number {
    return this.free.reduce((sum, [start, end]) => sum + end - start, 0);
  }
}
