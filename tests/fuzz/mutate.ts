// Mutations of good files, drawn from a seed: the same seed gives the same mutant on every machine.

import { uniform } from "../kernels/random.ts";

/** Draws whole numbers: `draw(n)` is one of 0 … n-1. */
export type Draw = (n: number) => number;

/** The draws of one mutant: a stream of its own for each seed and number. */
export function drawsOf(seed: number, index: number): Draw {
  const next = uniform(Math.imul(seed, 0x85ebca6b) ^ Math.imul(index, 0xc2b2ae35));
  return (n) => Math.floor(next() * n);
}

/** Half of the mutants have one mutation, to get far; the others up to four. */
const howMany = (draw: Draw): number => (draw(2) ? 1 : 1 + draw(4));

const concat = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

// Integers that counts, lengths and offsets break on, as eight little-endian bytes.
const numbers = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0xffffn,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n,
  2n ** 64n - 1n,
];

type Mutation = (bytes: Uint8Array, at: number, draw: Draw) => Uint8Array;

const changeByte: Mutation = (bytes, at, draw) => {
  const copy = bytes.slice();
  copy[at] = draw(256);
  return copy;
};

const flipBit: Mutation = (bytes, at, draw) => {
  const copy = bytes.slice();
  copy[at] ^= 1 << draw(8);
  return copy;
};

const putNumber: Mutation = (bytes, at, draw) => {
  const copy = bytes.slice();
  const number = new DataView(new ArrayBuffer(8));
  number.setBigUint64(0, numbers[draw(numbers.length)], true);
  const length = Math.min([1, 2, 4, 8][draw(4)], copy.length - at);
  copy.set(new Uint8Array(number.buffer, 0, length), at);
  return copy;
};

const truncate: Mutation = (bytes, at) => bytes.slice(0, at);
const remove: Mutation = (bytes, at, draw) => concat(bytes.subarray(0, at), bytes.subarray(at + 1 + draw(64)));
const repeat: Mutation = (bytes, at, draw) => concat(bytes.subarray(0, at + 1 + draw(64)), bytes.subarray(at));

const copyOver: Mutation = (bytes, at, draw) => {
  const copy = bytes.slice();
  copy.copyWithin(at, draw(bytes.length), draw(bytes.length));
  return copy;
};

const binary = [
  changeByte,
  changeByte,
  flipBit,
  flipBit,
  putNumber,
  putNumber,
  putNumber,
  truncate,
  remove,
  repeat,
  copyOver,
];

/**
 * One to four mutations of a binary file.
 * @param header - most of the mutations fall into the first so many bytes
 */
export function mutateBytes(good: Uint8Array, header: number, draw: Draw): Uint8Array {
  let bytes = good;
  for (let left = howMany(draw); left > 0 && bytes.length > 0; left--) {
    const range = draw(8) === 0 ? bytes.length : Math.min(header, bytes.length);
    bytes = binary[draw(binary.length)](bytes, draw(range), draw);
  }
  return bytes;
}

// What may stand where a JSON value stood.
const values = [
  "0",
  "-1",
  "1",
  "2",
  "1.5",
  "1e999",
  "-0",
  "4294967296",
  "9007199254740993",
  "1e300",
  "null",
  "true",
  "false",
  '""',
  '"x"',
  '"../x"',
  '"\\u0000"',
  '"\\ud800"',
  "[]",
  "{}",
  "[[]]",
  "[0,0]",
  "[-1]",
  '{"a":1}',
  '"F16"',
  "[".repeat(200),
  "",
];

const anyToken = /"[^"]*"|-?\d[\d.e+-]*|true|false|null|[{}[\]:,]/g;
/** Tokens that are values, not keys: the text stays JSON when one takes another's place. */
const valueToken = /(?<=[:[,]\s*)(?:"[^"]*"|-?\d[\d.e+-]*|true|false|null)(?=\s*[,}\]])/g;

// What a template may try: work and text without end, depth, and what it has no business with.
const fragments = [
  "{% for i in range(60000) %}",
  "{% endfor %}",
  "{% if true %}",
  "{% endif %}",
  "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "{% set ns = namespace(s='x') %}{% for i in range(50) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
  "{{ 'x' * 10 ** 9 }}",
  "{{ messages * 100000 }}",
  "{{ messages | tojson(indent=100000) }}",
  "{{ messages[0].__proto__.constructor }}",
  "{{ raise_exception('no') }}",
  "{{ strftime_now('%Y') }}",
  "{{ 1 // 0 }}",
  "{{ undefined.attribute }}",
  "{{ messages[:: 0] }}",
  "{{ (".repeat(500),
  "{%",
  "}}",
  "{#",
  "-%}",
  " ".repeat(3000),
  "\ud800",
];
const anyPiece = /\{[%{#]-?|-?[%}#]\}|\w+|\s+|[^\s\w]/g;

/** One to four pieces of a template replaced by others of it or by what a template may try, left out, or doubled. */
export function mutateTemplate(good: string, draw: Draw): string {
  let text = good;
  for (let left = howMany(draw); left > 0; left--) {
    const pieces = [...text.matchAll(anyPiece)];
    if (pieces.length === 0) return text;
    const [piece, other] = [pieces[draw(pieces.length)], pieces[draw(pieces.length)]];
    const fragment = fragments[draw(fragments.length)];
    const into = [fragment, fragment + piece[0], other[0], piece[0] + piece[0], "", String(2 ** draw(64))];
    text = text.slice(0, piece.index) + into[draw(into.length)] + text.slice(piece.index + piece[0].length);
  }
  return text;
}

/** One to four values of a JSON text replaced, or tokens left out, doubled or broken. */
export function mutateJSON(good: string, draw: Draw): string {
  let text = good;
  for (let left = howMany(draw); left > 0; left--) {
    const stays = draw(4) > 0;
    const tokens = [...text.matchAll(stays ? valueToken : anyToken)];
    if (tokens.length === 0) return text;
    const token = tokens[draw(tokens.length)];
    const [before, after] = [text.slice(0, token.index), text.slice(token.index + token[0].length)];
    const other = tokens[draw(tokens.length)][0];
    const value = values[draw(values.length)];
    const broken = [value, other, token[0] + token[0], "", String.fromCharCode(draw(draw(2) ? 128 : 65536))];
    if (stays) text = before + (draw(3) ? value : other) + after;
    else text = before + broken[draw(broken.length)] + (draw(6) ? after : "");
  }
  return text;
}
