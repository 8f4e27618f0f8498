// Small settings that outlast the page, where the browser lets it.
import { effect, type Signal, signal } from "@preact/signals";

export function keep(name: string, value: unknown): void {
  try {
    if (value === undefined || value === null) localStorage.removeItem(`tramontane.${name}`);
    else localStorage.setItem(`tramontane.${name}`, JSON.stringify(value));
  } catch {
    // storage is refused: then they last as long as the page
  }
}

export function kept<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(`tramontane.${name}`);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** A signal whose value outlasts the page. */
export function keptSignal<T>(name: string, otherwise: T): Signal<T> {
  const made = signal(kept(name, otherwise));
  effect(() => keep(name, made.value));
  return made;
}
