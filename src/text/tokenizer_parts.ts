// The parts of a tokenizer.json around its model: normalizer, pre-tokenizer, post-processor and decoder, each one of the kinds
// that Mistral's vocabularies have, or refused by name.
import { printable, show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import type { Decoder } from "./decoder.ts";
import { atMost, count, flag, list, object, short, string, wrong } from "./fields.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { BARE, checkTemplate, type SequenceTemplate, type TemplateItem } from "./sequence_template.ts";
import { PatternSplitter } from "./splitter.ts";
import type { Metaspace, NormalizerStep, PreTokenizer, Replacement } from "./text_form.ts";
import { MAX_ID } from "./vocabulary.ts";

/** How deep a Sequence may nest. */
const MAX_DEPTH = 4;

const isCharacter = (text: string): boolean => text.length <= 2 && [...text].length === 1;

/** A part with its place, for messages. */
export interface Part {
  readonly part: Readonly<Record<string, unknown>>;
  readonly where: string;
}

/** A part or the parts of a Sequence, nested or not, in order. */
export function sequence(value: unknown, key: string, where: string, depth = 0): Part[] {
  if (value === null || value === undefined) return [];
  const part = object(value, where);
  if (part.type !== "Sequence") return [{ part, where }];
  if (depth === MAX_DEPTH) throw new TokenizerError(`${where}: expected at most ${MAX_DEPTH} levels of Sequence`);
  const parts = atMost(list(part[key], `${where}.${key}`), TEXT_LIMITS.steps, "steps", where);
  const all = parts.flatMap((inner, i) => sequence(inner, key, `${where}.${key}[${i}]`, depth + 1));
  return atMost(all, TEXT_LIMITS.steps, "steps", where) as Part[];
}

function readReplacement(part: Readonly<Record<string, unknown>>, where: string): Replacement {
  const pattern = object(part.pattern, `${where}.pattern`);
  if (typeof pattern.String !== "string" || pattern.String === "")
    wrong(`${where}.pattern`, "a String, not empty", pattern);
  return {
    pattern: short(pattern.String as string, `${where}.pattern`),
    content: short(string(part.content, `${where}.content`), `${where}.content`),
  };
}

export function readNormalizer(part: Readonly<Record<string, unknown>>, where: string): NormalizerStep {
  if (part.type === "Prepend") return { prepend: short(string(part.prepend, `${where}.prepend`), `${where}.prepend`) };
  if (part.type === "Replace") return { replace: readReplacement(part, where) };
  return wrong(`${where}.type`, "Sequence, Prepend or Replace", part.type);
}

/** Metaspace alone; or Split any number of times, then ByteLevel at most once. */
export function readPreTokenizer(value: unknown, where: string): PreTokenizer {
  const parts = sequence(value, "pretokenizers", where);
  if (parts.length === 1 && parts[0].part.type === "Metaspace")
    return { metaspace: readMetaspace(parts[0].part, parts[0].where) };
  const splits: PatternSplitter[] = [];
  let byte_level = false;
  for (const { part, where: at } of parts) {
    if (byte_level) wrong(at, "nothing behind ByteLevel", part.type);
    if (part.type === "Split") splits.push(readSplit(part, at));
    else if (part.type !== "ByteLevel") wrong(`${at}.type`, "Metaspace alone, Split or ByteLevel", part.type);
    else {
      // Its own pattern, and a space in front: what vocabularies before Tekken have.
      for (const name of ["add_prefix_space", "use_regex"])
        if (flag(part[name], `${at}.${name}`, true)) wrong(`${at}.${name}`, "false", true);
      byte_level = true;
    }
  }
  return { splits, byte_level };
}

function readSplit(part: Readonly<Record<string, unknown>>, where: string): PatternSplitter {
  const { Regex: regex } = object(part.pattern, `${where}.pattern`);
  if (typeof regex !== "string") return wrong(`${where}.pattern`, "a Regex", part.pattern);
  const invert = flag(part.invert, `${where}.invert`, false);
  const { behavior } = part;
  if (behavior !== "Isolated" && !(behavior === "Removed" && invert))
    wrong(`${where}.behavior`, "Isolated, or Removed with invert", behavior);
  return new PatternSplitter(regex, behavior === "Isolated", `${where}.pattern`);
}

function readMetaspace(part: Readonly<Record<string, unknown>>, where: string): Metaspace {
  const replacement = string(part.replacement ?? "▁", `${where}.replacement`);
  if (!isCharacter(replacement)) wrong(`${where}.replacement`, "one character", replacement);
  // Files older than tokenizers 0.15 say add_prefix_space instead.
  const scheme =
    part.prepend_scheme ?? (flag(part.add_prefix_space, `${where}.add_prefix_space`, true) ? "always" : "never");
  if (scheme !== "first" && scheme !== "always" && scheme !== "never")
    return wrong(`${where}.prepend_scheme`, "first, always or never", scheme);
  return { replacement, prepend_scheme: scheme, split: flag(part.split, `${where}.split`, true) };
}

/** TemplateProcessing, at most once; ByteLevel only moves offsets. */
export function readPostProcessor(value: unknown, known: ReadonlyMap<string, number>, where: string): SequenceTemplate {
  const parts = sequence(value, "processors", where).filter(({ part }) => part.type !== "ByteLevel");
  if (parts.length > 1) wrong(parts[1].where, "one post-processor beside ByteLevel", parts[1].part.type);
  return parts.length === 0 ? BARE : readTemplate(parts[0].part, known, parts[0].where);
}

function readTemplate(
  part: Readonly<Record<string, unknown>>,
  known: ReadonlyMap<string, number>,
  where: string,
): SequenceTemplate {
  if (part.type !== "TemplateProcessing") wrong(`${where}.type`, "TemplateProcessing", part.type);
  const specials = object(part.special_tokens ?? {}, `${where}.special_tokens`);
  const readIds = (name: string, at: string): number[] => {
    if (!Object.hasOwn(specials, name)) wrong(at, "a name of special_tokens", name);
    const special = object(specials[name], `${where}.special_tokens[${show(name)}]`);
    const tokens = list(special.tokens ?? [], `${at}: tokens`);
    const ids = list(special.ids, `${where}.special_tokens[${show(name)}].ids`);
    return atMost(ids, TEXT_LIMITS.template, "ids", at).map((id, i) => {
      const token = tokens[i];
      if (typeof token === "string" && known.has(token) && known.get(token) !== id)
        wrong(`${at}: id of ${printable(token)}`, `${known.get(token)}`, id);
      return count(id, `${at}: id`, MAX_ID);
    });
  };
  const readItems = (items: unknown, at: string): TemplateItem[] =>
    atMost(list(items, at), TEXT_LIMITS.template, "parts", at).map((value, i) => {
      const item = object(value, `${at}[${i}]`);
      const [kind, ...others] = Object.keys(item);
      if (others.length > 0 || (kind !== "SpecialToken" && kind !== "Sequence"))
        return wrong(`${at}[${i}]`, "a SpecialToken or a Sequence", value);
      const body = object(item[kind], `${at}[${i}].${kind}`);
      const id = string(body.id, `${at}[${i}].${kind}.id`);
      const typeId = count(body.type_id ?? 0, `${at}[${i}].${kind}.type_id`, MAX_ID);
      if (kind === "SpecialToken") return { ids: readIds(id, `${at}[${i}]`), type_id: typeId };
      return id === "A" || id === "B" ? { text: id, type_id: typeId } : wrong(`${at}[${i}].Sequence.id`, "A or B", id);
    });
  const [single, pair] = [readItems(part.single, `${where}.single`), readItems(part.pair, `${where}.pair`)];
  checkTemplate(single, `${where}.single`);
  checkTemplate(pair, `${where}.pair`);
  return { single, pair };
}

/** ByteLevel; or Replace, any number of times, then ByteFallback, Fuse and Strip, each at most once and in this order. */
export function readDecoder(parts: readonly Part[], where: string): Decoder {
  if (parts.length === 1 && parts[0].part.type === "ByteLevel") return "ByteLevel";
  const order = ["Replace", "ByteFallback", "Fuse", "Strip"];
  const replace: Replacement[] = [];
  let byteFallback = false;
  let fused = false;
  let strip = { content: " ", count: 0 };
  let last = -1;
  for (const { part, where: at } of parts) {
    const step = order.indexOf(part.type as string);
    if (step < 0) wrong(`${at}.type`, `Sequence, ${order.join(", ")}, or ByteLevel alone`, part.type);
    if (step < last || (step === last && step > 0)) wrong(at, `the order ${order.join(", ")}`, part.type);
    last = step;
    if (step === 0) replace.push(readReplacement(part, at));
    else if (step === 1) byteFallback = true;
    else if (step === 2) fused = true;
    else {
      if (!fused) wrong(at, "Fuse before Strip", part.type);
      const content = string(part.content, `${at}.content`);
      if (!isCharacter(content)) wrong(`${at}.content`, "one character", content);
      if (count(part.stop ?? 0, `${at}.stop`, MAX_ID) !== 0) wrong(`${at}.stop`, "0", part.stop);
      strip = { content, count: count(part.start ?? 0, `${at}.start`, MAX_ID) };
    }
  }
  if (!fused)
    throw new TokenizerError(
      `${where}: expected ByteLevel, or a Sequence that holds Fuse, found ${parts.map(({ part }) => show(part.type)).join(", ") || "none"}`,
    );
  return { where, replace, byte_fallback: byteFallback, strip };
}
