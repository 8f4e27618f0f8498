// The tokenizer as callers use it: callable on texts, with the methods and option names of transformers.js. What a text
// becomes is decided by the vocabulary it was read from; this file only puts the parts together.
import { givenArguments, givenOptions, textArgument } from "../arguments.ts";
import { Callable } from "../callable.ts";
import { show } from "../config/show.ts";
import { InputError, TokenizerError } from "../errors.ts";
import { shownInOneLine } from "../inspected.ts";
import { Tensor, type TokenIds, toRows } from "../tensor.ts";
import { type ChatMessage, renderChatTemplate, templateVariables } from "./chat_template.ts";
import { tokenBytes, tokenStream } from "./decoder.ts";
import { type EncodeMessagesOptions, encodeMessages, messageOptions } from "./encode_messages.ts";
import {
  type ApplyChatTemplateOptions,
  type BatchEncoding,
  callOptions,
  checkTexts,
  type DecodeOptions,
  type DecodeStream,
  type DecodeStreamOptions,
  decodeOptions,
  type EncodeOptions,
  type EncodeTextOptions,
  encodeOptions,
  textOptions,
  toTensor,
} from "./encoding.ts";
import { formatOf, versionOf } from "./mistral_formats.ts";
import { checkLengths, pad, truncate } from "./padding.ts";
import { addedCount, applyTemplate, BARE, type Row, type TemplateItem } from "./sequence_template.ts";
import {
  type ChatTemplates,
  chooseTemplate,
  ROLES,
  type Role,
  type Side,
  type TokenizerConfig,
} from "./special_tokens.ts";
import { TextIds } from "./text_ids.ts";
import { type TokenTable, tokenTable } from "./token_table.ts";
import type { TokenizerSettings } from "./tokenizer_data.ts";
import {
  MARKS,
  markedText,
  type ParsedAnswer,
  type ParseToolCallsOptions,
  parse_tool_calls,
  parseMarked,
} from "./tool_calls.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Text to ids and back: made by `AutoTokenizer.from_pretrained`, and called on texts. */
export interface Tokenizer {
  /**
   * Encodes a text, a list of texts, or with `text_pair` pairs of them.
   * @throws {@link InputError} when an option is wrong, or rows differ in length and are to be a tensor
   */
  (text: string, options: EncodeOptions & { return_tensor: false }): BatchEncoding<number[]>;
  (texts: readonly string[], options: EncodeOptions & { return_tensor: false }): BatchEncoding<number[][]>;
  (text: string | readonly string[], options?: EncodeOptions): BatchEncoding;
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class Tokenizer extends Callable {
  /** Where padding goes where a call does not say. */
  padding_side: Side;
  /** Where rows are cut where a call does not say. */
  truncation_side: Side;
  /** Infinity where no file tells. */
  model_max_length: number;
  /** Whether text that spells a special token stays text, where a call does not say. */
  split_special_tokens: boolean;
  /** The template of `apply_chat_template`, or several by name. */
  chat_template: ChatTemplates | undefined;
  /** @internal What it was read from. */
  readonly vocabulary: Vocabulary;
  /** @internal */
  readonly config: TokenizerConfig;
  private readonly texts: TextIds;
  private readonly table: TokenTable;
  private readonly roles: Partial<Record<Role, string>> = {};

  /** @internal @throws {@link TokenizerError} when the config names a token that the vocabulary lacks, or an id twice */
  constructor(vocabulary: Vocabulary, config: TokenizerConfig) {
    super();
    this.vocabulary = vocabulary;
    this.config = config;
    this.table = tokenTable(vocabulary, config);
    this.texts = new TextIds(vocabulary, this.table);
    for (const role of ROLES) this.setRole(role, config.tokens[role]);
    this.padding_side = config.padding_side;
    this.truncation_side = config.truncation_side;
    this.model_max_length = config.model_max_length;
    this.split_special_tokens = config.split_special_tokens ?? false;
    this.chat_template = config.chat_template;
  }

  /** @internal What its user may have changed. */
  get settings(): TokenizerSettings {
    const { pad_token = null, padding_side, truncation_side, model_max_length, split_special_tokens } = this;
    const { chat_template } = this;
    return { pad_token, padding_side, truncation_side, model_max_length, split_special_tokens, chat_template };
  }
  /** @internal */
  set settings(settings: TokenizerSettings) {
    Object.assign(this, settings);
  }

  private setRole(role: Role, token: string | null | undefined): void {
    if (token === null || token === undefined) delete this.roles[role];
    else if (!this.table.ids.has(token))
      throw new TokenizerError(`${role}_token: ${show(token)} is no token of ${this.vocabulary.source}`);
    else this.roles[role] = token;
  }

  private roleId(role: Role): number | undefined {
    const token = this.roles[role];
    return token === undefined ? undefined : this.table.ids.get(token);
  }

  /** The file that it was read from. */
  get source(): string {
    return this.vocabulary.source;
  }

  /** Tokens of the vocabulary itself, without those only added, as transformers counts them. */
  get vocab_size(): number {
    return this.vocabulary.ids.size;
  }

  get bos_token(): string | undefined {
    return this.roles.bos;
  }
  get bos_token_id(): number | undefined {
    return this.roleId("bos");
  }
  get eos_token(): string | undefined {
    return this.roles.eos;
  }
  get eos_token_id(): number | undefined {
    return this.roleId("eos");
  }
  get unk_token(): string | undefined {
    return this.roles.unk;
  }
  get unk_token_id(): number | undefined {
    return this.roleId("unk");
  }
  get pad_token(): string | undefined {
    return this.roles.pad;
  }
  /** @throws {@link TokenizerError} when it is no token of the vocabulary */
  set pad_token(token: string | null | undefined) {
    this.setRole("pad", token);
  }
  get pad_token_id(): number | undefined {
    return this.roleId("pad");
  }
  /** The tokens that have a role, by its name: `{ bos_token: "<s>", … }`. */
  get special_tokens_map(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.roles).map(([role, token]) => [`${role}_token`, token]));
  }
  /** Ids that `skip_special_tokens` leaves out, ascending. */
  get all_special_ids(): number[] {
    return [...this.table.special].sort((a, b) => a - b);
  }

  private row(text: string, second: string | undefined, options: EncodeOptions): Row {
    const { add_special_tokens = true, split_special_tokens = this.split_special_tokens } = options;
    const template = second === undefined ? this.vocabulary.template.single : this.vocabulary.template.pair;
    const items = add_special_tokens ? template : template.filter((item) => "text" in item);
    const ids = (t: string) => this.texts.of(t, split_special_tokens);
    return this.around(items, ids(text), second === undefined ? undefined : ids(second), options);
  }

  /** Puts what stands around them around ids, of which so many are cut that all are no more than may be. */
  private around(
    items: readonly TemplateItem[],
    a: readonly number[],
    b: readonly number[] | undefined,
    options: EncodeOptions,
  ): Row {
    const { truncation = false } = options;
    const limit = options.max_length ?? this.model_max_length;
    if (truncation !== false && truncation !== "do_not_truncate" && Number.isFinite(limit))
      [a, b] = truncate(a, b, limit - addedCount(items), truncation, options.truncation_side ?? this.truncation_side);
    return applyTemplate(items, a, b ?? []);
  }

  /** @internal What calling the tokenizer does. */
  _call(
    text: string | readonly string[],
    given: EncodeOptions = {},
  ): BatchEncoding | BatchEncoding<number[] | number[][]> {
    const options = givenOptions(given, "tokenizer", callOptions);
    checkLengths(options);
    const texts = checkTexts(text, "text");
    const pairs = options.text_pair === undefined ? undefined : checkTexts(options.text_pair, "text_pair");
    if (pairs && pairs.length !== texts.length)
      throw new InputError(`text_pair: expected one for each of ${texts.length} texts, found ${pairs.length}`);
    const rows = texts.map((t, i) => this.row(t, pairs?.[i], options));
    return this.encoding(rows, options, typeof text === "string");
  }

  /** @param single - whether plain arrays are those of the one row */
  private encoding(
    given: Row[],
    options: EncodeOptions,
    single: boolean,
  ): BatchEncoding | BatchEncoding<number[] | number[][]> {
    const { padding = false, pad_to_multiple_of = 1, return_tensor = true } = options;
    const rows = pad(
      given,
      padding,
      options.max_length ?? this.model_max_length,
      pad_to_multiple_of,
      options.padding_side ?? this.padding_side,
      this.pad_token_id,
    );
    const columns = { input_ids: rows.map((r) => [...r.ids]), attention_mask: rows.map((r) => [...r.attention_mask]) };
    const all = options.return_token_type_ids
      ? { ...columns, token_type_ids: rows.map((r) => [...r.type_ids]) }
      : columns;
    const shape = (values: number[][]) => (!return_tensor ? (single ? values[0] : values) : toTensor(values));
    return Object.fromEntries(
      Object.entries(all).map(([name, values]) => [name, shape(values)]),
    ) as unknown as BatchEncoding;
  }

  /** The ids of one text (or pair) as an array. */
  encode(text: string, given: EncodeTextOptions = {}): number[] {
    const options = givenOptions(given, "encode", textOptions);
    checkTexts([text], "text");
    if (options.text_pair !== undefined) checkTexts([options.text_pair], "text_pair");
    return [...this.row(text, options.text_pair, options).ids];
  }

  /** The tokens of a text, e.g. `["▁Hello", "▁world"]`. */
  tokenize(text: string, options: EncodeTextOptions = {}): string[] {
    return this.encode(text, { add_special_tokens: false, ...options }).map((id) => this.table.tokens.get(id)!);
  }

  /**
   * The text of ids. Ids that are no tokens are left out, as in transformers.
   * @throws {@link InputError} when `ids` are not one row of integers
   */
  decode(ids: TokenIds, options: DecodeOptions = {}): string {
    const rows = toRows(ids, "ids");
    if (rows.length > 1) throw new InputError(`ids: decode takes one row, found ${rows.length}; use batch_decode`);
    const stream = this.decode_stream({ ...options, certain: true });
    let text = "";
    for (const id of rows[0] ?? []) text += stream.push(id);
    return text + stream.end();
  }

  /** The text of each row of ids; rows may differ in length. */
  batch_decode(ids: TokenIds, options: DecodeOptions = {}): string[] {
    const rows: Iterable<TokenIds> =
      ids instanceof Tensor && ids.dims.length === 2
        ? ids
        : Array.isArray(ids) && typeof ids[0] !== "number"
          ? ids
          : toRows(ids, "ids");
    return Array.from(rows, (row) => this.decode(row, options));
  }

  /**
   * Decodes ids as they come.
   * @example
   * const stream = tokenizer.decode_stream({ skip_special_tokens: true });
   * for (const id of ids) process.stdout.write(stream.push(id));
   * process.stdout.write(stream.end());
   */
  decode_stream(options: DecodeStreamOptions = {}): DecodeStream {
    const given = givenOptions(options, "decode", decodeOptions);
    const { skip_special_tokens = false, certain = false, prompt = [] } = given;
    const stream = tokenStream(this.vocabulary.decoder);
    const push = (id: number): string => {
      const token = this.table.decoded.get(id) ?? this.table.tokens.get(id);
      return token === undefined || (skip_special_tokens && this.table.special.has(id)) ? "" : stream.push(token);
    };
    for (let i = 0; i < prompt.length; i++) push(prompt[i]);
    stream.forget();
    return {
      push: certain ? push : (id) => push(id) + stream.take(),
      end: () => stream.end(),
      get pending() {
        return stream.pending;
      },
      take: (length) => stream.take(length),
    };
  }

  /** The bytes that a token adds to the middle of a text (special tokens: their literal text); none for what is no id. */
  token_bytes(id: number): Uint8Array {
    const token = this.table.decoded.get(id) ?? this.table.tokens.get(id);
    return token === undefined ? new Uint8Array() : tokenBytes(this.vocabulary.decoder, token);
  }

  /** Every token with its id, those that were added as well. */
  get_vocab(): Record<string, number> {
    return Object.fromEntries(this.table.ids);
  }

  /** The id of a token, or of each; the unknown token's (or undefined, where there is none) for what is no token. */
  convert_tokens_to_ids(tokens: string): number | undefined;
  convert_tokens_to_ids(tokens: readonly string[]): (number | undefined)[];
  convert_tokens_to_ids(tokens: string | readonly string[]): number | undefined | (number | undefined)[] {
    if (typeof tokens !== "string") checkTexts(tokens, "tokens");
    return typeof tokens === "string"
      ? (this.table.ids.get(tokens) ?? this.vocabulary.unk_id)
      : tokens.map((token) => this.table.ids.get(token) ?? this.vocabulary.unk_id);
  }

  /** The token of an id, or of each; undefined for what is no id. */
  convert_ids_to_tokens(ids: number): string | undefined;
  convert_ids_to_tokens(ids: readonly number[] | Int32Array): (string | undefined)[];
  convert_ids_to_tokens(ids: number | readonly number[] | Int32Array): string | undefined | (string | undefined)[] {
    if (typeof ids !== "number" && !Array.isArray(ids) && !ArrayBuffer.isView(ids))
      throw new InputError(`ids: expected an id or a list of them, found ${show(ids)}`);
    return typeof ids === "number" ? this.table.tokens.get(ids) : Array.from(ids, (id) => this.table.tokens.get(id));
  }

  /**
   * Renders a conversation with the chat template and encodes the text, which carries its own special tokens.
   * Options that are not named are variables of the template, which has to read them.
   * @param messages - a conversation; content parts that are texts become one, where the template knows no parts
   * @returns `{ input_ids, attention_mask }`; the text with `tokenize: false`; the ids alone with `return_dict: false`
   * @throws {@link TokenizerError} when there is no template, it is wrong, or it refuses the conversation by `raise_exception`
   * @throws {@link InputError} when the messages are not a conversation, or an option is none and no variable of the template
   */
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): string;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { return_dict: false; return_tensor: false },
  ): number[];
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { return_dict: false },
  ): Tensor;
  apply_chat_template(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { return_tensor: false },
  ): BatchEncoding<number[]>;
  apply_chat_template(messages: readonly ChatMessage[], options?: ApplyChatTemplateOptions): BatchEncoding;
  apply_chat_template(messages: readonly ChatMessage[], options: ApplyChatTemplateOptions = {}): unknown {
    const {
      chat_template,
      tokenize = true,
      return_dict = true,
      split_special_tokens = false,
      ...rest
    } = givenArguments(options, "apply_chat_template: the options");
    if (chat_template !== undefined) textArgument(chat_template, "chat_template");
    const [lengths, chat] = [true, false].map((of) =>
      Object.fromEntries(Object.entries(rest).filter(([name]) => encodeOptions.includes(name) === of)),
    );
    const untold = chat_template === undefined && this.chat_template === undefined && this.vocabulary.version;
    if (split_special_tokens && chat_template !== undefined)
      throw new InputError("chat_template, split_special_tokens: messages by themselves have no template, found both");
    if (split_special_tokens || untold) {
      const ids = this.encode_messages(messages, messageOptions(chat, "apply_chat_template"));
      if (!tokenize) return this.decode(ids);
      checkLengths(lengths);
      const encoding = this.encoding([this.around(BARE.single, ids, undefined, lengths)], lengths, true);
      return return_dict ? encoding : encoding.input_ids;
    }
    const template = chooseTemplate(this.chat_template, chat_template, !!rest.tools?.length, this.vocabulary.source);
    const roles = this.special_tokens_map;
    const text = renderChatTemplate(template, messages, { ...roles, ...templateVariables(template, chat) });
    if (!tokenize) return text;
    const encoding = this._call(text, { ...lengths, add_special_tokens: false, split_special_tokens: false });
    return return_dict ? encoding : encoding.input_ids;
  }

  /**
   * Encodes a conversation without a template, as Mistral's models were trained: every message by itself, control tokens
   * put between as ids. Whatever a message spells (`[INST]`, `</s>`) stays text. The version is that of `tekken.json`, of a
   * `tokenizer.model.v3`'s name, or what the vocabulary's control tokens show.
   * @param messages - a conversation, as for `apply_chat_template`
   * @returns the ids, from `<s>` on
   * @throws {@link InputError} when it is no conversation of that version, or which version it is cannot be known
   * @example
   * tokenizer.encode_messages([{ role: "user", content: "What does [INST] mean?" }], { version: "v1" });
   */
  encode_messages(messages: readonly ChatMessage[], options: EncodeMessagesOptions = {}): number[] {
    const given = messageOptions(givenArguments(options, "encode_messages: the options"), "encode_messages");
    const format = formatOf(
      given.version ?? versionOf(this.vocabulary, (token) => this.controlId(token) !== undefined),
    );
    return encodeMessages(messages, given, format, {
      encode: (text) => this.texts.ofMessage(text),
      control: (token) => {
        const id = this.controlId(token);
        if (id !== undefined) return id;
        throw new InputError(
          `version ${format.version} needs the control token ${token}, which ${this.vocabulary.source} lacks`,
        );
      },
    });
  }

  /**
   * Takes a model's answer apart into text and the calls of tools in it. In ids, only control tokens mark calls; what the
   * text spells stays text. In a text (decoded with special tokens) what is spelled is taken for the token.
   * @param answer - the new tokens of an answer, without its prompt, or their text
   * @returns a message of the assistant's: `{ role, content, tool_calls, error? }`
   */
  parse_tool_calls(answer: string | TokenIds, options: ParseToolCallsOptions = {}): ParsedAnswer {
    if (typeof answer === "string") return parse_tool_calls(answer, options);
    const rows = toRows(answer, "answer");
    if (rows.length > 1) throw new InputError(`answer: expected one row of ids, found ${rows.length}`);
    const ids = Array.from(rows[0] ?? []);
    const tokens = MARKS.map((token) => ({ token, id: this.controlId(token) }));
    if (tokens[0].id === undefined) return parse_tool_calls(this.decode(ids), options);
    const { text, marks } = markedText(ids, tokens, (some) => this.decode(some, { skip_special_tokens: true }));
    return parseMarked(text, marks, options);
  }

  /** The id of a special token by its text. */
  private controlId(token: string): number | undefined {
    const id = this.table.ids.get(token);
    return id !== undefined && this.table.special.has(id) ? id : undefined;
  }
}

shownInOneLine(Tokenizer, ({ vocab_size, source }) => `Tokenizer { ${source}, ${vocab_size} tokens }`);
