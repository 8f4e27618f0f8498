// What `loop` is within a loop.
import { fail } from "./limits.ts";
import { Bool, equal, Fn, Int, Tuple, UNDEFINED, type Value } from "./values.ts";

/** An iterator with one item of foresight, and what Jinja tells of it. */
export class Loop extends Fn {
  private readonly iterator: Iterator<Value>;
  private readonly depth: number;
  /** What is read already, the next item last. */
  private readonly ahead: Value[] = [];
  private before: Value = UNDEFINED;
  private current: Value = UNDEFINED;
  private index = -1;
  private count: number | undefined;
  private compared: Value | undefined;

  /** @param again - renders the loop's body for other items, where the loop is recursive */
  constructor(
    iterator: Iterator<Value>,
    sized: number | undefined,
    depth: number,
    again: ((items: Value, depth: number) => Value) | undefined,
  ) {
    super((args) => {
      if (!again) return fail("loop(): expected a loop that is recursive");
      if (args.length !== 1) return fail(`loop(): expected 1 argument, found ${args.length}`);
      return again(args[0], depth + 1);
    });
    this.iterator = iterator;
    this.count = sized;
    this.depth = depth;
  }

  /** The next item, or undefined at the end. */
  next(): Value | undefined {
    const next = this.peek();
    if (next === undefined) return undefined;
    this.ahead.pop();
    this.index++;
    this.before = this.current;
    this.current = next;
    return next;
  }

  private peek(): Value | undefined {
    if (this.ahead.length === 0) {
      const { value, done } = this.iterator.next();
      if (!done) this.ahead.push(value);
    }
    return this.ahead.at(-1);
  }

  private get length(): number {
    if (this.count === undefined) {
      this.ahead.reverse();
      for (let next = this.iterator.next(); !next.done; next = this.iterator.next()) this.ahead.push(next.value);
      this.ahead.reverse();
      this.count = this.index + 1 + this.ahead.length;
    }
    return this.count;
  }

  attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return new Int(this.index + 1);
      case "index0":
        return new Int(this.index);
      case "revindex":
        return new Int(this.length - this.index);
      case "revindex0":
        return new Int(this.length - this.index - 1);
      case "length":
        return new Int(this.length);
      case "depth":
        return new Int(this.depth + 1);
      case "depth0":
        return new Int(this.depth);
      case "first":
        return new Bool(this.index === 0);
      case "last":
        return new Bool(this.peek() === undefined);
      case "previtem":
        return this.before;
      case "nextitem":
        return this.peek();
      case "cycle":
        return new Fn((args) => args[this.index % args.length] ?? fail("loop.cycle: expected items"));
      case "changed":
        return new Fn((args) => {
          const given = new Tuple(args);
          const changed = this.compared === undefined || !equal(this.compared, given);
          if (changed) this.compared = given;
          return new Bool(changed);
        });
    }
    return undefined;
  }
}
