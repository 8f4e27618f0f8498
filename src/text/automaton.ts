// Finds where in a text patterns begin, in one pass whatever they are: Aho and Corasick's automaton, run from the text's
// end to its beginning over the patterns' reversals, so that at every place the longest pattern that begins there is known.
//
//   patterns ab, abc, b over "xabc":   place 3: none, 2: b, 1: abc (and ab), 0: none

export class Automaton {
  /** Nodes are numbered level by level, a node's children in a row by their unit: those of node i are from children[i] on. */
  private readonly units: Uint16Array;
  private readonly children: Int32Array;
  /** The node of the longest proper suffix that is in the tree. */
  private readonly fail: Int32Array;
  /** The pattern that a node spells, −1 where it spells none. */
  private readonly pattern: Int32Array;
  /** The nearest node on the way of `fail`, itself included, that spells a pattern; 0 for none. */
  private readonly spells: Int32Array;
  /** Whether a unit ends a pattern, by unit. */
  private readonly ends = new Uint8Array(65536);

  /** @param patterns - different from each other, none empty */
  constructor(patterns: readonly string[]) {
    const units = patterns.reduce((sum, pattern) => sum + pattern.length, 0);
    const room = units + 1;
    this.units = new Uint16Array(room);
    this.children = new Int32Array(room + 1);
    this.pattern = new Int32Array(room).fill(-1);
    const unit = (i: number, depth: number) => patterns[i].charCodeAt(patterns[i].length - 1 - depth);
    const order = Int32Array.from(patterns.keys()).sort((a, b) => {
      const [left, right] = [patterns[a].length, patterns[b].length];
      for (let depth = 0; depth < left && depth < right; depth++) {
        const difference = unit(a, depth) - unit(b, depth);
        if (difference !== 0) return difference;
      }
      return left - right;
    });
    // The patterns below each node are a range of `order`.
    const from = new Int32Array(room);
    const to = new Int32Array(room);
    to[0] = order.length;
    let count = 1;
    for (let depth = 0, level = 0; level < count; depth++) {
      const end = count;
      for (; level < end; level++) {
        this.children[level] = count;
        let at = from[level];
        if (at < to[level] && patterns[order[at]].length === depth) this.pattern[level] = order[at++];
        while (at < to[level]) {
          const next = unit(order[at], depth);
          from[count] = at;
          while (at < to[level] && unit(order[at], depth) === next) at++;
          to[count] = at;
          this.units[count++] = next;
        }
      }
    }
    this.children[count] = count;
    for (let node = this.children[0]; node < this.children[1]; node++) this.ends[this.units[node]] = 1;
    this.fail = new Int32Array(count);
    this.spells = new Int32Array(count);
    for (let node = 0; node < count; node++) {
      this.spells[node] = this.pattern[node] >= 0 ? node : this.spells[this.fail[node]];
      for (let child = this.children[node]; child < this.children[node + 1]; child++)
        this.fail[child] = node === 0 ? 0 : this.next(this.fail[node], this.units[child]);
    }
  }

  private child(node: number, unit: number): number {
    let low = this.children[node];
    let high = this.children[node + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.units[middle] < unit) low = middle + 1;
      else high = middle;
    }
    return low < this.children[node + 1] && this.units[low] === unit ? low : 0;
  }

  /** Where `unit` leads from a node. */
  private next(node: number, unit: number): number {
    for (let at = node; at !== 0; at = this.fail[at]) {
      const child = this.child(at, unit);
      if (child !== 0) return child;
    }
    return this.ends[unit] === 1 ? this.child(0, unit) : 0;
  }

  /**
   * Calls back for every place at which a pattern begins, from the last to the first.
   * @param found - is given the place and a node for {@link patternAt}
   */
  scan(text: string, found: (start: number, node: number) => void): void {
    let node = 0;
    for (let i = text.length - 1; i >= 0; i--) {
      node = this.next(node, text.charCodeAt(i));
      const spells = this.spells[node];
      if (spells !== 0) found(i, spells);
    }
  }

  /** The longest pattern of those that a node stands for. */
  patternAt(node: number): number {
    return this.pattern[node];
  }

  /** The node of the next shorter ones; 0 where there is none. */
  shorter(node: number): number {
    return this.spells[this.fail[node]];
  }
}
