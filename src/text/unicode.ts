// What a character is to a pattern: what it is in Unicode 16, by which the references cut, whatever the engine's own tables.
// Engines of today have version 16 or 17, and the ids of a text must not hang on that.
// Source: the differences between \p{Cn} and all other categories in Rust's regex (16) and V8 (17), code point by code point.

/** Code points that version 17 assigned, from and to. */
const NEWER = [
  ..."88f c5c cdc 1acf-1add 1ae0-1aeb 20c1 2b96 a7ce-a7cf a7d2 a7d4 a7f1 fbc3-fbd2 fd90-fd91 fdc8-fdce".split(" "),
  ..."10940-10959 10ec5-10ec7 10ed0-10ed8 10efa-10efb 11b60-11b67 11db0-11ddb 11de0-11de9 16ea0-16eb8".split(" "),
  ..."16ebb-16ed3 16ff2-16ff6 187f8-187ff 18d09-18d1e 18d80-18df2 1ccfa-1ccfc 1ceba-1ced0 1cee0-1cef0".split(" "),
  ..."1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f6d8 1f777-1f77a 1f8d0-1f8d8 1fa54-1fa57 1fa8a 1fa8e 1fac8".split(" "),
  ..."1facd 1faea 1faef 1fbfa 2b73a-2b73f 2cea2-2cead 323b0-33479".split(" "),
].map((range) => {
  const [from, to = from] = range.split("-");
  return [Number.parseInt(from, 16), Number.parseInt(to, 16)] as const;
});

/** A character that no version has assigned, and a small letter: U+0295 was one until version 17. */
const UNASSIGNED = "\u0378";
const SMALL = "\u0251";
const PHARYNGEAL = 0x295;

/** A character that stands for a code point when classes are looked up. */
export function character16(point: number): string {
  if (point === PHARYNGEAL) return SMALL;
  return NEWER.some(([from, to]) => point >= from && point <= to) ? UNASSIGNED : String.fromCodePoint(point);
}
