// Instances that can be called like functions, as those of transformers.js: model({ input_ids }), tokenizer(text).

/** Makes an instance callable: a call is `_call`. Nothing is evaluated, which pages may forbid. */
export abstract class Callable {
  constructor() {
    const self = (...args: unknown[]) => (self as unknown as { _call(...args: unknown[]): unknown })._call(...args);
    // biome-ignore lint/correctness/noConstructorReturn: the instance is the function
    return Object.setPrototypeOf(self, new.target.prototype);
  }
  /** @internal */
  abstract _call(...args: never[]): unknown;
}
