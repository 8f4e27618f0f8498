// Which special tokens stand around a text, and around a pair of texts: TemplateProcessing of tokenizer.json.
import { TokenizerError } from "../errors.ts";
import { TEXT_LIMITS } from "./limits.ts";

/** A special token, or the place of the first (A) or second (B) text. */
export type TemplateItem =
  | { readonly ids: readonly number[]; readonly type_id: number }
  | { readonly text: "A" | "B"; readonly type_id: number };

export interface SequenceTemplate {
  readonly single: readonly TemplateItem[];
  readonly pair: readonly TemplateItem[];
}

/** Nothing around the texts. */
export const BARE: SequenceTemplate = {
  single: [{ text: "A", type_id: 0 }],
  pair: [
    { text: "A", type_id: 0 },
    { text: "B", type_id: 1 },
  ],
};

/** `<s> A </s>` and `<s> A </s> <s> B </s>`, each special token only where it is given. */
export function surround(bos: number | undefined, eos: number | undefined): SequenceTemplate {
  const around = (text: "A" | "B", typeId: number): TemplateItem[] => [
    ...(bos === undefined ? [] : [{ ids: [bos], type_id: typeId }]),
    { text, type_id: typeId },
    ...(eos === undefined ? [] : [{ ids: [eos], type_id: typeId }]),
  ];
  return { single: around("A", 0), pair: [...around("A", 0), ...around("B", 1)] };
}

/**
 * @param where - what to call it in messages
 * @throws {@link TokenizerError} when it says more around a text, or says a text oftener, than any in use
 */
export function checkTemplate(items: readonly TemplateItem[], where: string): void {
  const places = items.filter((item) => "text" in item).length;
  for (const [found, most, what] of [
    [addedCount(items), TEXT_LIMITS.template, "special tokens"],
    [places, TEXT_LIMITS.places, "places of a text"],
  ] as const)
    if (found > most) throw new TokenizerError(`${where}: expected at most ${most} ${what}, found ${found}`);
}

/** How many special tokens a template adds. */
export const addedCount = (items: readonly TemplateItem[]): number =>
  items.reduce((n, item) => n + ("ids" in item ? item.ids.length : 0), 0);

/** A row of ids with the number of the text that each belongs to. */
export interface Row {
  readonly ids: readonly number[];
  readonly type_ids: readonly number[];
}

export function applyTemplate(items: readonly TemplateItem[], a: readonly number[], b: readonly number[]): Row {
  const ids: number[] = [];
  const typeIds: number[] = [];
  for (const item of items) {
    for (const id of "ids" in item ? item.ids : item.text === "A" ? a : b) {
      ids.push(id);
      typeIds.push(item.type_id);
    }
  }
  return { ids, type_ids: typeIds };
}
