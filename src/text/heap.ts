// A heap of numbers, the smallest on top.

export class Heap {
  size = 0;
  private readonly keys: Float64Array;

  /** @param room - numbers that it holds at most */
  constructor(room: number) {
    this.keys = new Float64Array(room);
  }

  push(key: number): void {
    const { keys } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent] <= key) break;
      keys[at] = keys[parent];
      at = parent;
    }
    keys[at] = key;
  }

  /** Takes the smallest. */
  pop(): number {
    const { keys } = this;
    const top = keys[0];
    const key = keys[--this.size];
    for (let at = 0; ; ) {
      let child = 2 * at + 1;
      if (child + 1 < this.size && keys[child + 1] < keys[child]) child++;
      if (child >= this.size || keys[child] >= key) {
        keys[at] = key;
        return top;
      }
      keys[at] = keys[child];
      at = child;
    }
  }

  clear(): void {
    this.size = 0;
  }
}
