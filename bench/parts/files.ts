// Which file for which machine: Mistral 7B and Mixtral 8x7B in the file types that people download, with random weights. What
// memory holds is measured; for all of them it is computed from the kernels' rates how fast they would be if memory held
// them. docs/models.md has the table. Runs only when named: it writes files of up to memory's size, one after the other.
import { rmSync } from "node:fs";
import os from "node:os";
import type { FormatName } from "../../src/quant/formats.ts";
import { type FileType, fileTypeOf } from "../../src/quant/mixes.ts";
import { type Context, measure, type Part, times } from "../part.ts";
import { type Cell, figure } from "../report.ts";
import { ratesOf } from "../roofs.ts";
import { type Shape, type ShapeName, shapes, sizesIn } from "../shapes.ts";
import { synthesize } from "../synth.ts";

const typesOf: Partial<Record<ShapeName, readonly string[]>> = {
  "7b": ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K"],
  "8x7b": ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "IQ3_XXS", "IQ2_XS"],
};

/** All formats in them. */
export const fileFormats: readonly FormatName[] = [
  ...new Set(
    (Object.entries(typesOf) as [ShapeName, string[]][]).flatMap(([name, types]) =>
      types.flatMap((type) => [...sizesIn(fileTypeOf(type)!, shapes[name]).read.keys()]),
    ),
  ),
];

/** Speed beside that of the products alone, by the kernels' rates: `mid` has 62 to 78 % (docs/bench/report.md). */
const OF_KERNELS = 0.7;

export const files: Part = {
  name: "files",
  title: "Which file for which machine",
  async run(context: Context) {
    const chosen = context.quick ? { tiny: ["Q8_0"] } : typesOf;
    const rows: Cell[][] = [];
    for (const [name, types] of Object.entries(chosen) as [ShapeName, string[]][])
      for (const type of types) rows.push(await row(context, name, fileTypeOf(type)!));
    const columns = ["", "file", "a token reads", "computed", "generated", "prompt of 128", "load", "private memory"];
    return {
      notes: [
        `Random weights in each tensor's format, by llama-quantize's rules (with an importance matrix). Computed: ${100 * OF_KERNELS} % of what the products alone would allow by the kernels' rates of this run, ${context.threads} threads. Generated: the fastest of 6 times 8 tokens, for files that memory holds.`,
      ],
      tables: [{ columns, rows }],
      charts: [],
      targets: [],
    };
  },
};

async function row(context: Context, name: ShapeName, type: FileType): Promise<Cell[]> {
  const { all, read } = sizesIn(type, shapes[name] as Shape);
  const key = `${name} ${type.name}`;
  const known: Cell[] = [
    key,
    `${(all / 1e9).toFixed(2)} GB`,
    `${([...read.values()].reduce((a, b) => a + b, 0) / 1e9).toFixed(2)} GB`,
    figure(`${key} computed`, "tok/s", [computedRate(read, (format) => ratesOf(context.rates.all, format).one)]),
  ];
  if (all > 0.8 * os.freemem()) return [...known, null, null, null, null];
  const path = await synthesize(name, type);
  try {
    const { results, load_ms, peak } = await measure(
      context,
      [name, type],
      [{ kind: "generate", prompt: 128, tokens: 9 }, ...times(6, { kind: "generate" as const, prompt: 4, tokens: 9 })],
    );
    const [prompt, ...answers] = results;
    return [
      ...known,
      figure(`${key} generated`, "tok/s", [Math.max(...answers.map(({ generated_rate }) => generated_rate))]),
      figure(`${key} prompt`, "tok/s", [prompt.prompt_rate]),
      figure(`${key} load`, "ms", [load_ms], { more: false }),
      figure(`${key} private memory`, "MB", [peak.private / 1e6], { more: false }),
    ];
  } finally {
    rmSync(path, { force: true });
  }
}

/**
 * Tokens a second.
 * @param read - bytes that a token reads, by format
 * @param rate - GB/s of a format's products of one token
 */
export function computedRate(read: ReadonlyMap<FormatName, number>, rate: (format: FormatName) => number): number {
  const seconds = [...read].map(([format, bytes]) => bytes / 1e9 / rate(format));
  return OF_KERNELS / seconds.reduce((a, b) => a + b, 0);
}
