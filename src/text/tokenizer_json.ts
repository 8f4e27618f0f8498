// Reads tokenizer.json in the forms that SentencePiece BPE vocabularies are stored in: the normalizer Prepend + Replace,
// or the pre-tokenizer Metaspace. A part of any other kind is refused by name, since ignoring it would change ids.
import { printable, show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { AddedTokens, readToken } from "./added_tokens.ts";
import type { DecoderForm } from "./decoder.ts";
import { atMost, count, flag, isCount, list, object, short, string, wrong } from "./fields.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { MergeTable } from "./merges.ts";
import { BARE, checkTemplate, type SequenceTemplate, type TemplateItem } from "./sequence_template.ts";
import type { Metaspace, NormalizerStep, Replacement } from "./text_form.ts";
import { byteIds, MAX_ID, type Vocabulary } from "./vocabulary.ts";

/** How deep a Sequence of normalizers or decoders may nest. */
const MAX_DEPTH = 4;

/**
 * @param json - the parsed file
 * @param source - its path, for messages
 * @throws {@link TokenizerError} naming the part that is damaged or not supported
 */
export function readTokenizerJSON(json: unknown, source: string): Vocabulary {
  const file = object(json, source);
  const model = object(file.model, `${source}: model`);
  const ids = readVocab(model, source);
  const normalizer = sequence(file.normalizer, "normalizers", `${source}: normalizer`).map(({ part, where }) =>
    readNormalizer(part, where),
  );
  const added = new AddedTokens(ids, normalizer);
  for (const [i, value] of list(file.added_tokens ?? [], `${source}: added_tokens`).entries()) {
    const where = `${source}: added_tokens[${i}]`;
    count(object(value, where).id, `${where}.id`, MAX_ID); // which tokenizers does not heed
    added.add(readToken(value, where));
  }
  const known = new Map([...ids, ...added.list.map((token) => [token.content, token.id] as const)]);
  const decoders = sequence(file.decoder, "decoders", `${source}: decoder`);
  return {
    source,
    ids,
    merges: MergeTable.fromList(readMerges(model.merges, `${source}: model.merges`), ids, source),
    byte_ids: flag(model.byte_fallback, `${source}: model.byte_fallback`, false) ? byteIds(ids, source) : undefined,
    unk_id: readUnknown(model.unk_token, ids, source),
    fuse_unk: flag(model.fuse_unk, `${source}: model.fuse_unk`, false),
    added_tokens: added.list,
    defaults: readPadding(file, source),
    text_form: {
      normalizer,
      metaspace: file.pre_tokenizer
        ? readMetaspace(object(file.pre_tokenizer, `${source}: pre_tokenizer`), `${source}: pre_tokenizer`)
        : undefined,
    },
    template: file.post_processor
      ? readTemplate(object(file.post_processor, `${source}: post_processor`), known, `${source}: post_processor`)
      : BARE,
    decoder: readDecoder(decoders, `${source}: decoder`),
  };
}

function readVocab(model: Readonly<Record<string, unknown>>, source: string): Map<string, number> {
  if (model.type !== undefined && model.type !== "BPE") wrong(`${source}: model.type`, '"BPE"', model.type);
  if (model.dropout) wrong(`${source}: model.dropout`, "none", model.dropout);
  if (model.ignore_merges) wrong(`${source}: model.ignore_merges`, "false", model.ignore_merges);
  for (const name of ["continuing_subword_prefix", "end_of_word_suffix"])
    if (model[name]) wrong(`${source}: model.${name}`, "none", model[name]);
  const ids = new Map<string, number>();
  const taken = new Map<number, string>();
  for (const [token, id] of Object.entries(object(model.vocab, `${source}: model.vocab`))) {
    const other = taken.get(id as number);
    // What to call it takes longer than all else, and is seldom needed.
    if (other !== undefined || token.length > TEXT_LIMITS.token || !isCount(id, MAX_ID)) {
      const where = `${source}: model.vocab[${show(token)}]`;
      count(id, where, MAX_ID);
      short(token, where);
      wrong(where, `an id of its own, not that of ${show(other)}`, id);
    }
    ids.set(token, id as number);
    taken.set(id as number, token);
  }
  return ids;
}

function readUnknown(token: unknown, ids: ReadonlyMap<string, number>, source: string): number | undefined {
  if (token === null || token === undefined) return undefined;
  return (
    ids.get(string(token, `${source}: model.unk_token`)) ??
    wrong(`${source}: model.unk_token`, "a token of model.vocab", token)
  );
}

/** Two tokens and a space. */
const LONGEST_MERGE = 2 * TEXT_LIMITS.token + 1;

const isCharacter = (text: string): boolean => text.length <= 2 && [...text].length === 1;

/** Merges are written `"a b"`, or `["a", "b"]` since tokenizers 0.20. */
export const readMerges = (merges: unknown, where: string): [string, string][] =>
  list(merges, where).map((merge, i) => {
    const parts = typeof merge === "string" && merge.length <= LONGEST_MERGE ? merge.split(" ") : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || parts.some((part) => typeof part !== "string" || part === ""))
      return wrong(`${where}[${i}]`, "two tokens", merge);
    return parts as [string, string];
  });

/** What a file says of padding and truncation holds where tokenizer_config.json is silent. */
function readPadding(file: Readonly<Record<string, unknown>>, source: string): Record<string, unknown> {
  const sideOf = (part: Readonly<Record<string, unknown>>, where: string) =>
    string(part.direction ?? "right", `${where}.direction`).toLowerCase();
  const values: Record<string, unknown> = {};
  if (file.padding) {
    const padding = object(file.padding, `${source}: padding`);
    values.pad_token = string(padding.pad_token, `${source}: padding.pad_token`);
    values.padding_side = sideOf(padding, `${source}: padding`);
  }
  if (file.truncation)
    values.truncation_side = sideOf(object(file.truncation, `${source}: truncation`), `${source}: truncation`);
  return values;
}

interface Part {
  readonly part: Readonly<Record<string, unknown>>;
  readonly where: string;
}

/** A part or the parts of a Sequence, nested or not, in order. */
function sequence(value: unknown, key: string, where: string, depth = 0): Part[] {
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

function readNormalizer(part: Readonly<Record<string, unknown>>, where: string): NormalizerStep {
  if (part.type === "Prepend") return { prepend: short(string(part.prepend, `${where}.prepend`), `${where}.prepend`) };
  if (part.type === "Replace") return { replace: readReplacement(part, where) };
  return wrong(`${where}.type`, "Sequence, Prepend or Replace", part.type);
}

function readMetaspace(part: Readonly<Record<string, unknown>>, where: string): Metaspace {
  if (part.type !== "Metaspace") wrong(`${where}.type`, "Metaspace", part.type);
  const replacement = string(part.replacement ?? "▁", `${where}.replacement`);
  if (!isCharacter(replacement)) wrong(`${where}.replacement`, "one character", replacement);
  // Files older than tokenizers 0.15 say add_prefix_space instead.
  const scheme =
    part.prepend_scheme ?? (flag(part.add_prefix_space, `${where}.add_prefix_space`, true) ? "always" : "never");
  if (scheme !== "first" && scheme !== "always" && scheme !== "never")
    return wrong(`${where}.prepend_scheme`, "first, always or never", scheme);
  return { replacement, prepend_scheme: scheme, split: flag(part.split, `${where}.split`, true) };
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

/** Replace, any number of times, then ByteFallback, Fuse and Strip, each at most once and in this order. */
function readDecoder(parts: readonly Part[], where: string): DecoderForm {
  const order = ["Replace", "ByteFallback", "Fuse", "Strip"];
  const replace: Replacement[] = [];
  let byteFallback = false;
  let fused = false;
  let strip = { content: " ", count: 0 };
  let last = -1;
  for (const { part, where: at } of parts) {
    const step = order.indexOf(part.type as string);
    if (step < 0) wrong(`${at}.type`, `Sequence, ${order.join(", ")}`, part.type);
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
      `${where}: expected a Sequence that holds Fuse, found ${parts.map(({ part }) => show(part.type)).join(", ") || "none"}`,
    );
  return { where, replace, byte_fallback: byteFallback, strip };
}
