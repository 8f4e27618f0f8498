// Reads the protocol buffers wire format, as much of it as a SentencePiece model uses. Every length is checked against
// the bytes at hand, nothing is copied, and nested messages are read only where the caller asks.
import { TokenizerError } from "../errors.ts";

/** A field of a message: a varint as a number (exact below 2^53), a length-delimited one as a view of its bytes. */
export interface Field {
  readonly number: number;
  /** Wire type 0 (varint) as a number, 1 and 5 (fixed) and 2 (length-delimited) as bytes. */
  readonly value: number | Uint8Array;
}

/**
 * The fields of one message, in order.
 * @param where - the message's name and file, for messages
 * @throws {@link TokenizerError} when a field ends past the message, or has a wire type that is no longer in use
 */
export function* fields(bytes: Uint8Array, where: string): Generator<Field> {
  let at = 0;
  const fail = (problem: string): never => {
    throw new TokenizerError(
      `${where}: expected a protocol buffers message: ${problem} at byte ${at} of ${bytes.length}`,
    );
  };
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) fail("a number ends past the message");
      const byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    return fail("a number has more than ten bytes");
  };
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) fail(`a field of ${length} bytes ends past the message`);
    return bytes.subarray(at, (at += length));
  };
  while (at < bytes.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    if (number === 0) fail("a field numbered 0");
    const wire = key % 8;
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 1) yield { number, value: take(8) };
    else if (wire === 2) yield { number, value: take(varint()) };
    else if (wire === 5) yield { number, value: take(4) };
    else fail(`wire type ${wire}`);
  }
}
