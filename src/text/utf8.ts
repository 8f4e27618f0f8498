// What bytes are to UTF-8, as RFC 3629 has it: without overlong forms and surrogates.

/** Bytes of the character that a byte begins; 0 where it begins none. Source: RFC 3629, section 4. */
const leadLength = (byte: number): number =>
  byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;

/** What a few bytes are, at least one. */
export function utf8State(bytes: ArrayLike<number>): "whole" | "begun" | "broken" {
  const length = leadLength(bytes[0]);
  if (length === 0) return "broken";
  for (let i = 1; i < bytes.length; i++) {
    const low = i > 1 ? 0x80 : bytes[0] === 0xe0 ? 0xa0 : bytes[0] === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : bytes[0] === 0xed ? 0x9f : bytes[0] === 0xf4 ? 0x8f : 0xbf;
    if (bytes[i] < low || bytes[i] > high) return "broken";
  }
  return bytes.length === length ? "whole" : bytes.length < length ? "begun" : "broken";
}

/** How many bytes at the end are the beginning of a character that bytes to come can still complete: 0 to 3. */
export function begunAtEnd(bytes: Uint8Array): number {
  for (let count = Math.min(3, bytes.length); count > 0; count--)
    if (utf8State(bytes.subarray(bytes.length - count)) === "begun") return count;
  return 0;
}
