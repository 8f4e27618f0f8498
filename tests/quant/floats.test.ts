// Plain floats on the host: every pattern of 16 bits, and every value half way between two neighbours, by what the formats are.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeFloats, encodeFloats } from "../../src/quant/floats.ts";

/** What a pattern stands for, from the definition of the formats. */
function value(name: "F16" | "BF16", bits: number): number {
  const [width, bias] = name === "F16" ? [10, 15] : [7, 127];
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> width;
  const mantissa = (bits & ((1 << width) - 1)) / 2 ** width;
  if (exponent === 2 * bias + 1) return mantissa ? NaN : sign * Infinity;
  return exponent ? sign * (1 + mantissa) * 2 ** (exponent - bias) : sign * mantissa * 2 ** (1 - bias);
}

const words = (bytes: Uint8Array): number[] => [...new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)];

for (const name of ["F16", "BF16"] as const) {
  const patterns = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const values = decodeFloats(name, new Uint8Array(patterns.buffer));

  test(`${name}: every pattern is its value, and back`, () => {
    const back = words(encodeFloats(name, values));
    for (let bits = 0; bits < 65536; bits++) {
      const expected = value(name, bits);
      if (!Object.is(values[bits], expected))
        assert.unreachable(`${bits.toString(16)} is ${values[bits]}, ${expected}`);
      if (Number.isNaN(expected)) assert.ok(Number.isNaN(value(name, back[bits])));
      else if (back[bits] !== bits) assert.unreachable(`${expected} became ${back[bits].toString(16)}`);
    }
  });

  test(`${name}: what lies between two values becomes the nearer, half way the even one`, () => {
    const infinite = name === "F16" ? 0x7c00 : 0x7f80;
    const between: number[] = [];
    const expected: number[] = [];
    for (let bits = 0; bits < infinite; bits++) {
      const low = value(name, bits);
      // Behind the largest, as if there were one more: that is where infinity begins.
      const high = bits + 1 === infinite ? low + (low - value(name, bits - 1)) : value(name, bits + 1);
      const half = (low + high) / 2;
      between.push(half, half - (high - low) * 2 ** -30, half + (high - low) * 2 ** -30, -half);
      const even = bits % 2 ? bits + 1 : bits;
      expected.push(even, bits, bits + 1, even | 0x8000);
    }
    const found = words(encodeFloats(name, between));
    const wrong = found.findIndex((bits, i) => bits !== expected[i]);
    assert.is(wrong, -1, `${between[wrong]} became ${found[wrong]}, expected ${expected[wrong]}`);
    assert.equal(words(encodeFloats(name, [1e300, -1e300, 1e-300, 0, -0])), [
      infinite,
      infinite | 0x8000,
      0,
      0,
      0x8000,
    ]);
  });
}

test("F32: the runtime's own rounding; bytes that begin anywhere", () => {
  const values = [1, -0, 1 / 3, 1e-45, 3.4e38, 1e39, -Infinity];
  const bytes = encodeFloats("F32", values);
  const moved = new Uint8Array(bytes.length + 1);
  moved.set(bytes, 1);
  assert.equal([...decodeFloats("F32", moved.subarray(1))], values.map(Math.fround));
});

test.run();
