// How console.log shows objects of this library: in one line, in Node, Bun and Deno.

/**
 * Has console.log show the objects of a class in one line.
 * @param line - what to show of one
 */
export function shownInOneLine<T extends object>(Class: { readonly prototype: T }, line: (object: T) => string): void {
  for (const name of ["nodejs.util.inspect.custom", "Deno.customInspect"])
    Object.defineProperty(Class.prototype, Symbol.for(name), {
      value(this: T): string {
        return line(this);
      },
    });
}
