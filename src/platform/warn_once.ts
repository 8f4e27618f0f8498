// Warnings: what does not stop a program, told to its user once while it runs.
import { currentPlatform } from "./index.ts";

const told = new Set<string>();

/** @param about - what it is about, one of a few: told of once */
export async function warnOnce(about: string, text: string): Promise<void> {
  if (told.has(about)) return;
  told.add(about);
  (await currentPlatform()).warn(text);
}
