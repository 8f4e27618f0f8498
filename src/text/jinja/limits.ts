// What a template may do, counted. The count is the module's own: rendering is synchronous, and every filter, method
// and printed value has to take part in it.
import { printable } from "../../config/show.ts";

export const TEMPLATE_LIMITS = {
  /** UTF-16 units of a template's source; the longest in use have some 20,000. */
  source: 2 ** 16,
  /** Statements and parentheses within each other, as Python allows. */
  depth: 200,
  /** UTF-16 units of any text that a template makes, the rendered one included. */
  text: 2 ** 24,
  /** Items of any list that it makes or loops over. */
  items: 2 ** 16,
  /** Steps in all: one for each node that is evaluated, one for every 4 units of text, four for every item of a list. */
  steps: 2 ** 23,
};

/** Characters of a message that may come from a template: what raise_exception says is often a long sentence. */
const LONGEST_MESSAGE = 1000;

/** What a template did that Python would refuse, that is not supported here, or that goes beyond the limits. */
export class TemplateError extends Error {
  constructor(message: string) {
    super(printable(message, LONGEST_MESSAGE));
  }
}

/** Thrown where a template calls raise_exception. */
export class RaisedByTemplate extends Error {
  constructor(message: string) {
    super(printable(message, LONGEST_MESSAGE));
  }
}

let steps = 0;

/** @throws TemplateError always */
export function fail(problem: string): never {
  throw new TemplateError(problem);
}

/** Runs with a count of its own. */
export function counted<T>(run: () => T): T {
  const outer = steps;
  steps = 0;
  try {
    return run();
  } finally {
    steps = outer;
  }
}

/** Counts work. @throws TemplateError when it is more than a template may do */
export function spend(more: number): void {
  steps += more;
  if (steps > TEMPLATE_LIMITS.steps) throw new TemplateError(`more than ${TEMPLATE_LIMITS.steps} steps`);
}

/** Counts a text, before it is made where it can be much longer than what it is made of. */
export function countText(length: number, more = length): void {
  if (length > TEMPLATE_LIMITS.text)
    throw new TemplateError(`a text of ${length} characters; at most ${TEMPLATE_LIMITS.text} are allowed`);
  spend(more / 4);
}

/** Counts items more of a list of `count`, before they are made where that is possible. */
export function countItems(more: number, count = more): void {
  if (count > TEMPLATE_LIMITS.items)
    throw new TemplateError(`a list of ${count} items; at most ${TEMPLATE_LIMITS.items} are allowed`);
  spend(4 * more);
}
