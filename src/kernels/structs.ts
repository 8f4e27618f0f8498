// Kernels with many arguments take them in a struct in memory. A struct's fields are listed once, in the order of its twin
// in cpp/kernels.h (tests/kernels/structs.test.ts compares the two); offsets and writers follow from the list. Every field
// is 32 bits wide: addresses and counts are u32.

export type FieldType = "u32" | "f32";

/** A list of fields in order, as offsets in words. */
export interface Struct<Fields extends Record<string, FieldType>> {
  readonly fields: Fields;
  /** (field) its place, in 32-bit words from the struct's start. */
  readonly word: { readonly [Name in keyof Fields]: number };
  readonly bytes: number;
}

/** The two views of one memory that a struct is written through. */
export interface WordViews {
  readonly u32: Uint32Array;
  readonly f32: Float32Array;
}

/** @example struct({ q: "u32", scale: "f32" }).word.scale // 1 */
export function struct<const Fields extends Record<string, FieldType>>(fields: Fields): Struct<Fields> {
  const names = Object.keys(fields);
  const word = Object.fromEntries(names.map((name, i) => [name, i])) as Struct<Fields>["word"];
  return { fields, word, bytes: names.length * 4 };
}

/** Writes some fields of the struct at `address`, a multiple of 4; the others stay. */
export function writeStruct<Fields extends Record<string, FieldType>>(
  memory: WordViews,
  address: number,
  { fields, word }: Struct<Fields>,
  values: { readonly [Name in keyof Fields]?: number },
): void {
  for (const name in values) memory[fields[name]][address / 4 + word[name]] = values[name]!;
}
