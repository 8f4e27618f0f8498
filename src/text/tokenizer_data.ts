// A tokenizer as plain data, which can be posted to another thread: what its files were read into, with the tables that take
// longest to build. A page gets its tokenizers this way, and makes them in stretches between which it stays responsive.

import { MergeTable, type MergeTableData } from "./merges.ts";
import type { ChatTemplates, Side, TokenizerConfig } from "./special_tokens.ts";
import { PatternSplitter } from "./splitter.ts";
import type { Metaspace, NormalizerStep } from "./text_form.ts";
import { Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** What of a tokenizer its user may change. */
export interface TokenizerSettings {
  readonly pad_token: string | null;
  readonly padding_side: Side;
  readonly truncation_side: Side;
  readonly model_max_length: number;
  readonly split_special_tokens: boolean;
  readonly chat_template: ChatTemplates | undefined;
}

/** Tokens in the order of the vocabulary: their texts one after the other, where each ends, and their ids. */
interface TokenList {
  readonly text: string;
  readonly ends: Uint32Array;
  readonly ids: Int32Array;
}

interface VocabularyData extends Omit<Vocabulary, "ids" | "merges" | "text_form"> {
  readonly tokens: TokenList;
  readonly merges: MergeTableData;
  readonly normalizer: readonly NormalizerStep[];
  readonly pre_tokenizer: {
    readonly metaspace?: Metaspace | undefined;
    readonly splits?: readonly { readonly pattern: string; readonly between: boolean; readonly where: string }[];
    readonly byte_level?: boolean | undefined;
  };
}

/** A tokenizer, but for what its user has changed. */
export interface TokenizerData {
  readonly vocabulary: VocabularyData;
  readonly config: TokenizerConfig;
}

export function tokenizerData({ ids, merges, text_form, ...rest }: Vocabulary, config: TokenizerConfig): TokenizerData {
  const { metaspace, splits, byte_level } = text_form.pre_tokenizer;
  return {
    vocabulary: {
      ...rest,
      tokens: listTokens(ids),
      merges: merges.data,
      normalizer: text_form.normalizer,
      pre_tokenizer: {
        metaspace,
        ...(splits ? { splits: splits.map(({ pattern, between, where }) => ({ pattern, between, where })) } : {}),
        byte_level,
      },
    },
    config,
  };
}

function listTokens(ids: ReadonlyMap<string, number>): TokenList {
  let end = 0;
  return {
    text: [...ids.keys()].join(""),
    ends: Uint32Array.from(ids.keys(), (token) => (end += token.length)),
    ids: Int32Array.from(ids.values()),
  };
}

/** Tokens that are taken at a time. */
const TOKENS_AT_ONCE = 8192;

/** Lets other things run. */
const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** The tokenizer that `data` is of, made in stretches of some milliseconds. */
export async function makeTokenizer({ vocabulary, config }: TokenizerData): Promise<Tokenizer> {
  const { tokens, merges, normalizer, pre_tokenizer, ...others } = vocabulary;
  const ids = new Map<string, number>();
  for (let at = 0, start = 0; at < tokens.ids.length; at++) {
    if (at % TOKENS_AT_ONCE === TOKENS_AT_ONCE - 1) await rest();
    ids.set(tokens.text.slice(start, tokens.ends[at]), tokens.ids[at]);
    start = tokens.ends[at];
  }
  await rest();
  const { splits, ...form } = pre_tokenizer;
  const made: Vocabulary = {
    ...others,
    ids,
    merges: MergeTable.fromData(merges, ids),
    text_form: {
      normalizer,
      pre_tokenizer: {
        ...form,
        ...(splits
          ? { splits: splits.map(({ pattern, between, where }) => new PatternSplitter(pattern, between, where)) }
          : {}),
      },
    },
  };
  return new Tokenizer(made, config);
}
