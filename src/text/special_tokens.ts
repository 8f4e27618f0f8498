// The files beside a tokenizer: tokenizer_config.json, special_tokens_map.json, chat_template.jinja and, for special
// tokens that no other file names, config.json. They say which tokens are bos, eos, unk and pad, and the chat template.
import { showName } from "../config/show.ts";
import { TokenizerError } from "../errors.ts";
import { flag, list, object, string, wrong } from "./fields.ts";
import { folderTokens, type ParsedFile, type TokenFiles } from "./folder_tokens.ts";
import type { AddedToken, Vocabulary } from "./vocabulary.ts";

export type { ParsedFile } from "./folder_tokens.ts";

export const ROLES = ["bos", "eos", "unk", "pad"] as const;
export type Role = (typeof ROLES)[number];

/** One template, or several by name (`default`, `tool_use`, …). */
export type ChatTemplates = string | Readonly<Record<string, string>>;

/** A side of a row. */
export type Side = "left" | "right";

export interface TokenizerConfig {
  readonly tokens: Readonly<Partial<Record<Role, string>>>;
  /** Those of the vocabulary's file, and what other files add. */
  readonly added_tokens: readonly AddedToken[];
  /** Further ids that `skip_special_tokens` leaves out. */
  readonly special_ids?: readonly number[];
  readonly chat_template: ChatTemplates | undefined;
  readonly padding_side: Side;
  readonly truncation_side: Side;
  readonly split_special_tokens?: boolean;
  /** Infinity where the file does not tell, or tells a number that stands for none. */
  readonly model_max_length: number;
}

export interface ConfigFiles extends TokenFiles {
  readonly config?: ParsedFile;
  /** The text of chat_template.jinja, which wins over the template in tokenizer_config.json. */
  readonly chat_template?: string;
}

/** Numbers from here on mean "no limit" in model_max_length; transformers writes 1e30. */
const NO_LIMIT = 1e20;

/** Which special tokens a SentencePiece model puts around a text: the config's flags, or Llama's defaults. */
export function aroundText(file: ParsedFile | undefined): { add_bos_token: boolean; add_eos_token: boolean } {
  const config = file ? object(file.json, file.source) : {};
  return {
    add_bos_token: flag(config.add_bos_token, `${file?.source}: add_bos_token`, true),
    add_eos_token: flag(config.add_eos_token, `${file?.source}: add_eos_token`, false),
  };
}

/** @throws {@link TokenizerError} naming the file and the field that is not what it must be */
export function readConfig(files: ConfigFiles, vocabulary: Vocabulary): TokenizerConfig {
  const source = files.tokenizer_config?.source ?? "tokenizer_config.json";
  const config = { ...vocabulary.defaults, ...object(files.tokenizer_config?.json ?? {}, source) };
  const { roles, added } = folderTokens(files, vocabulary);
  const tokens: Partial<Record<Role, string>> = {};
  for (const role of ROLES) {
    const token = roles.get(`${role}_token`);
    const text = token === undefined ? byId(role, files.config, vocabulary, added) : token;
    if (text !== undefined && text !== null) tokens[role] = text;
  }
  const limit = config.model_max_length;
  if (limit !== undefined && limit !== null && !(typeof limit === "number" && limit > 0))
    wrong(`${source}: model_max_length`, "a number above 0", limit);
  return {
    tokens,
    added_tokens: added,
    chat_template: files.chat_template ?? readChatTemplate(config.chat_template, `${source}: chat_template`),
    split_special_tokens: flag(config.split_special_tokens, `${source}: split_special_tokens`, false),
    padding_side: side(config.padding_side, `${source}: padding_side`),
    truncation_side: side(config.truncation_side, `${source}: truncation_side`),
    model_max_length: typeof limit === "number" && limit < NO_LIMIT ? limit : Number.POSITIVE_INFINITY,
  };
}

/** config.json knows special tokens by id only; of several end tokens the first counts. */
function byId(
  role: Role,
  file: ParsedFile | undefined,
  vocabulary: Vocabulary,
  added_tokens: readonly AddedToken[],
): string | undefined {
  if (!file) return undefined;
  const value = object(file.json, file.source)[`${role}_token_id`];
  const id = Array.isArray(value) ? value[0] : value;
  if (id === undefined || id === null) return undefined;
  const added = added_tokens.find((token) => token.id === id);
  if (added) return added.content;
  for (const [token, known] of vocabulary.ids) if (known === id) return token;
  return undefined;
}

function readChatTemplate(value: unknown, where: string): ChatTemplates | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  const named = list(value, where).map((entry, i) => {
    const { name, template } = object(entry, `${where}[${i}]`);
    return [string(name, `${where}[${i}].name`), string(template, `${where}[${i}].template`)] as const;
  });
  return Object.fromEntries(named);
}

function side(value: unknown, where: string): Side {
  if (value === undefined || value === null) return "right";
  return value === "left" || value === "right" ? value : wrong(where, '"left" or "right"', value);
}

/**
 * Picks a template.
 * @param wanted - a name, or the text of a template
 * @throws {@link TokenizerError} when there is none, or none of that name and none called `default`
 */
export function chooseTemplate(
  templates: ChatTemplates | undefined,
  wanted: string | undefined,
  withTools: boolean,
  source: string,
): string {
  const named = typeof templates === "string" ? { default: templates } : templates;
  if (wanted !== undefined) return named && Object.hasOwn(named, wanted) ? named[wanted] : wanted;
  if (!named)
    throw new TokenizerError(
      `${source}: expected a chat template (in ${source.endsWith(".gguf") ? "tokenizer.chat_template" : "chat_template.jinja or tokenizer_config.json"}), found none; pass chat_template`,
    );
  const name = withTools && Object.hasOwn(named, "tool_use") ? "tool_use" : "default";
  if (!Object.hasOwn(named, name))
    throw new TokenizerError(
      `${source}: expected a chat template named ${name}, found ${Object.keys(named).map(showName).join(", ")}; pass one of them as chat_template`,
    );
  return named[name];
}
