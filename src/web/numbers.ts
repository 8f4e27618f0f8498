// Which numbers an engine knows objects of the page's by.
import type { EngineClient } from "./client.ts";

/** By an engine, its numbers of what the page has. */
const numbers = new WeakMap<EngineClient, WeakMap<object, number>>();

export function numbersOf(client: EngineClient): WeakMap<object, number> {
  let known = numbers.get(client);
  if (!known) numbers.set(client, (known = new WeakMap()));
  return known;
}
