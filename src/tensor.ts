// Tensor: a typed array with dimensions, row-major, as transformers.js shapes it; and what is accepted as token ids.
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";

export type TensorData = Float32Array | Int32Array | Uint8Array | Int8Array | BigInt64Array;
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
 * An n-dimensional array, row-major. `tensor[i]` is a view of row i, and iterating gives the rows.
 * Views share `data` with the tensor they come from.
 */
export class Tensor {
  readonly type: TensorType;
  readonly dims: number[];
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
  slice(start = 0, end = this.length): Tensor {
    for (const end_ of [start, end])
      if (typeof end_ !== "number") throw new InputError(`Tensor: slice: expected numbers, found ${show(end_)}`);
    const clamp = (n: number) => Math.min(this.length, Math.max(0, n < 0 ? this.length + n : n));
    const [from, to] = [clamp(start), Math.max(clamp(start), clamp(end))];
    const step = this.dims.slice(1).reduce((a, b) => a * b, 1);
    return new Tensor(this.type, this.data.subarray(from * step, to * step), [to - from, ...this.dims.slice(1)]);
  }

  /** The values as nested plain arrays. */
  tolist(): any {
    if (this.dims.length <= 1) return Array.from(this.data as Float32Array);
    return Array.from({ length: this.length }, (_, i) => this.row(i).tolist());
  }

  *[Symbol.iterator](): IterableIterator<any> {
    for (let i = 0; i < this.length; i++) yield this.row(i);
  }
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
