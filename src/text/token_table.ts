// All tokens of a tokenizer: the vocabulary's own and those added to it, which of them are special, and which are found in
// a text as they stand.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { Literals, type Piece } from "./literals.ts";
import { LongestLiterals } from "./longest_literals.ts";
import { ROLES, type TokenizerConfig } from "./special_tokens.ts";
import type { AddedToken, Vocabulary } from "./vocabulary.ts";

/** Splits a text at the tokens that are found in it. */
export interface Splitter {
  split(text: string): Iterable<Piece>;
}

export interface TokenTable {
  readonly ids: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<number, string>;
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
  const added = new Map<number, AddedToken>();
  for (const token of [...vocabulary.added_tokens, ...config.added_tokens]) {
    const { id, content } = token;
    const other = tokens.get(id);
    if (other !== undefined && other !== content)
      throw new TokenizerError(
        `${vocabulary.source}: added token ${show(content)}: id ${id} is that of ${show(other)}`,
      );
    ids.set(content, id);
    tokens.set(id, content);
    if (!added.has(id)) added.set(id, token);
  }
  // What has a role is special, whether or not it is listed as such; but in a GGUF file its kind says what it is.
  const plain = { normalized: undefined, single_word: false, lstrip: false, rstrip: false };
  for (const role of vocabulary.longest_first ? [] : ROLES) {
    const content = config.tokens[role];
    const id = content === undefined ? undefined : ids.get(content);
    if (content !== undefined && id !== undefined)
      added.set(id, { id, content, ...plain, ...added.get(id), special: true });
  }
  const all = [...added.values()];
  const special = all.filter((token) => token.special).map(({ id }) => id);
  const normalized = all.flatMap((token) =>
    token.normalized === undefined ? [] : [[token.normalized, token] as const],
  );
  const raw = all.filter((token) => token.normalized === undefined);
  const literals = new Literals(raw.map((token) => [token.content, token]));
  return {
    ids,
    tokens,
    special: new Set([...special, ...(config.special_ids ?? [])]),
    literals: vocabulary.longest_first ? new LongestLiterals(raw, literals) : literals,
    normalizedLiterals: new Literals(normalized),
  };
}
