// How text becomes what the pieces are spelled in: spaces as ▁, and a ▁ in front, in both ways that tokenizer.json files
// have of saying it, as a normalizer (before literals are sought again) and as a pre-tokenizer; or stretches cut by a
// pattern, with bytes spelled as characters.
import { TokenizerError } from "../errors.ts";
import { spellText } from "./byte_level.ts";
import { mostText } from "./limits.ts";
import type { PatternSplitter } from "./splitter.ts";

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

/** How stretches between literals are cut, and spelled, before they are merged one by one. */
export interface PreTokenizer {
  readonly metaspace?: Metaspace | undefined;
  /** One after the other, each cuts what the one before left. */
  readonly splits?: readonly PatternSplitter[];
  /** Whether bytes are spelled as characters then. */
  readonly byte_level?: boolean;
}

export interface TextForm {
  readonly normalizer: readonly NormalizerStep[];
  readonly pre_tokenizer: PreTokenizer;
}

/**
 * @param where - what to call the steps in messages
 * @param most - UTF-16 units that may come of it
 * @throws {@link TokenizerError} when they make far more of the text than it was
 */
export function normalize(
  text: string,
  steps: readonly NormalizerStep[],
  where: string,
  most = mostText(text.length),
): string {
  for (const step of steps) {
    if (!("prepend" in step)) text = replaceAll(text, step.replace, most, where);
    else if (text !== "") {
      if (text.length + step.prepend.length > most) throw tooMuch(most, where);
      text = step.prepend + text;
    }
  }
  return text;
}

/**
 * Every occurrence of a pattern replaced.
 * @param most - UTF-16 units that may come of it
 * @throws {@link TokenizerError} when it would be more, before it is made
 */
export function replaceAll(text: string, { pattern, content }: Replacement, most: number, where: string): string {
  const grows = content.length - pattern.length;
  if (grows > 0 && text.length + Math.floor(text.length / pattern.length) * grows > most) {
    let length = text.length;
    for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + pattern.length))
      if ((length += grows) > most) throw tooMuch(most, where);
  }
  return text.replaceAll(pattern, () => content);
}

const tooMuch = (most: number, where: string): TokenizerError =>
  new TokenizerError(`${where}: expected rules that make at most ${most} characters of such a text, found more`);

/** A surrogate without its other half. */
const halves = /\p{Cs}/gu;

/** @param first - whether this stretch begins the whole text */
export function preTokenize(text: string, form: PreTokenizer, first: boolean): string[] {
  if (text === "") return [];
  const { metaspace, splits = [], byte_level = false } = form;
  let parts = [metaspace || splits.length === 0 ? text : text.replace(halves, "\ufffd")];
  if (metaspace) parts = metaspaceParts(text, metaspace, first);
  for (const split of splits) parts = parts.flatMap((part) => split.split(part));
  return byte_level ? parts.map(spellText) : parts;
}

/** A whole text with its replacement in front, also where one stands there already. */
export const oneStretch = (text: string, { replacement, prepend_scheme }: Metaspace): string =>
  (prepend_scheme === "never" ? "" : replacement) + text.replaceAll(" ", () => replacement);

function metaspaceParts(text: string, form: Metaspace, first: boolean): string[] {
  const { replacement, prepend_scheme, split } = form;
  text = text.replaceAll(" ", () => replacement);
  const wanted = prepend_scheme === "always" || (prepend_scheme === "first" && first);
  if (wanted && !text.startsWith(replacement)) text = replacement + text;
  if (!split) return [text];
  const [head, ...rest] = text.split(replacement);
  return [...(head === "" ? [] : [head]), ...rest.map((part) => replacement + part)];
}
