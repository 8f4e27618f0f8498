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
  /** Declares a variable with a JSON-like value or a function, and returns it as a Value. */
  set(name: string, value: unknown): Value;
  setVariable(name: string, value: Value): Value;
}

/** A node of the syntax tree; which fields it has depends on its type. */
export type Node = { type: string; [field: string]: any };

export interface Token {
  value: string;
  type: string;
}

interface LibraryInterpreter {
  evaluate(node: Node | undefined, scope: Scope): Value;
  run(program: { body: Node[] }): Value;
}

interface Library {
  Environment: new () => Scope;
  Interpreter: new (scope: Scope) => LibraryInterpreter;
  parse(tokens: readonly Token[]): { type: string; body: Node[] };
  tokenize(source: string, options?: { lstrip_blocks?: boolean; trim_blocks?: boolean }): Token[];
}

export const { Environment, Interpreter, parse, tokenize } = library as unknown as Library;
