// node scripts/make-grids.mjs [FROM]: writes cpp/grids.h from fixtures/gguf_iq/blocks/grids.safetensors (in ../shared unless
// FROM says otherwise), whose values are gguf-py's (MIT). A grid's entry is kept as the ranks of its values among the grid's
// levels, 2 or 3 bits each: a sixth of the bytes that it has in memory.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const from = process.argv[2] ?? join(root, "..", "shared", "fixtures", "gguf_iq", "blocks", "grids.safetensors");
const file = readFileSync(from);
const start = 8 + Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.toString("utf8", 8, start));

/** The values of a tensor, and the length of its rows. */
function tensor(name) {
  const { shape, data_offsets } = header[name];
  const values = new Int8Array(file.subarray(start + data_offsets[0], start + data_offsets[1]));
  return { values, width: shape[1] ?? 1 };
}

const lines = (items, each) =>
  Array.from(
    { length: Math.ceil(items.length / each) },
    (_, i) => `    ${items.slice(i * each, (i + 1) * each).join(", ")},`,
  );

/** The declaration of a grid: its entries as ranks, expanded to bytes where it is compiled. */
function grid(name, source, what) {
  const { values, width } = tensor(source);
  const levels = [...new Set(values)].sort((a, b) => a - b);
  const bits = levels.length > 4 ? 3 : 2;
  const entries = [];
  for (let at = 0; at < values.length; at += width) {
    let ranks = 0;
    for (let j = 0; j < width; j++) ranks |= levels.indexOf(values[at + j]) << (bits * j);
    entries.push(`0x${ranks.toString(16).padStart(4, "0")}`);
  }
  const word = width === 8 ? "uint64_t" : "uint32_t";
  return [
    `// ${what}`,
    `inline constexpr int8_t LEVELS_${name}[] = {${levels.join(", ")}};`,
    `inline constexpr uint16_t RANKS_${name}[${entries.length}] = {`,
    ...lines(entries, 14),
    "};",
    `inline constexpr auto GRID_${name} = expand_grid<${word}, ${bits}>(RANKS_${name}, LEVELS_${name});`,
    "",
  ];
}

const values = (name, source) =>
  `inline constexpr int8_t VALUES_${name}[16] = {${[...tensor(source).values].join(", ")}};`;

const text = [
  "// Made by scripts/make-grids.mjs from the fixtures' gguf_iq/blocks/grids.safetensors; not to be edited. The vectors that the",
  "// IQ formats of GGUF choose from, and the values of the formats of 4 bits.",
  "//",
  "// GRID_X[i] is entry i of a grid: value j is the signed byte j of a uint64_t (8 values) or a uint32_t (4 values),",
  "// little-endian. RANKS_X[i] is the same entry in the source's form: value j is LEVELS_X[bits j .. of RANKS_X[i]], with 2 bits",
  "// a value, of IQ3 grids 3. What a binary does not use of them does not become a part of it.",
  "#pragma once",
  "#include <stdint.h>",
  "",
  "template <class Word, int n>",
  "struct Grid {",
  "  Word entries[n];",
  "  static constexpr int size = n, values = sizeof(Word);",
  "  constexpr const Word& operator[](uint32_t i) const { return entries[i]; }",
  "};",
  "",
  "// Entries whose value j is level[rank j].",
  "template <class Word, int bits, int n, int levels>",
  "constexpr Grid<Word, n> expand_grid(const uint16_t (&ranks)[n], const int8_t (&level)[levels]) {",
  "  Grid<Word, n> grid = {};",
  "  for (int i = 0; i < n; i++) {",
  "    for (int j = 0; j < static_cast<int>(sizeof(Word)); j++) {",
  "      const int8_t value = level[ranks[i] >> (bits * j) & ((1 << bits) - 1)];",
  "      grid.entries[i] |= static_cast<Word>(static_cast<uint8_t>(value)) << (8 * j);",
  "    }",
  "  }",
  "  return grid;",
  "}",
  "",
  values("IQ4", "iq4"),
  values("MXFP4", "mxfp4"),
  "",
  ...grid("IQ1", "iq1", "IQ1_S and IQ1_M: eight signed values."),
  ...grid("IQ2_XXS", "iq2_xxs", "IQ2: eight magnitudes."),
  ...grid("IQ2_XS", "iq2_xs", "As IQ2_XXS."),
  ...grid("IQ2_S", "iq2_s", "As IQ2_XXS."),
  ...grid("IQ3_XXS", "iq3_xxs", "IQ3: four magnitudes."),
  ...grid("IQ3_S", "iq3_s", "As IQ3_XXS."),
];
while (text.at(-1) === "") text.pop();
writeFileSync(join(root, "cpp", "grids.h"), `${text.join("\n")}\n`);
