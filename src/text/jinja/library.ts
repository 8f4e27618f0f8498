// @huggingface/jinja as this folder uses it, with types: the library's own declarations name their files without
// extensions, which Node's module resolution takes for nothing at all.
import * as library from "@huggingface/jinja";

/** A value of the running template. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
  __bool__(): { value: boolean };
}

/** The variables of a block, and through it those of the blocks around it. */
export interface Scope {
  readonly parent?: Scope;
  readonly variables: Map<string, Value>;
  /** Declares a variable with a JSON-like value or a function, and returns it as a Value. */
  set(name: string, value: unknown): Value;
}

/** A node of the syntax tree; which fields it has depends on its type. */
export type Node = { type: string; [field: string]: any };

interface LibraryInterpreter {
  evaluate(node: Node | undefined, scope: Scope): Value;
}

interface Library {
  Environment: new (parent?: Scope) => Scope;
  Interpreter: new (scope?: Scope) => LibraryInterpreter;
}

// Each by its name, so that bundlers leave the rest of the library behind.
export const Environment = (library as unknown as Library).Environment;
export const Interpreter = (library as unknown as Library).Interpreter;
