// What goes into and comes out of a tokenizer's call: the options by transformers' names, and the tensors.
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { Tensor } from "../tensor.ts";
import type { ChatOptions } from "./chat_template.ts";
import type { Padding, Truncation } from "./padding.ts";
import type { Side } from "./special_tokens.ts";

/** The options of a tokenizer's call. */
export interface EncodeOptions {
  /** The second text, or the second of each pair. @default none */
  text_pair?: string | readonly string[] | undefined;
  /** Puts `<s>` (or what the file says) around the text. @default true */
  add_special_tokens?: boolean | undefined;
  /** Text that spells a special token (`</s>`) stays text: for what users write. @default what the file says, or false */
  split_special_tokens?: boolean | undefined;
  /** `true` or `"longest"`: rows are padded to the longest; `"max_length"`: to `max_length`. @default false */
  padding?: Padding | undefined;
  /** `true` or `"longest_first"`, `"only_first"`, `"only_second"`: rows are cut to `max_length`. @default false */
  truncation?: Truncation | undefined;
  /** Tokens of a row, special ones included. @default the tokenizer's `model_max_length` */
  max_length?: number | undefined;
  /** Rows are padded to a length that this divides. @default 1 */
  pad_to_multiple_of?: number | undefined;
  /** Where padding goes. @default the tokenizer's `padding_side` */
  padding_side?: Side | undefined;
  /** Where rows are cut. @default the tokenizer's `truncation_side` */
  truncation_side?: Side | undefined;
  /** Also gives `token_type_ids`: 0 for the first text of a pair, 1 for the second. @default false */
  return_token_type_ids?: boolean | undefined;
  /** Tensors of [rows, length], or plain arrays: one for a single text, else one for each text. @default true */
  return_tensor?: boolean | undefined;
}

/** The options of apply_chat_template that are no variables of the template. */
export const encodeOptions = namesOf<Omit<EncodeOptions, "text_pair" | "add_special_tokens" | "split_special_tokens">>({
  padding: true,
  truncation: true,
  max_length: true,
  pad_to_multiple_of: true,
  padding_side: true,
  truncation_side: true,
  return_token_type_ids: true,
  return_tensor: true,
});

/** The options of one text alone. */
export interface EncodeTextOptions extends Pick<EncodeOptions, "add_special_tokens" | "split_special_tokens"> {
  /** The second text of a pair. @default none */
  text_pair?: string | undefined;
}

export const textOptions = namesOf<EncodeTextOptions>({
  text_pair: true,
  add_special_tokens: true,
  split_special_tokens: true,
});

/** The options of a tokenizer's call. */
export const callOptions: readonly string[] = [...textOptions, ...encodeOptions];

/** Tensors are int32 of [rows, length]; a single text is one row. */
export interface BatchEncoding<T = Tensor> {
  input_ids: T;
  attention_mask: T;
  token_type_ids?: T;
}

/** The options of `apply_chat_template`: those here, and the variables of the template. */
export interface ApplyChatTemplateOptions
  extends ChatOptions,
    Omit<EncodeOptions, "text_pair" | "add_special_tokens" | "split_special_tokens"> {
  /**
   * No template: every message is encoded by itself, as `encode_messages` does, so that text that spells a control token
   * stays text. Also what happens where there is no template, but files that tell the version.
   * @default false
   */
  split_special_tokens?: boolean | undefined;
  /** A template, or the name of one of the tokenizer's. @default the tokenizer's */
  chat_template?: string | undefined;
  /** `false` gives the rendered text. @default true */
  tokenize?: boolean | undefined;
  /** `false` gives the ids alone. @default true */
  return_dict?: boolean | undefined;
}

/** The options of `decode`. */
export interface DecodeOptions {
  /** Leaves `<s>`, `</s>` and their like out. @default false */
  skip_special_tokens?: boolean | undefined;
}

/** The options of `decode_stream`. */
export interface DecodeStreamOptions extends DecodeOptions {
  /**
   * Gives only text that nothing can change any more: a run of byte tokens waits for its end. Else whole characters of a run
   * are given at once, which is what people want to see; a run that breaks later has then said characters that `decode`
   * spells as U+FFFD.
   * @default false
   */
  certain?: boolean | undefined;
  /** Ids that stand before: their text is left out, and the first new token has its space. @default none */
  prompt?: ArrayLike<number> | undefined;
}

export const decodeOptions = namesOf<DecodeStreamOptions>({ skip_special_tokens: true, certain: true, prompt: true });

/** Text from ids as they come; the pieces joined are the decoding of all ids, without half characters in between. */
export interface DecodeStream {
  push(id: number): string;
  end(): string;
  /** With `certain`: whole characters of a byte run, which a byte to come can still break. */
  readonly pending: string;
  /** Gives the first `length` UTF-16 units of `pending` (or all) ahead of time: they are text, and not given again. */
  take(length?: number): string;
}

/** @throws {@link InputError} when it is neither a text nor a list of them */
export function checkTexts(text: string | readonly string[], name: string): readonly string[] {
  const texts = typeof text === "string" ? [text] : text;
  if (!Array.isArray(texts))
    throw new InputError(`${name}: expected a string or a list of strings, found ${show(text)}`);
  texts.forEach((t, i) => {
    if (typeof t !== "string") throw new InputError(`${name}[${i}]: expected a string, found ${show(t)}`);
  });
  return texts;
}

/** @throws {@link InputError} when rows differ in length */
export function toTensor(rows: readonly number[][]): Tensor {
  const width = rows[0]?.length ?? 0;
  const ragged = rows.findIndex((row) => row.length !== width);
  if (ragged > 0)
    throw new InputError(
      `text[${ragged}] has ${rows[ragged].length} ids, text[0] has ${width}: a tensor needs rows of one length; pass padding: true, or return_tensor: false`,
    );
  const data = new Int32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return new Tensor("int32", data, [rows.length, width]);
}
