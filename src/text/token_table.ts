// All tokens of a tokenizer: the vocabulary's own and those added to it, which of them are special, and which are found in
// a text as they stand.
import { show } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { Literals } from "./literals.ts";
import { ROLES, type TokenizerConfig } from "./special_tokens.ts";
import type { AddedToken, Vocabulary } from "./vocabulary.ts";

export interface TokenTable {
  readonly ids: ReadonlyMap<string, number>;
  readonly tokens: ReadonlyMap<number, string>;
  /** Ids that `skip_special_tokens` leaves out. */
  readonly special: ReadonlySet<number>;
  /** Found in the text as given, and in the normalized text. */
  readonly literals: Literals;
  readonly normalizedLiterals: Literals;
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
    added.set(id, token); // tokenizer_config.json has the last word
  }
  // What has a role is special, whether or not it is listed as such.
  const plain = { normalized: undefined, single_word: false, lstrip: false, rstrip: false };
  for (const role of ROLES) {
    const content = config.tokens[role];
    const id = content === undefined ? undefined : ids.get(content);
    if (content !== undefined && id !== undefined)
      added.set(id, { id, content, ...plain, ...added.get(id), special: true });
  }
  const all = [...added.values()];
  const normalized = all.flatMap((token) =>
    token.normalized === undefined ? [] : [[token.normalized, token] as const],
  );
  return {
    ids,
    tokens,
    special: new Set(all.filter(({ special }) => special).map(({ id }) => id)),
    literals: new Literals(all.filter((t) => t.normalized === undefined).map((token) => [token.content, token])),
    normalizedLiterals: new Literals(normalized),
  };
}
