// pipeline("text-generation", …): texts or conversations in, texts out.
import { givenArguments } from "../arguments.ts";
import { InputError } from "../errors.ts";
import type { CausalLM } from "../generation/causal_lm.ts";
import type { Message } from "../generation/conversation.ts";
import type { GenerateInputs } from "../generation/generate_inputs.ts";
import { TextOutput } from "../generation/text_output.ts";
import type { ApplyChatTemplateOptions } from "../text/encoding.ts";
import type { TextGenerationModel } from "./models.ts";
import { Pipeline } from "./pipeline.ts";

/** What `generate` takes; without `max_new_tokens` and `max_length` there are 256 new tokens at most, as far as there is room. */
export interface TextGenerationOptions extends GenerateInputs {
  /** Whether `generated_text` begins with the prompt (or holds the conversation). @default true */
  return_full_text?: boolean | undefined;
  /** Whether the tokenizer adds its special tokens to a text. @default true */
  add_special_tokens?: boolean | undefined;
  /** The functions that a conversation's template describes. @default none */
  tools?: readonly unknown[] | null | undefined;
  /** The documents that it shows. @default none */
  documents?: readonly unknown[] | null | undefined;
  /** The template of conversations, or the name of one of the tokenizer's. @default the tokenizer's */
  chat_template?: string | null | undefined;
}

/** A text, or where a conversation was given, the conversation with the answer (or the answer alone). */
export interface GeneratedText<T> {
  generated_text: T;
}

/** The answers to one prompt: one, unless `num_return_sequences` asks for more. */
export type Answers<T> = [GeneratedText<T>, ...GeneratedText<T>[]];

/** A conversation. */
export type Chat = Message[];

/** Texts that go on from texts, and answers to conversations. */
export interface TextGenerationPipeline {
  (text: string, options?: TextGenerationOptions): Promise<Answers<string>>;
  (texts: readonly string[], options?: TextGenerationOptions): Promise<Answers<string>[]>;
  (chat: Chat, options?: TextGenerationOptions): Promise<Answers<Chat>>;
  (chats: readonly Chat[], options?: TextGenerationOptions): Promise<Answers<Chat>[]>;
}

/** New tokens at most where nothing else is said, as in transformers' pipeline. */
const DEFAULT_NEW_TOKENS = 256;

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class TextGenerationPipeline extends Pipeline<CausalLM> {
  readonly task = "text-generation";

  /** @internal */
  async _call(
    input: string | readonly string[] | Chat | readonly Chat[],
    options: TextGenerationOptions = {},
  ): Promise<unknown> {
    const {
      return_full_text = true,
      add_special_tokens = true,
      tools,
      documents,
      chat_template,
      ...generate
    } = givenArguments(options, `${this.task}: the options`);
    const template = givenArguments({ tools, documents, chat_template } as ApplyChatTemplateOptions, this.task);
    const single = typeof input === "string" || isChat(input);
    const prompts = (single ? [input] : input) as (string | Chat)[];
    if (!Array.isArray(prompts) || prompts.length === 0 || !prompts.every((p) => typeof p === "string" || isChat(p)))
      throw new InputError(
        "text-generation: expected a text, a conversation (messages with role and content), or an array of either",
      );
    const rows = prompts.map((prompt) =>
      typeof prompt === "string"
        ? this.tokenizer.encode(prompt, { add_special_tokens })
        : this.tokenizer.apply_chat_template(prompt, {
            ...template,
            add_generation_prompt: true,
            return_dict: false,
            return_tensor: false,
          }),
    );
    const inputs = padLeft(rows, this.tokenizer.pad_token_id ?? 0);
    const model: TextGenerationModel = this.model;
    const sequences = await model.generate({
      tokenizer: this.tokenizer,
      ...this.defaultLength(generate, inputs.input_ids[0].length),
      ...generate,
      ...inputs,
      return_dict_in_generate: false,
    } as GenerateInputs);
    const copies = sequences.dims[0] / rows.length;
    const length = inputs.input_ids[0].length;
    const results = prompts.map((prompt, i) =>
      Array.from({ length: copies }, (_, copy) => {
        const ids: number[] = sequences.row(i * copies + copy).tolist();
        return { generated_text: this.result(prompt, rows[i], ids.slice(length), return_full_text) };
      }),
    );
    return single ? results[0] : results;
  }

  /** How many new tokens there are where nobody says so. */
  private defaultLength(options: GenerateInputs, prompt: number): GenerateInputs {
    const said = [options, options.generation_config, this.model.generation_config].some(
      (settings) => settings?.max_new_tokens != null || settings?.max_length != null,
    );
    return said ? {} : { max_new_tokens: Math.max(1, Math.min(DEFAULT_NEW_TOKENS, this.model.context - prompt)) };
  }

  private result(prompt: string | Chat, ids: number[], answer: number[], full: boolean): string | Chat {
    if (typeof prompt !== "string") {
      const { text } = TextOutput.whole(this.tokenizer, answer);
      const reply = { role: "assistant", content: text.trim() };
      return full ? [...prompt, reply] : [reply];
    }
    const { text } = TextOutput.whole(this.tokenizer, answer, { prompt: ids });
    return full ? prompt + text : text;
  }
}

const isChat = (value: unknown): value is Chat =>
  Array.isArray(value) && value.length > 0 && value.every((m) => typeof m === "object" && m !== null && "role" in m);

/** Rows of one length with the mask that tells what was added on the left. */
function padLeft(rows: number[][], pad: number): { input_ids: number[][]; attention_mask: number[][] } {
  const length = Math.max(...rows.map((row) => row.length));
  return {
    input_ids: rows.map((row) => [...Array(length - row.length).fill(pad), ...row]),
    attention_mask: rows.map((row) => [...Array(length - row.length).fill(0), ...Array(row.length).fill(1)]),
  };
}
