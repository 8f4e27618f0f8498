// What tensors do beside giving rows: pieces of several dimensions, and one number for each line along a dimension. On bare
// row-major arrays; tensor.ts makes tensors of them.
import { show } from "./config/show.ts";
import { InputError } from "./errors.ts";

/** Of one dimension: an index, which it is left out for; [start, end); or all. Negative numbers count from the end. */
export type TensorSlice = number | readonly [start: number | null, end: number | null] | null;

/** What is indexed and cut: any of the typed arrays. */
type Values = Float32Array | Int32Array | Uint8Array | Int8Array | BigInt64Array;

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** From where to where a slice of `size` goes; start and end where it is an index, too. @throws {@link InputError} */
function range(slice: TensorSlice, size: number, dim: number): readonly [number, number] {
  const whole = (n: unknown): n is number => Number.isInteger(n);
  if (slice === null) return [0, size];
  if (whole(slice)) {
    const index = slice < 0 ? size + slice : slice;
    if (index >= 0 && index < size) return [index, index + 1];
    throw new InputError(`Tensor: slice: expected an index below ${size} for dimension ${dim}, found ${slice}`);
  }
  if (!Array.isArray(slice) || slice.length !== 2 || !slice.every((end) => end === null || whole(end)))
    throw new InputError(
      `Tensor: slice: expected a number, [start, end] or null for dimension ${dim}, found ${show(slice)}`,
    );
  const clamp = (n: number) => Math.min(size, Math.max(0, n < 0 ? size + n : n));
  const from = clamp(slice[0] ?? 0);
  return [from, Math.max(from, clamp(slice[1] ?? size))];
}

/** A copy of what slices leave of each dimension. @throws {@link InputError} for slices that are none, or too many */
export function cut<T extends Values>(
  data: T,
  dims: readonly number[],
  slices: readonly TensorSlice[],
): { data: T; dims: number[] } {
  if (slices.length > dims.length)
    throw new InputError(`Tensor: slice: expected at most ${dims.length} slices, found ${slices.length}`);
  const ranges = dims.map((size, dim) => range(slices[dim] ?? null, size, dim));
  const sizes = ranges.map(([from, to]) => to - from);
  const out = data.slice(0, product(sizes)) as T;
  let at = 0;
  const copy = (dim: number, start: number): void => {
    if (dim === dims.length) {
      out[at++] = data[start];
      return;
    }
    const step = product(dims.slice(dim + 1));
    for (let i = ranges[dim][0]; i < ranges[dim][1]; i++) copy(dim + 1, start + i * step);
  };
  copy(0, 0);
  return { data: out, dims: sizes.filter((_, dim) => typeof slices[dim] !== "number") };
}

/** A dimension that there is, counted from the front. @throws {@link InputError} */
export function dimension(dim: number, dims: readonly number[]): number {
  if (!Number.isInteger(dim) || dim < -dims.length || dim >= dims.length)
    throw new InputError(`Tensor: expected a dimension of [${dims}], found ${show(dim)}`);
  return dim < 0 ? dims.length + dim : dim;
}

/** The sizes of a view, of which one may be -1: what is left. @throws {@link InputError} when the view is of another size */
export function viewed(sizes: readonly number[], size: number): number[] {
  const rest = sizes.indexOf(-1);
  const dims = rest < 0 ? [...sizes] : sizes.toSpliced(rest, 1, size / product(sizes.toSpliced(rest, 1)));
  if (!dims.every((n) => Number.isInteger(n) && n >= 0) || product(dims) !== size)
    throw new InputError(`Tensor: view: expected sizes of ${size} values together, found [${sizes}]`);
  return dims;
}

/** The lines along a dimension, in the order in which they stand: where each begins, its length, and its step. */
export function* lines(
  dims: readonly number[],
  dim: number,
): Generator<{ start: number; length: number; step: number }> {
  const [length, step] = [dims[dim], product(dims.slice(dim + 1))];
  const outer = product(dims.slice(0, dim));
  for (let o = 0; o < outer; o++) for (let i = 0; i < step; i++) yield { start: o * length * step + i, length, step };
}
