// What a forward call was given, checked and turned into sequences. Padding before a sequence's first token is left out of
// it; behind that it has its place, which a window counts, and nobody sees its key.
import { checkSignal } from "../abort.ts";
import { callArguments } from "../arguments.ts";
import { knownOptions } from "../config/option_names.ts";
import type { ModelShape } from "../config/shape.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { Tensor, type TokenIds, toRows } from "../tensor.ts";
import type { KeyValueCache } from "./cache.ts";
import { reachOf } from "./sequence.ts";

/** What a forward call of every class takes, as transformers names it. */
export interface ForwardInputs {
  /** (rows, length) tokens; or `inputs_embeds`. */
  input_ids?: TokenIds | undefined;
  /** float32 (rows, length, hidden), instead of `input_ids`. */
  inputs_embeds?: Tensor | undefined;
  /** (rows, past + length): 0 where a position is padding. @default 1 */
  attention_mask?: TokenIds | undefined;
  /** (rows, length) or (length). @default past + 0, 1, 2, …, whatever the mask says */
  position_ids?: TokenIds | undefined;
  /** The cache of the tokens before, which is extended in place. @default an empty one */
  past_key_values?: KeyValueCache | undefined;
  /** Another name of `past_key_values`, which transformers gives it from 5.24 on. @default an empty one */
  cache?: KeyValueCache | undefined;
  /** What all rows have: the name of an adapter, of several, which add up, or null for none. @default the active ones */
  adapter?: string | readonly string[] | null | undefined;
  /** What each row has, as `adapter` takes it; `"__base__"` is none, too. @default as `adapter` */
  adapter_names?: readonly (string | readonly string[] | null)[] | undefined;
  /** Whether the result has `past_key_values`. @default that of the config, which is true; false with `labels` */
  use_cache?: boolean | undefined;
  /** Results always come as an object: `false` is refused. @default true */
  return_dict?: boolean | undefined;
  /** Whether the result has `hidden_states`. @default that of the config, which is false */
  output_hidden_states?: boolean | undefined;
  /**
   * Whether the result has `router_logits` and `aux_loss`; of mixtures of experts.
   * @default that of the config, which is false
   */
  output_router_logits?: boolean | undefined;
  /** Whether the result has `attentions`. @default that of the config, which is false */
  output_attentions?: boolean | undefined;
  /** Aborts the call, which rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** And of a language model. */
export interface CausalLMInputs extends ForwardInputs {
  /** (rows, length) the tokens that are to be predicted, -100 where a position does not count: then the result has `loss`. */
  labels?: TokenIds | undefined;
  /** The last positions whose logits are wanted (0: all), or their indices. @default 0 */
  logits_to_keep?: number | readonly number[] | undefined;
}

/** What a call adds to one sequence. */
export interface InputRow {
  /** The columns (0 … length − 1) that it takes: all but padding before the sequence's first token. */
  readonly columns: Uint32Array;
  /** (columns) 1 where one is padding. */
  readonly padding?: Uint8Array;
  /** Slots of the cache that the mask hides. */
  readonly hides: readonly number[];
  readonly tokens?: Int32Array;
  /** (columns, hidden) */
  readonly embeds?: Float32Array;
  /** For RoPE. */
  readonly positions: Uint32Array;
  /** The largest of them + 1. */
  readonly reach: number;
}

export interface CheckedInputs {
  readonly length: number;
  readonly rows: readonly InputRow[];
}

/** The arguments of every class. */
export const forwardArguments: readonly string[] = [
  "input_ids",
  "inputs_embeds",
  "attention_mask",
  "position_ids",
  "past_key_values",
  "cache",
  "adapter",
  "adapter_names",
  "use_cache",
  "return_dict",
  "output_hidden_states",
  "output_attentions",
  "signal",
];

/**
 * The arguments of a call, each under one name.
 * @param own - arguments of the class beside those of every class
 * @throws {@link InputError} for one that the class does not know, with the nearest that it does
 */
export function checkArguments<T extends ForwardInputs>(inputs: T, own: readonly string[]): T {
  inputs = knownOptions(callArguments(inputs, "model"), "model", [...forwardArguments, ...own]);
  checkSignal(inputs.signal);
  if (inputs.return_dict === false) throw new InputError("return_dict: results always come as an object, found false");
  const { cache, ...rest } = inputs;
  if (cache === undefined) return inputs;
  if (inputs.past_key_values !== undefined && inputs.past_key_values !== cache)
    throw new InputError("cache and past_key_values are two names of one argument, found two caches");
  return { ...rest, past_key_values: cache } as T;
}

/** @throws {@link InputError} naming the argument that is wrong */
export function checkInputs(inputs: ForwardInputs, shape: ModelShape): CheckedInputs {
  const { input_ids, inputs_embeds, past_key_values } = inputs;
  if ((input_ids === undefined) === (inputs_embeds === undefined))
    throw new InputError("expected exactly one of input_ids and inputs_embeds");
  const ids = input_ids === undefined ? undefined : toRows(input_ids);
  for (const [b, row] of ids?.entries() ?? []) checkTokens(row, shape.vocab, `input_ids[${b}]`);
  const embeds = inputs_embeds === undefined ? undefined : checkEmbeds(inputs_embeds, shape.hidden);
  const batch = ids?.length ?? embeds!.length;
  const length = ids?.[0]?.length ?? embeds?.[0]?.length ?? 0;
  const tokens = ids ? length : length / shape.hidden;
  if (batch === 0 || tokens === 0) throw new InputError("input_ids: expected at least one token, found none");
  const past = past_key_values?.get_seq_length() ?? 0;
  if (past_key_values && past_key_values.rows.length !== batch)
    throw new InputError(`past_key_values: expected a cache of ${batch} rows, found ${past_key_values.rows.length}`);
  const masks =
    inputs.attention_mask === undefined ? undefined : checkMask(inputs.attention_mask, batch, past + tokens);
  const positions =
    inputs.position_ids === undefined ? undefined : checkPositions(inputs.position_ids, batch, tokens, shape);
  const rows = Array.from({ length: batch }, (_, b): InputRow => {
    const seen = past_key_values?.rows[b].length ?? 0;
    const mask = masks?.[b].subarray(past);
    const first = mask && seen === 0 ? (mask.includes(1) ? mask.indexOf(1) : tokens) : 0;
    const columns = Uint32Array.from({ length: tokens - first }, (_, i) => first + i);
    const own = columns.map((i) => positions?.[b % positions.length][i] ?? past + i);
    const before = masks?.[b].subarray(past - seen, past);
    return {
      columns,
      ...(mask?.includes(0, first) ? { padding: Uint8Array.from(columns, (i) => 1 - mask[i]) } : {}),
      hides: before ? [...before.keys()].filter((slot) => before[slot] === 0) : [],
      tokens: ids && Int32Array.from(columns, (i) => ids[b][i]),
      embeds: embeds && gatherEmbeds(embeds[b], columns, shape.hidden),
      positions: own,
      reach: reachOf(own),
    };
  });
  return { length: tokens, rows };
}

/**
 * The sequences in a row whose positions jump, as several texts packed into one row do: each begins where a position is
 * not the one before plus one. transformers isolates them where there is neither a mask nor a cache.
 */
export function packedSequences({ columns, tokens, embeds, positions, reach }: InputRow): InputRow[] {
  const starts = [...positions.keys()].filter((i) => i === 0 || positions[i] !== positions[i - 1] + 1);
  const width = embeds ? embeds.length / columns.length : 0;
  return starts.map((start, n) => {
    const end = starts[n + 1] ?? positions.length;
    return {
      columns: columns.subarray(start, end),
      hides: [],
      tokens: tokens?.subarray(start, end),
      embeds: embeds?.subarray(start * width, end * width),
      positions: positions.subarray(start, end),
      reach,
    };
  });
}

/** @throws {@link InputError} when an id is outside the vocabulary */
export function checkTokens(ids: Int32Array, vocab: number, what: string): void {
  const wrong = ids.findIndex((id) => id < 0 || id >= vocab);
  if (wrong >= 0) throw new InputError(`${what}[${wrong}]: expected a token id in [0, ${vocab}), found ${ids[wrong]}`);
}

function checkEmbeds(embeds: Tensor, hidden: number): Float32Array[] {
  if (
    !(embeds instanceof Tensor) ||
    embeds.type !== "float32" ||
    embeds.dims.length !== 3 ||
    embeds.dims[2] !== hidden
  ) {
    const found = embeds instanceof Tensor ? `${embeds.type} [${embeds.dims}]` : typeof embeds;
    throw new InputError(`inputs_embeds: expected a float32 Tensor [rows, length, ${hidden}], found ${found}`);
  }
  const [batch, length] = embeds.dims;
  const data = embeds.data as Float32Array;
  return Array.from({ length: batch }, (_, b) => data.subarray(b * length * hidden, (b + 1) * length * hidden));
}

function gatherEmbeds(row: Float32Array, columns: Uint32Array, hidden: number): Float32Array {
  const out = new Float32Array(columns.length * hidden);
  for (const [i, column] of columns.entries())
    out.set(row.subarray(column * hidden, (column + 1) * hidden), i * hidden);
  return out;
}

function checkMask(mask: TokenIds, batch: number, length: number): Int32Array[] {
  const rows = toRows(mask, "attention_mask");
  if (rows.length !== batch || rows[0].length !== length)
    throw new InputError(
      `attention_mask: expected [${batch}, ${length}] (past included), found [${rows.length}, ${rows[0]?.length}]`,
    );
  rows.forEach((row, b) => {
    const wrong = row.findIndex((v) => v !== 0 && v !== 1);
    if (wrong >= 0) throw new InputError(`attention_mask[${b}][${wrong}]: expected 0 or 1, found ${row[wrong]}`);
  });
  return rows;
}

function checkPositions(position_ids: TokenIds, batch: number, length: number, shape: ModelShape): Int32Array[] {
  const rows = toRows(position_ids, "position_ids");
  if ((rows.length !== 1 && rows.length !== batch) || rows[0].length !== length)
    throw new InputError(`position_ids: expected [${batch}, ${length}], found [${rows.length}, ${rows[0]?.length}]`);
  rows.forEach((row, b) => {
    const wrong = row.findIndex((p) => p < 0 || p >= shape.max_positions);
    if (wrong >= 0)
      throw new InputError(
        `position_ids[${b}][${wrong}]: expected a position in [0, ${shape.max_positions}), found ${row[wrong]}`,
      );
  });
  return rows;
}

/** The columns, of `length`, whose logits are wanted. @throws {@link InputError} */
export function keptColumns(keep: CausalLMInputs["logits_to_keep"], length: number): Uint32Array {
  if (keep === undefined || keep === 0) return Uint32Array.from({ length }, (_, i) => i);
  if (typeof keep === "number") {
    if (!Number.isInteger(keep) || keep < 0) throw new InputError(`logits_to_keep: expected a count, found ${keep}`);
    const count = Math.min(keep, length);
    return Uint32Array.from({ length: count }, (_, i) => length - count + i);
  }
  if (!Array.isArray(keep)) throw new InputError(`logits_to_keep: expected a count or indices, found ${show(keep)}`);
  if (new Set(keep).size < keep.length) throw new InputError("logits_to_keep: expected each index once");
  return Uint32Array.from(keep, (value: unknown, i) => {
    const column = typeof value === "number" && value < 0 ? length + value : value;
    if (typeof column !== "number" || !Number.isInteger(column) || column < 0 || column >= length)
      throw new InputError(`logits_to_keep[${i}]: expected an index below ${length}, found ${show(value)}`);
    return column;
  });
}
