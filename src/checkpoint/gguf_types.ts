// GGUF's metadata types: their ids, sizes, and the JavaScript values that stand for them.
// Source: the GGUF specification. Numbers are little-endian, as WebAssembly's are and as every host of this engine is.

/** What GGUF calls the types of its metadata. */
export type GGUFScalarType =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "string"
  | "u64"
  | "i64"
  | "f64";

/** `u32` is one value, `u32[]` an array of them. */
export type GGUFType = GGUFScalarType | `${GGUFScalarType}[]`;

/** A list of numbers in a GGUF file's metadata. */
export type GGUFNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** A bigint only where a u64 or i64 is no exact number. */
export type GGUFValue = number | bigint | boolean | string | GGUFNumbers | boolean[] | string[];

interface NumberType {
  readonly bytes: number;
  /** Makes the array for values of this type. */
  readonly array: new (
    buffer: ArrayBuffer,
  ) => GGUFNumbers;
}

/** The types by id; 9 is the array. */
export const typeNames: readonly (GGUFScalarType | "array")[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
];
export const arrayTypeId = 9;

/** The types whose arrays are typed arrays. */
export const numberTypes: Readonly<Partial<Record<GGUFScalarType, NumberType>>> = {
  u8: { bytes: 1, array: Uint8Array },
  i8: { bytes: 1, array: Int8Array },
  u16: { bytes: 2, array: Uint16Array },
  i16: { bytes: 2, array: Int16Array },
  u32: { bytes: 4, array: Uint32Array },
  i32: { bytes: 4, array: Int32Array },
  f32: { bytes: 4, array: Float32Array },
  u64: { bytes: 8, array: BigUint64Array },
  i64: { bytes: 8, array: BigInt64Array },
  f64: { bytes: 8, array: Float64Array },
};

/** The fewest bytes that a value of a type takes: a string has at least its length. */
export const leastBytes = (type: GGUFScalarType): number => numberTypes[type]?.bytes ?? (type === "string" ? 8 : 1);

export const magic = [0x47, 0x47, 0x55, 0x46]; // "GGUF"

/** Where tensor data may begin: multiples of this, unless `general.alignment` says otherwise. */
export const defaultAlignment = 32;

/** The key of {@link defaultAlignment}'s replacement: a power of two of at most {@link largestAlignment}. */
export const alignmentKey = "general.alignment";
export const largestAlignment = 2 ** 20;

export const isAlignment = (value: unknown): value is number =>
  Number.isInteger(value) &&
  (value as number) > 0 &&
  (value as number) <= largestAlignment &&
  Number.isInteger(Math.log2(value as number));
