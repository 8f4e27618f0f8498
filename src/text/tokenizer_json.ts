// Reads tokenizer.json in the forms that Mistral's vocabularies are stored in: the normalizer Prepend + Replace, or the
// pre-tokenizer Metaspace (SentencePiece), or Split and ByteLevel (Tekken). A part of any other kind is refused by name, since
// ignoring it would change ids.
import { show } from "../config/show.ts";
import { AddedTokens, readToken } from "./added_tokens.ts";
import { count, flag, isCount, list, object, short, string, wrong } from "./fields.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { MergeTable, readMerge } from "./merges.ts";
import { readDecoder, readNormalizer, readPostProcessor, readPreTokenizer, sequence } from "./tokenizer_parts.ts";
import { byteIds, MAX_ID, type Vocabulary } from "./vocabulary.ts";

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
  const pre_tokenizer = readPreTokenizer(file.pre_tokenizer, `${source}: pre_tokenizer`);
  return {
    source,
    ids,
    merges: MergeTable.fromList(
      readMerges(model.merges, `${source}: model.merges`),
      ids,
      `${source}: model.merges`,
      "model.vocab",
      !pre_tokenizer.byte_level,
    ),
    whole_from: flag(model.ignore_merges, `${source}: model.ignore_merges`, false) ? 0 : undefined,
    byte_ids: flag(model.byte_fallback, `${source}: model.byte_fallback`, false) ? byteIds(ids, source) : undefined,
    unk_id: readUnknown(model.unk_token, ids, source),
    fuse_unk: flag(model.fuse_unk, `${source}: model.fuse_unk`, false),
    added_tokens: added.list,
    defaults: readPadding(file, source),
    text_form: { normalizer, pre_tokenizer },
    template: readPostProcessor(file.post_processor, known, `${source}: post_processor`),
    decoder: readDecoder(decoders, `${source}: decoder`),
  };
}

function readVocab(model: Readonly<Record<string, unknown>>, source: string): Map<string, number> {
  if (model.type !== undefined && model.type !== "BPE") wrong(`${source}: model.type`, '"BPE"', model.type);
  if (model.dropout) wrong(`${source}: model.dropout`, "none", model.dropout);
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

/** Merges are written `"a b"`, or `["a", "b"]` since tokenizers 0.20. */
export const readMerges = (merges: unknown, where: string): [string, string][] =>
  list(merges, where).map((merge, i) => readMerge(merge, `${where}[${i}]`));

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
