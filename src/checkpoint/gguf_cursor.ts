// Walks over the beginning of a GGUF file that has been read so far: numbers, strings and metadata values, never past
// the file's end, and never taking memory for a count that the rest of the file cannot hold.
import { show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import {
  arrayTypeId,
  type GGUFScalarType,
  type GGUFType,
  type GGUFValue,
  leastBytes,
  numberTypes,
  typeNames,
} from "./gguf_types.ts";

/** Thrown where the bytes read so far end before the file does: read at least `needed` and go on from before. */
export class PrefixEnd {
  readonly needed: number;
  constructor(needed: number) {
    this.needed = needed;
  }
}

/** Entries of an array of strings or bools; the largest vocabularies in use have half as many merges. */
const mostEntries = 2 ** 20;

export class GGUFCursor {
  /** Bytes from the start of the file. */
  position: number;
  private readonly data: Uint8Array;
  private readonly view: DataView;
  private readonly size: number;
  private readonly where: string;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  /**
   * @param prefix - the first bytes of the file
   * @param size - bytes of the whole file
   * @param where - the file's path, for messages
   * @param position - where to go on
   */
  constructor(prefix: Uint8Array, size: number, where: string, position = 0) {
    this.position = position;
    this.data = prefix;
    this.view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
    this.size = size;
    this.where = where;
  }

  fail(message: string): CheckpointError {
    return new CheckpointError(`${this.where}: ${message}`);
  }

  /** Steps over `length` bytes and returns where they begin. @throws {@link PrefixEnd} or CheckpointError */
  private take(length: number, what: string): number {
    const start = this.position;
    if (length > this.size - start)
      throw this.fail(`truncated: ${what} needs ${length} bytes at ${start}, but the file ends at ${this.size} bytes`);
    if (start + length > this.data.length) throw new PrefixEnd(start + length);
    this.position = start + length;
    return start;
  }

  u32(what: string): number {
    return this.view.getUint32(this.take(4, what), true);
  }

  /** A u64 as a number: exact up to 2^53, and above that still far too large for whatever it counts. */
  u64(what: string): number {
    const at = this.take(8, what);
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** A u64 that counts things of at least `least` bytes each. */
  count(what: string, least: number): number {
    const count = this.u64(what);
    const rest = this.size - this.position;
    if (count > rest / least)
      throw this.fail(
        `${what}: expected at most ${Math.floor(rest / least)}, as the file ends ${rest} bytes later, found ${count}`,
      );
    return count;
  }

  bytes(length: number, what: string): Uint8Array {
    const at = this.take(length, what);
    return this.data.subarray(at, at + length);
  }

  /** A string: u64 length and UTF-8. */
  string(what: string): string {
    const bytes = this.bytes(this.count(`${what}: string length`, 1), what);
    try {
      return this.decoder.decode(bytes);
    } catch (cause) {
      throw new CheckpointError(`${this.where}: ${what}: expected UTF-8, found bytes that are not UTF-8`, { cause });
    }
  }

  /** A metadata value with its type before it. */
  value(key: string): { type: GGUFType; value: GGUFValue } {
    const type = this.type(key);
    if (type !== "array") return { type, value: this.scalar(type, key) };
    const item = this.type(key);
    if (item === "array") throw this.fail(`${key}: nested arrays (an array of arrays) are not supported`);
    return { type: `${item}[]`, value: this.array(item, key) };
  }

  private type(key: string): GGUFScalarType | "array" {
    const id = this.u32(`${key}: value type`);
    const name = typeNames[id];
    if (!name)
      throw this.fail(
        `${key}: expected a value type of 0 to ${typeNames.length - 1} (array ${arrayTypeId}), found ${id}`,
      );
    return name;
  }

  private scalar(type: GGUFScalarType, key: string): number | bigint | boolean | string {
    if (type === "string") return this.string(key);
    if (type === "bool") return this.bool(key);
    const value = this.numbers(type, 1, key)[0];
    const small = typeof value === "bigint" && Number.isSafeInteger(Number(value));
    return small ? Number(value) : value;
  }

  private array(type: GGUFScalarType, key: string): GGUFValue {
    const count = this.count(`${key}: array length`, leastBytes(type));
    if (type !== "string" && type !== "bool") return this.numbers(type, count, key);
    if (count > mostEntries)
      throw this.fail(`${key}: expected at most ${mostEntries} entries of type ${type}, found ${count}`);
    // Grown entry by entry: the count is only known to fit the file, not the bytes read so far.
    const values: (string | boolean)[] = [];
    for (let i = 0; i < count; i++)
      values.push(type === "string" ? (this.plainString() ?? this.string(`${key}[${i}]`)) : this.bool(`${key}[${i}]`));
    return values as string[] | boolean[];
  }

  /** A string that lies within the bytes read so far; nothing where it does not, or is wrong. */
  private plainString(): string | undefined {
    const { position, data, view } = this;
    const start = position + 8;
    if (start > data.length || view.getUint32(position + 4, true) !== 0) return undefined;
    const end = start + view.getUint32(position, true);
    if (end > data.length) return undefined;
    try {
      const text = this.decoder.decode(data.subarray(start, end));
      this.position = end;
      return text;
    } catch {
      return undefined;
    }
  }

  private bool(key: string): boolean {
    const value = this.data[this.take(1, key)];
    if (value > 1) throw this.fail(`${key}: expected a bool of 0 or 1, found ${show(value)}`);
    return value === 1;
  }

  /** Copied, because the values need not be aligned in the file. */
  private numbers(type: GGUFScalarType, count: number, key: string) {
    const { bytes, array } = numberTypes[type]!;
    const at = this.take(count * bytes, key);
    return new array(this.data.slice(at, at + count * bytes).buffer);
  }
}
