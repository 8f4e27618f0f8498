// What a forward call gives back, put together from its sequences: each has targets of its own, which the threads write to,
// packed as its rows are; at the end all are spread over the batch's columns.
import type { ModelShape } from "../config/shape.ts";
import { InputError } from "../errors.ts";
import { Tensor } from "../tensor.ts";
import type { InputRow } from "./inputs.ts";
import { loadBalancingLoss } from "./losses.ts";
import { type Captures, type HeadWants, sharedFloats, type Target, type Wants } from "./outputs.ts";
import type { ExactMath } from "./probabilities.ts";

/** What a call wants beside its keys and values. */
export interface ForwardWants {
  /** (row) columns whose logits are wanted, as many in each row; null where the class has no head. */
  readonly kept: readonly Uint32Array[] | null;
  /** Outputs of the head. */
  readonly size: number;
  /** (row, column) the next token, for the loss of a language model; -100 where a position does not count. */
  readonly labels?: readonly Int32Array[];
  /** All hidden states, or the last alone. */
  readonly hidden_states: boolean | "last";
  /** And the loss by which experts are to be balanced. */
  readonly router_logits: boolean;
  readonly attentions: boolean;
  /** Sums of squares that all rows are added to. */
  readonly squares?: Float64Array;
}

export interface ForwardResults {
  /** float32 (rows, kept, size) */
  logits?: Tensor;
  loss?: number;
  /** Where router logits are. */
  aux_loss?: number;
  hidden_states?: Tensor[];
  router_logits?: Tensor[];
  attentions?: Tensor[];
}

/** A label that does not count. */
const IGNORED = -100;

/** Sets of rows of one sequence that pass through the head, and where their results go. */
interface HeadRows {
  /** Rows of the sequence. */
  readonly rows: Uint32Array;
  /** The label of each, or IGNORED. */
  readonly labels: Int32Array;
  readonly values: Float32Array | undefined; // shared (rows, vocab)
  readonly losses: Float32Array | undefined; // shared (rows)
}

/** The targets of one sequence, and what they mean for the batch. */
export class RowOutputs {
  /** The row of the batch that the sequence is (a part of). */
  readonly batch_row: number;
  readonly columns: Uint32Array;
  /** (columns) 1 where one is padding. */
  readonly padding: Uint8Array | undefined;
  /** Rows whose logits are wanted, and rows whose loss alone is. */
  readonly heads: readonly HeadRows[];
  readonly hidden: readonly (Float32Array | undefined)[] | undefined; // layers + 1, shared (rows, hidden)
  readonly router: readonly Float32Array[] | undefined; // layers, shared (rows, experts)
  readonly attentions: readonly Float32Array[] | undefined; // layers, shared (heads, rows, keys)
  /** The first key, counted as positions of the sequence, that attentions have a column for; and how many there are. */
  readonly first_key: number;
  readonly keys: number;
  private readonly shape: ModelShape;
  private readonly size: number;
  private readonly squares: Float64Array | undefined;

  /** @param past - tokens of the sequence that came before */
  constructor(shape: ModelShape, batch_row: number, { columns, padding }: InputRow, past: number, wants: ForwardWants) {
    this.shape = shape;
    this.size = wants.size;
    this.squares = wants.squares;
    this.batch_row = batch_row;
    this.columns = columns;
    this.padding = padding;
    const { layers, hidden } = shape;
    const count = columns.length;
    const arrays = (lengths: readonly number[]) => lengths.map(sharedFloats);
    this.first_key = shape.window ? Math.max(0, past - shape.window + 1) : 0;
    this.keys = past + count - this.first_key;
    this.heads = this.headRows(wants);
    this.hidden = wants.hidden_states
      ? Array.from({ length: layers.length + 1 }, (_, l) =>
          wants.hidden_states === true || l === layers.length ? sharedFloats(count * hidden) : undefined,
        )
      : undefined;
    this.router = wants.router_logits ? arrays(layers.map(({ experts }) => count * experts)) : undefined;
    this.attentions = wants.attentions ? arrays(layers.map(({ heads }) => heads * count * this.keys)) : undefined;
  }

  private headRows({ kept, labels }: ForwardWants): HeadRows[] {
    if (!kept) return [];
    const wanted = new Set(kept[this.batch_row]);
    const row_labels = labels?.[this.batch_row];
    const of = (with_values: boolean): HeadRows => {
      const rows: number[] = [];
      const row_label: number[] = [];
      for (const [r, column] of this.columns.entries()) {
        const label = row_labels?.[column + 1] ?? IGNORED;
        if (wanted.has(column) !== with_values || (!with_values && label === IGNORED)) continue;
        rows.push(r);
        row_label.push(label);
      }
      return {
        rows: Uint32Array.from(rows),
        labels: Int32Array.from(row_label),
        values: with_values ? sharedFloats(rows.length * this.size) : undefined,
        losses: row_labels ? sharedFloats(rows.length) : undefined,
      };
    };
    return [of(true), of(false)].filter(({ rows }) => rows.length > 0);
  }

  /** What is wanted of the sequence's rows [from, to). */
  wants(from: number, to: number): Wants {
    return { heads: this.heads.flatMap((head) => this.headWants(head, from, to)), ...this.captures(from) };
  }

  private headWants({ rows, labels, values, losses }: HeadRows, from: number, to: number): HeadWants[] {
    const start = rows.findIndex((r) => r >= from);
    if (start < 0 || rows[start] >= to) return [];
    const beyond = rows.findIndex((r) => r >= to);
    const end = beyond < 0 ? rows.length : beyond;
    const target = (data: Float32Array, stride: number): Target => ({ data, stride, first: start });
    return [
      {
        rows: rows.slice(start, end).map((r) => r - from),
        ...(values ? { values: target(values, this.size) } : {}),
        ...(losses ? { losses: { labels: labels.slice(start, end), target: target(losses, 1) } } : {}),
      },
    ];
  }

  private captures(first: number): Captures {
    const { hidden, router, attentions, shape, keys, first_key, columns, squares } = this;
    return {
      hidden_states: hidden?.map((data) => data && { data, stride: shape.hidden, first }),
      router_logits: router?.map((data, l) => ({ data, stride: shape.layers[l].experts, first })),
      attentions: attentions?.map((data) => ({ data, stride: keys, first, rows: columns.length, first_key })),
      squares,
    };
  }
}

/** Puts the sequences' results together. @param length - columns of the call */
export function collectOutputs(
  math: ExactMath,
  shape: ModelShape,
  sequences: readonly RowOutputs[],
  batch: number,
  length: number,
  wants: ForwardWants,
): ForwardResults {
  const results: ForwardResults = {};
  const { kept } = wants;
  if (kept) results.logits = collectLogits(sequences, batch, length, kept, wants.size);
  const spread = (width: number, of: (outputs: RowOutputs) => Float32Array, dims: readonly number[]): Tensor => {
    const data = new Float32Array(batch * length * width);
    for (const outputs of sequences) {
      const from = of(outputs);
      for (const [r, column] of outputs.columns.entries())
        data.set(from.subarray(r * width, (r + 1) * width), (outputs.batch_row * length + column) * width);
    }
    return new Tensor("float32", data, dims);
  };
  const layers = [...shape.layers.keys()];
  if (wants.hidden_states)
    results.hidden_states = (wants.hidden_states === true ? [...layers, layers.length] : [layers.length]).map((l) =>
      spread(shape.hidden, ({ hidden }) => hidden![l]!, [batch, length, shape.hidden]),
    );
  if (wants.router_logits) {
    results.router_logits = layers.map((l) => {
      const { experts } = shape.layers[l];
      return spread(experts, ({ router }) => router![l], [batch * length, experts]);
    });
    results.aux_loss = loadBalancingLoss(
      math,
      shape,
      sequences.map(({ router, padding }) => ({ layers: router!, padding })),
    );
  }
  if (wants.attentions) results.attentions = layers.map((l) => collectAttentions(shape, sequences, batch, length, l));
  if (wants.labels) results.loss = meanLoss(sequences);
  return results;
}

function collectLogits(
  sequences: readonly RowOutputs[],
  batch: number,
  length: number,
  kept: readonly Uint32Array[],
  size: number,
): Tensor {
  const count = kept[0].length;
  const data = new Float32Array(batch * count * size);
  for (const { heads, columns, batch_row } of sequences) {
    const place = new Int32Array(length).fill(-1);
    for (const [i, column] of kept[batch_row].entries()) place[column] = i;
    for (const { rows, values } of heads) {
      for (const [i, r] of values ? rows.entries() : [])
        data.set(values!.subarray(i * size, (i + 1) * size), (batch_row * count + place[columns[r]]) * size);
    }
  }
  return new Tensor("float32", data, [batch, count, size]);
}

/** (rows, heads, length, keys): a sequence's keys are the last columns, as its own tokens are. */
function collectAttentions(
  shape: ModelShape,
  sequences: readonly RowOutputs[],
  batch: number,
  length: number,
  layer: number,
): Tensor {
  const { heads } = shape.layers[layer];
  const width = Math.max(...sequences.map(({ keys, columns }) => keys + length - columns.length));
  const data = new Float32Array(batch * heads * length * width);
  for (const { attentions, columns, keys, batch_row } of sequences) {
    const count = columns.length;
    const past = keys - count;
    // Keys of the call stand in the columns of their tokens; those before stand before them.
    const column = (key: number) => (key < past ? width - length - past + key : width - length + columns[key - past]);
    for (let h = 0; h < heads; h++) {
      for (let r = 0; r < count; r++) {
        const to = ((batch_row * heads + h) * length + columns[r]) * width;
        const from = (h * count + r) * keys;
        for (let key = 0; key < keys; key++) data[to + column(key)] = attentions![layer][from + key];
      }
    }
  }
  return new Tensor("float32", data, [batch, heads, length, width]);
}

/** Mean over the labels that count of −log softmax(logits before them). */
function meanLoss(sequences: readonly RowOutputs[]): number {
  let sum = 0;
  let count = 0;
  for (const { heads } of sequences) {
    const rows = heads.flatMap(({ rows, labels, losses }) =>
      [...rows].flatMap((r, i) => (labels[i] === IGNORED ? [] : [[r, losses![i]] as const])),
    );
    for (const [, loss] of rows.sort(([a], [b]) => a - b)) {
      sum += loss;
      count++;
    }
  }
  return sum / count;
}

/**
 * @param size - labels are below it, or -100
 * @param what - a label is, for the message
 * @param first - the first column whose label counts
 * @throws {@link InputError} when the labels do not match the input or are none
 */
export function checkLabels(
  labels: readonly Int32Array[],
  batch: number,
  length: number,
  size: number,
  what: string,
  first = 0,
): void {
  if (labels.length !== batch || labels[0].length !== length)
    throw new InputError(`labels: expected [${batch}, ${length}], found [${labels.length}, ${labels[0]?.length}]`);
  for (const [b, row] of labels.entries()) {
    const wrong = row.findIndex((label, i) => i >= first && label !== IGNORED && (label < 0 || label >= size));
    if (wrong >= 0)
      throw new InputError(`labels[${b}][${wrong}]: expected -100 or ${what} in [0, ${size}), found ${row[wrong]}`);
  }
}
