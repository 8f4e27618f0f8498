// How text becomes what the pieces are spelled in: spaces as ▁, and a ▁ in front. Both ways that tokenizer.json files
// have of saying it, as a normalizer (before literals are sought again) and as a pre-tokenizer.

export interface Replacement {
  readonly pattern: string;
  readonly content: string;
}

/** A step of the normalizer: text in front of what is not empty, or every occurrence replaced. */
export type NormalizerStep = { readonly prepend: string } | { readonly replace: Replacement };

/** The pre-tokenizer Metaspace. */
export interface Metaspace {
  readonly replacement: string;
  /** Put the replacement in front: of the text's first stretch, of every stretch, never; and only where none stands. */
  readonly prepend_scheme: "first" | "always" | "never";
  /** Whether the text is cut before every replacement, so that no merge spans it. */
  readonly split: boolean;
}

export interface TextForm {
  readonly normalizer: readonly NormalizerStep[];
  readonly metaspace: Metaspace | undefined;
}

export function normalize(text: string, steps: readonly NormalizerStep[]): string {
  for (const step of steps) {
    if (!("prepend" in step)) text = text.replaceAll(step.replace.pattern, () => step.replace.content);
    else if (text !== "") text = step.prepend + text;
  }
  return text;
}

/** @param first - whether this stretch begins the whole text */
export function preTokenize(text: string, form: Metaspace | undefined, first: boolean): string[] {
  if (!form || text === "") return [text];
  const { replacement, prepend_scheme, split } = form;
  text = text.replaceAll(" ", () => replacement);
  const wanted = prepend_scheme === "always" || (prepend_scheme === "first" && first);
  if (wanted && !text.startsWith(replacement)) text = replacement + text;
  if (!split) return [text];
  const [head, ...rest] = text.split(replacement);
  return [...(head === "" ? [] : [head]), ...rest.map((part) => replacement + part)];
}
