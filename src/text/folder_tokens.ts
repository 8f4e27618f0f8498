// The tokens of a Hugging Face folder: tokenizer.json's own, and those that the files beside it add, by the rules of
// transformers 5. Where tokenizer_config.json lists added tokens (`added_tokens_decoder`), it counts alone; else
// special_tokens_map.json counts before it, and added_tokens.json adds, as old versions wrote them.
import { AddedTokens, checkId, plainToken, readId, readToken, type TokenDescription } from "./added_tokens.ts";
import { count, list, object, wrong } from "./fields.ts";
import type { AddedToken, Vocabulary } from "./vocabulary.ts";
import { MAX_ID } from "./vocabulary.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A parsed file and its path, for messages. */
export interface ParsedFile {
  readonly json: unknown;
  readonly source: string;
}

export interface TokenFiles {
  readonly tokenizer_config?: ParsedFile;
  readonly special_tokens_map?: ParsedFile;
  readonly added_tokens?: ParsedFile;
}

/** The standard roles, in the order in which their tokens are added. */
const STANDARD = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** A special token: its text where that is all a file says of it. */
type Special = string | TokenDescription;

export interface FolderTokens {
  /** Special tokens by role (`bos_token`, …, `image_token`); null where a file says that there is none. */
  readonly roles: ReadonlyMap<string, string | null>;
  /** All that are added to the model's vocabulary. */
  readonly added: readonly AddedToken[];
}

/** @throws TokenizerError naming the file and the field that is not what it must be */
export function folderTokens(files: TokenFiles, vocabulary: Vocabulary): FolderTokens {
  const reader = new FolderReader(files, vocabulary);
  return { roles: reader.roles(), added: reader.added() };
}

const contentOf = (token: Special): string => (typeof token === "string" ? token : token.content);

class FolderReader {
  private readonly vocabulary: Vocabulary;
  /** Null where a file says that there is no such token. */
  private readonly named = new Map<string, Special | null>();
  private extra: readonly Special[] | undefined;
  /** Roles of the model's own kind that tokenizer_config.json decides. */
  private readonly own = new Set<string>();
  /** The roles that special_tokens_map.json decides. */
  private readonly mapped = new Set<string>();
  private readonly listed = new Map<number, TokenDescription>();
  /** What lists say of a token, by its text. */
  private readonly options = new Map<string, TokenDescription>();
  private readonly legacy: boolean;

  constructor({ tokenizer_config, special_tokens_map, added_tokens }: TokenFiles, vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    const source = tokenizer_config?.source ?? "tokenizer_config.json";
    const config = object(tokenizer_config?.json ?? {}, source);
    this.legacy = config.added_tokens_decoder === undefined;
    this.readConfig(config, source);
    if (!this.legacy) this.readDecoder(config.added_tokens_decoder, `${source}: added_tokens_decoder`);
    else {
      const additional = special_tokens_map && this.readMap(special_tokens_map);
      if (added_tokens) this.readAdded(added_tokens);
      this.extra ??= additional;
      // What tokenizer.json lists itself counts before added_tokens.json.
      for (const token of vocabulary.declared_ids ? [] : vocabulary.added_tokens)
        this.list(token.id, { ...token, normalized: token.normalized !== undefined });
    }
    for (const role of STANDARD)
      if (!this.named.has(role) && vocabulary.defaults?.[role] !== undefined)
        this.named.set(role, vocabulary.defaults[role] as string);
  }

  private readConfig(config: Fields, source: string): void {
    for (const [key, value] of Object.entries(config))
      if (STANDARD.includes(key) || (key.endsWith("_token") && isToken(value))) {
        this.named.set(key, special(value, `${source}: ${key}`));
        if (typeof value === "string" && !STANDARD.includes(key)) this.own.add(key);
      }
    const { additional_special_tokens: older } = config;
    const newer = config.extra_special_tokens ?? undefined;
    const empty = Array.isArray(newer) ? newer.length === 0 : newer === undefined;
    const key = empty && older != null ? "additional_special_tokens" : "extra_special_tokens";
    this.readExtra(config[key], `${source}: ${key}`);
  }

  /** A list of tokens, or tokens by roles of their own. */
  private readExtra(value: unknown, where: string): void {
    if (value === undefined || value === null) return;
    if (Array.isArray(value)) this.extra = [...(this.extra ?? []), ...tokenList(value, where)];
    else
      for (const [role, token] of Object.entries(object(value, where))) {
        this.named.set(role, special(token, `${where}.${role}`));
        this.own.add(role);
      }
  }

  /** @returns its additional_special_tokens, which count where no other file has such */
  private readMap({ json, source }: ParsedFile): Special[] | undefined {
    const map = object(json, source);
    for (const [key, value] of Object.entries(map)) {
      const where = `${source}: ${key}`;
      if (key === "extra_special_tokens") this.readExtra(value, where);
      else if (STANDARD.includes(key) || (key.endsWith("_token") && isToken(value) && !this.own.has(key))) {
        this.named.set(key, special(isObject(value) ? { ...value, special: true } : value, where));
        this.mapped.add(key);
      }
    }
    const { additional_special_tokens: additional = null } = map;
    return additional === null ? undefined : tokenList(additional, `${source}: additional_special_tokens`);
  }

  /** What it lists is special where it is said to be by its text; else it is found in the normalized text. */
  private readAdded({ json, source }: ParsedFile): void {
    const roles = STANDARD.flatMap((role) => {
      const token = this.named.get(role) ?? "";
      return typeof token === "string" || this.mapped.has(role) ? contentOf(token) : [];
    });
    const specials = new Set([...roles, ...(this.extra ?? [])]);
    for (const [content, id] of Object.entries(object(json, source)))
      this.list(count(id, `${source}: ${content}`, MAX_ID), plainToken(content, specials.has(content)));
  }

  private readDecoder(value: unknown, where: string): void {
    for (const [key, token] of Object.entries(object(value ?? {}, where)))
      this.list(readId(key, `${where}: key`), readToken(token, `${where}[${key}]`));
  }

  private list(id: number, token: TokenDescription): void {
    this.listed.set(id, token);
    this.options.set(token.content, token);
  }

  /** The options that a list gives the token of a standard role are its own. */
  private withOptions(role: string, token: Special): Special {
    return STANDARD.includes(role) ? (this.options.get(contentOf(token)) ?? token) : token;
  }

  roles(): Map<string, string | null> {
    return new Map([...this.named].map(([role, token]) => [role, token === null ? null : contentOf(token)]));
  }

  added(): AddedToken[] {
    const { ids, added_tokens, text_form, declared_ids } = this.vocabulary;
    const table = new AddedTokens(ids, declared_ids ? undefined : text_form.normalizer, added_tokens);
    const order = [...STANDARD, ...[...this.named.keys()].filter((role) => !STANDARD.includes(role))];
    const named = order.flatMap((role) => {
      const token = this.named.get(role);
      return token === undefined || token === null || token === "" ? [] : [this.withOptions(role, token)];
    });
    const names = new Set(named.map(contentOf));
    const additions: { token: Special; id?: number }[] = [];
    for (const [id, token] of [...this.listed].sort(([a], [b]) => a - b)) {
      if (declared_ids) checkId(ids, token.content, id, `id of added token ${id}`);
      additions.push({ token, id });
    }
    const present = new Set(
      [...added_tokens, ...additions.map(({ token }) => token)].map((t) => contentOf(t as Special)),
    );
    for (const token of [...named, ...(this.extra ?? [])])
      if (!present.has(contentOf(token))) additions.push({ token });
    for (const { token, id } of additions) {
      const described = typeof token === "string" ? plainToken(token, true) : token;
      const isSpecial = described.special || names.has(described.content);
      table.add({ ...described, special: isSpecial }, declared_ids ? id : undefined);
    }
    if (declared_ids) for (const name of names) table.setSpecial(name);
    return table.list;
  }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isToken = (value: unknown): boolean => typeof value === "string" || (isObject(value) && "content" in value);

const tokenList = (value: unknown, where: string): Special[] =>
  list(value, where).map((token, i) => special(token, `${where}[${i}]`) ?? "");

/** A special token is written as its text, or as an added token that holds it. */
function special(value: unknown, where: string): Special | null {
  if (value === null || typeof value === "string") return value;
  return isObject(value) ? readToken(value, where) : wrong(where, "a token", value);
}
