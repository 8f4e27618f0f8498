// Tokens that are added to a model's vocabulary, by the rules of Hugging Face's tokenizers: what is known keeps its id, what
// is not has the next; what is added again has its new options.
import { show } from "../config/show.ts";
import { count, flag, object, short, string, wrong } from "./fields.ts";
import { type NormalizerStep, normalize } from "./text_form.ts";
import { type AddedToken, MAX_ID } from "./vocabulary.ts";

/** A token as files describe it. */
export interface TokenDescription {
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** One that only has a text. */
export const plainToken = (content: string, special: boolean): TokenDescription => ({
  content,
  special,
  normalized: !special,
  single_word: false,
  lstrip: false,
  rstrip: false,
});

/** An entry of `added_tokens`, of `added_tokens_decoder`, or a special token with options. @throws TokenizerError */
export function readToken(value: unknown, where: string): TokenDescription {
  const token = object(value, where);
  const special = flag(token.special, `${where}.special`, false);
  return {
    content: short(string(token.content, `${where}.content`), `${where}.content`),
    special,
    normalized: flag(token.normalized, `${where}.normalized`, !special),
    single_word: flag(token.single_word, `${where}.single_word`, false),
    lstrip: flag(token.lstrip, `${where}.lstrip`, false),
    rstrip: flag(token.rstrip, `${where}.rstrip`, false),
  };
}

/** An id as a key of JSON. */
export const readId = (text: string, where: string): number =>
  /^\d+$/.test(text) ? count(Number(text), where, MAX_ID) : wrong(where, "an id", text);

export class AddedTokens {
  private readonly ids: ReadonlyMap<string, number>;
  private readonly normalizer: readonly NormalizerStep[] | undefined;
  private readonly tokens = new Map<number, AddedToken>();
  private readonly known = new Map<string, number>();
  private next: number;

  /**
   * @param ids - the model's own vocabulary
   * @param normalizer - what makes the form that normalized tokens are found by; undefined where all are found as they are
   * @param tokens - those that are added already
   */
  constructor(
    ids: ReadonlyMap<string, number>,
    normalizer: readonly NormalizerStep[] | undefined,
    tokens: readonly AddedToken[] = [],
  ) {
    this.ids = ids;
    this.normalizer = normalizer;
    this.next = ids.size;
    for (const token of tokens) this.put(token);
  }

  get list(): AddedToken[] {
    return [...this.tokens.values()];
  }

  /** The options of the token of an id; undefined where it is not among those added. */
  get(content: string): AddedToken | undefined {
    return this.tokens.get(this.known.get(content) ?? -1);
  }

  /** @param id - for what is new, instead of the next one */
  add({ content, normalized, special, ...options }: TokenDescription, id = this.next): void {
    if (content === "") return;
    const before = this.get(content);
    const form =
      normalized && this.normalizer ? normalize(content, this.normalizer, `added token ${show(content)}`) : undefined;
    this.put({
      ...options,
      id: before?.id ?? this.ids.get(content) ?? id,
      content,
      // What was special once stays so, and what was decoded by its normalized form.
      special: special || !!before?.special,
      decoded: form === undefined || form === content ? before?.decoded : form,
      normalized: form,
    });
  }

  /** Has `skip_special_tokens` leave a token out. */
  setSpecial(content: string): void {
    const token = this.get(content);
    if (token) this.put({ ...token, special: true });
  }

  private put(token: AddedToken): void {
    this.tokens.set(token.id, token);
    this.known.set(token.content, token.id);
    this.next = Math.max(this.next, token.id + 1);
  }
}

/** @throws TokenizerError when a file gives a token another id than the vocabulary has */
export function checkId(ids: ReadonlyMap<string, number>, content: string, id: number, where: string): void {
  const known = ids.get(content);
  if (known !== undefined && known !== id) wrong(where, `${known}, the id of ${show(content)} in the vocabulary`, id);
}
