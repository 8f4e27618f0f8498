// All tokens of a tokenizer: the vocabulary's own and those added to it, which of them are special, and which are found in
// a text as they stand.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { spellText } from "./byte_level.ts";
import { TEXT_LIMITS } from "./limits.ts";
import { Literals, type Piece } from "./literals.ts";
import { LongestLiterals } from "./longest_literals.ts";
import type { TokenizerConfig } from "./special_tokens.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Splits a text at the tokens that are found in it. */
export interface Splitter {
  /** @param spell_special - special tokens are text like other text */
  split(text: string, spell_special?: boolean): Iterable<Piece>;
}

export interface TokenTable {
  readonly ids: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<number, string>;
  /** What the decoder gets of an id, where it is another text. */
  readonly decoded: ReadonlyMap<number, string>;
  /** Ids that `skip_special_tokens` leaves out. */
  readonly special: ReadonlySet<number>;
  /** Found in the text as given, and in the normalized text. */
  readonly literals: Splitter;
  readonly normalizedLiterals: Splitter;
}

/** @throws {@link TokenizerError} when two tokens have one id */
export function tokenTable(vocabulary: Vocabulary, config: TokenizerConfig): TokenTable {
  const ids = new Map(vocabulary.ids);
  const tokens = new Map<number, string>();
  for (const [token, id] of vocabulary.ids) tokens.set(id, token);
  for (const { id, content } of config.added_tokens) {
    const other = tokens.get(id);
    if (other !== undefined && other !== content)
      throw new TokenizerError(
        `${vocabulary.source}: added token ${show(content)}: id ${id} is that of ${show(other)}`,
      );
    ids.set(content, id);
    tokens.set(id, content);
  }
  const all = config.added_tokens;
  const units = all.reduce((sum, { content, normalized = "" }) => sum + content.length + normalized.length, 0);
  if (units > TEXT_LIMITS.added)
    throw new TokenizerError(
      `${vocabulary.source}: expected added tokens of ${TEXT_LIMITS.added} characters at most, found ${units}`,
    );
  const special = all.filter((token) => token.special && token.decoded === undefined).map(({ id }) => id);
  const normalized = all.flatMap((token) =>
    token.normalized === undefined ? [] : [[token.normalized, token] as const],
  );
  const raw = all.filter((token) => token.normalized === undefined);
  return {
    ids,
    tokens,
    decoded: new Map(
      all.flatMap(({ id, content, decoded = vocabulary.plain_added ? spellText(content) : undefined }) =>
        decoded === undefined ? [] : [[id, decoded] as const],
      ),
    ),
    special: new Set([...special, ...(config.special_ids ?? [])]),
    literals: vocabulary.longest_first
      ? new LongestLiterals(raw)
      : new Literals(raw.map((token) => [token.content, token])),
    normalizedLiterals: new Literals(normalized),
  };
}
