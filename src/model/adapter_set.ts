// The adapters that a sequence has: what its keys and values depend on beside its tokens.
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";

/** One of them, by what it is called and by what it does: its matrices and scale. */
export interface AdapterMark {
  readonly name: string;
  readonly fingerprint: string;
}

export interface AdapterSet {
  /** By which threads know them, ascending. */
  readonly ids: readonly number[];
  readonly marks: readonly AdapterMark[];
}

export const noAdapters: AdapterSet = { ids: [], marks: [] };

/** Whether two sets give the same keys, whatever they are called. */
export function sameAdapters(a: readonly AdapterMark[], b: readonly AdapterMark[]): boolean {
  const [kept, wanted] = [a, b].map((marks) => marks.map(({ fingerprint }) => fingerprint).sort());
  return kept.length === wanted.length && kept.every((fingerprint, i) => fingerprint === wanted[i]);
}

/** The set in words. */
export const nameAdapters = (marks: readonly AdapterMark[]): string =>
  marks.length === 0 ? "no adapter" : `adapter ${marks.map(({ name }) => showName(name)).join(" and ")}`;

/** @throws {@link InputError} when keys of one set are to be gone on with under another */
export function checkAdapters(row: number, kept: readonly AdapterMark[], wanted: readonly AdapterMark[]): void {
  if (sameAdapters(kept, wanted)) return;
  const again = kept.some(({ name }) => wanted.some((other) => other.name === name))
    ? " (of other values or scale)"
    : "";
  throw new InputError(
    `past_key_values: row ${row} was computed with ${nameAdapters(kept)}, and this call has ${nameAdapters(wanted)}${again}: their keys differ; begin a new cache`,
  );
}
