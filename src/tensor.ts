// Tensor: a typed array with dimensions, row-major, as transformers.js shapes it; and what is accepted as token ids.
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";
import { shownInOneLine } from "./inspected.ts";
import { cut, dimension, lines, type TensorSlice, viewed } from "./tensor_operations.ts";

/** The values of a tensor. */
export type TensorData = Float32Array | Int32Array | Uint8Array | Int8Array | BigInt64Array;
/** The type of a tensor's values. */
export type TensorType = "float32" | "int32" | "uint8" | "int8" | "int64";

/** One row of token ids; transformers.js has them as bigints. */
export type TokenRow = readonly number[] | readonly bigint[] | Int32Array | BigInt64Array;

/** Token ids as callers may pass them: one row or a batch of rows. */
export type TokenIds = TokenRow | readonly TokenRow[] | Tensor;

/** Nested arrays, as `tolist` returns. */
export type NestedArray = number | bigint | NestedArray[];

const arrays = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int64: BigInt64Array,
} as const;

const typeOf = (data: unknown): string =>
  Object.entries(arrays).find(([, array]) => data instanceof array)?.[0] ?? show(data);

/**
 * An n-dimensional array, row-major. `tensor[i]` is a view of row i (of one dimension: a number), and iterating gives the rows.
 * Views share `data` with the tensor they come from.
 */
export class Tensor {
  /** The type of the values. */
  readonly type: TensorType;
  /** How many there are along each dimension. */
  readonly dims: number[];
  /** The values, row by row. */
  readonly data: TensorData;
  /** Row i: a Tensor view (or the value itself where dims has one entry). */
  readonly [index: number]: any;

  /** @throws {@link InputError} when `data` does not hold exactly the product of `dims` values */
  constructor(type: TensorType, data: TensorData | ArrayLike<number>, dims: readonly number[]) {
    if (typeof type !== "string" || !Object.hasOwn(arrays, type))
      throw new InputError(`Tensor: expected a type of ${Object.keys(arrays).join(", ")}, found ${show(type)}`);
    if (!Array.isArray(dims) || !dims.every((size) => Number.isInteger(size) && size >= 0))
      throw new InputError(`Tensor: expected dims of whole numbers, found ${show(dims)}`);
    if (!ArrayBuffer.isView(data) && !Array.isArray(data))
      throw new InputError(`Tensor: expected data of type ${type} or an array of numbers, found ${show(data)}`);
    const typed = ArrayBuffer.isView(data) ? (data as TensorData) : fromArray(type, data as ArrayLike<number>);
    if (!(typed instanceof arrays[type]))
      throw new InputError(`Tensor: expected data of type ${type}, found ${typeOf(typed)}`);
    const size = dims.reduce((a, b) => a * b, 1);
    if (typed.length !== size)
      throw new InputError(`Tensor: dims [${dims}] need ${size} values, found ${typed.length}`);
    this.type = type;
    this.data = typed;
    this.dims = [...dims];
    // biome-ignore lint/correctness/noConstructorReturn: the proxy gives tensor[i], as transformers.js does
    return new Proxy(this, rowAccess);
  }

  /** Number of values. */
  get size(): number {
    return this.data.length;
  }

  /** Number of rows: the first dimension. */
  get length(): number {
    return this.dims[0] ?? 0;
  }

  /** View of row i (the value itself for a one-dimensional tensor). */
  row(i: number): any {
    if (!Number.isInteger(i) || i < 0 || i >= this.length)
      throw new InputError(`Tensor: expected a row in [0, ${this.length}), found ${show(i)}`);
    if (this.dims.length === 1) return this.data[i];
    const dims = this.dims.slice(1);
    const step = dims.reduce((a, b) => a * b, 1);
    return new Tensor(this.type, this.data.subarray(i * step, (i + 1) * step), dims);
  }

  /** Rows [start, end) as a view; negative values count from the end. */
  slice(start?: number, end?: number): Tensor;
  /**
   * A copy of a piece, a slice for each dimension, as in transformers.js: `null` takes all, `[start, end]` a part, a number
   * one index, whose dimension is left out. At least one is null or a pair: two numbers are rows.
   * @example
   * const { logits } = await model({ input_ids: [ids] });
   * logits.slice(null, -1).dims // [1, 1536]
   */
  slice(...slices: TensorSlice[]): Tensor;
  slice(...slices: (TensorSlice | undefined)[]): Tensor {
    if (slices.some((slice) => typeof slice === "object")) {
      const { data, dims } = cut(
        this.data,
        this.dims,
        slices.map((slice) => slice ?? null),
      );
      return new Tensor(this.type, data, dims);
    }
    const [start = 0, end = this.length] = slices as number[];
    for (const end_ of [start, end])
      if (typeof end_ !== "number") throw new InputError(`Tensor: slice: expected numbers, found ${show(end_)}`);
    const clamp = (n: number) => Math.min(this.length, Math.max(0, n < 0 ? this.length + n : n));
    const [from, to] = [clamp(start), Math.max(clamp(start), clamp(end))];
    const step = this.dims.slice(1).reduce((a, b) => a * b, 1);
    return new Tensor(this.type, this.data.subarray(from * step, to * step), [to - from, ...this.dims.slice(1)]);
  }

  /** The one value of a tensor that has one. @throws {@link InputError} when it has another number of them */
  item(): number | bigint {
    if (this.size !== 1) throw new InputError(`Tensor: item: expected one value, found ${this.size}`);
    return this.data[0];
  }

  /** The same values with other dimensions, one of which may be -1. @throws {@link InputError} when they do not fit */
  view(...dims: number[]): Tensor {
    return new Tensor(this.type, this.data, viewed(dims, this.size));
  }

  /** A view without dimensions of size 1, or without this one if it is. */
  squeeze(dim?: number): Tensor {
    const one = dim === undefined ? undefined : dimension(dim, this.dims);
    const dims = this.dims.filter((size, i) => size !== 1 || (one !== undefined && i !== one));
    return new Tensor(this.type, this.data, dims);
  }

  /** A view with a dimension of size 1 more, before `dim`. */
  unsqueeze(dim: number): Tensor {
    const at = dimension(dim, [...this.dims, 1]);
    return new Tensor(this.type, this.data, this.dims.toSpliced(at, 0, 1));
  }

  /** A copy. */
  clone(): Tensor {
    return new Tensor(this.type, this.data.slice(), this.dims);
  }

  /** A copy of another type, rounded and wrapped as typed arrays do it. */
  to(type: TensorType): Tensor {
    const values = Array.from(this.data as Float32Array, type === "int64" ? Math.trunc : Number);
    return new Tensor(type, this.type === type ? this.data.slice() : values, this.dims);
  }

  /** int32: where along a dimension the largest value stands, the first among equals; of all values together where none is named. */
  argmax(dim?: number, keepdim = false): Tensor {
    if (dim === undefined) return new Tensor("int32", [largest(this.data, 0, this.size, 1)], []);
    const along = dimension(dim, this.dims);
    const found = Array.from(lines(this.dims, along), ({ start, length, step }) =>
      largest(this.data, start, length, step),
    );
    return new Tensor("int32", found, keepdim ? this.dims.with(along, 1) : this.dims.toSpliced(along, 1));
  }

  /**
   * float32: the probabilities that scores stand for, along a dimension. In double precision by `Math.exp`, whose last bit may
   * differ from engine to engine.
   */
  softmax(dim = -1): Tensor {
    const along = dimension(dim, this.dims);
    const out = new Float32Array(this.size);
    for (const { start, length, step } of lines(this.dims, along)) {
      const most = length > 0 ? Number(this.data[start + step * largest(this.data, start, length, step)]) : 0;
      const powers = Array.from({ length }, (_, i) => Math.exp(Number(this.data[start + i * step]) - most));
      const sum = powers.reduce((a, b) => a + b, 0);
      for (const [i, power] of powers.entries()) out[start + i * step] = power / sum;
    }
    return new Tensor("float32", out, this.dims);
  }

  /** The values as nested plain arrays. */
  tolist(): any {
    if (this.dims.length === 0) return this.data[0];
    if (this.dims.length === 1) return Array.from(this.data as Float32Array);
    return Array.from({ length: this.length }, (_, i) => this.row(i).tolist());
  }

  *[Symbol.iterator](): IterableIterator<any> {
    for (let i = 0; i < this.length; i++) yield this.row(i);
  }
}

shownInOneLine(Tensor, ({ type, dims }) => `Tensor ${type} [${dims.join(", ")}]`);

/** Which of some values is the largest, the first among equals. */
function largest(data: TensorData, start: number, length: number, step: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (data[start + i * step] > data[start + best * step]) best = i;
  return best;
}

const rowAccess: ProxyHandler<Tensor> = {
  get(target, key) {
    if (typeof key === "string" && /^\d+$/.test(key)) {
      const i = Number(key);
      return i < target.length ? target.row(i) : undefined;
    }
    const value = Reflect.get(target, key, target);
    return typeof value === "function" ? value.bind(target) : value;
  },
};

function fromArray(type: TensorType, values: ArrayLike<number>): TensorData {
  try {
    return type === "int64" ? BigInt64Array.from(Array.from(values, BigInt)) : arrays[type].from(values);
  } catch (cause) {
    throw new InputError(`Tensor: expected numbers that ${type} holds: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Token ids in any accepted form as rows of integers; a single row becomes a batch of one.
 * @param what - the argument's name, for messages
 * @throws {@link InputError} when rows differ in length or hold something other than integers
 */
export function toRows(ids: TokenIds, what = "input_ids"): Int32Array[] {
  const row = (values: ArrayLike<unknown>, at: number): Int32Array => {
    if (values instanceof Int32Array) return values.slice();
    const out = new Int32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const v = typeof values[i] === "bigint" ? Number(values[i]) : values[i];
      if (!Number.isInteger(v) || v !== ((v as number) | 0))
        throw new InputError(`${what}[${at}][${i}]: expected an integer, found ${show(values[i])}`);
      out[i] = v as number;
    }
    return out;
  };
  let rows: Int32Array[];
  if (ids instanceof Tensor) {
    if (ids.dims.length === 1) rows = [row(ids.data, 0)];
    else if (ids.dims.length === 2) rows = Array.from({ length: ids.dims[0] }, (_, i) => row(ids.row(i).data, i));
    else throw new InputError(`${what}: expected dims [rows, length], found [${ids.dims}]`);
  } else if (ids instanceof Int32Array || ids instanceof BigInt64Array) rows = [row(ids, 0)];
  else if (!Array.isArray(ids))
    throw new InputError(`${what}: expected number[], number[][], Int32Array or Tensor, found ${show(ids)}`);
  else if (ids.length > 0 && typeof ids[0] === "object") {
    rows = Array.from(ids as unknown[], (r, i) => {
      if (!Array.isArray(r) && !(ArrayBuffer.isView(r) && "length" in r))
        throw new InputError(`${what}[${i}]: expected a row of integers, found ${show(r)}`);
      return row(r as ArrayLike<unknown>, i);
    });
  } else rows = [row(ids as number[], 0)];
  const ragged = rows.findIndex((r) => r.length !== rows[0].length);
  if (ragged > 0)
    throw new InputError(
      `${what}: row ${ragged} has ${rows[ragged].length} ids, row 0 has ${rows[0].length}; pad them to one length`,
    );
  return rows;
}
