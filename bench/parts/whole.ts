// The shapes of the whole Mixtral 8x7B: at 4 bits 26 GB, more than many machines have memory, so that experts come from the
// disk when they are needed; and in formats below. Runs only when named.
import { rmSync } from "node:fs";
import type { LoadOptions } from "../../src/index.ts";
import type { FormatName } from "../../src/quant/formats.ts";
import { diskRate } from "../disk.ts";
import type { Measurement, TaskResult } from "../measure.ts";
import { type Context, measure, type Part, readingRoof } from "../part.ts";
import { type Cell, figure, memoryFigure, type Target, target } from "../report.ts";
import type { ShapeName } from "../shapes.ts";
import { fileBytes, synthesize } from "../synth.ts";

const FORMAT = "Q4_0";
const SMALLER: readonly FormatName[] = ["Q3_K", "Q2_K", "IQ3_S"];

/** What experts may take. */
const BUDGETS: readonly { name: string; load: LoadOptions }[] = [
  { name: "auto", load: {} },
  ...[0.75, 0.5, 0.25].map((share) => ({ name: `${100 * share} %`, load: { memory_budget: share } })),
];

/** Of sorted values the one that `share` of them do not pass. */
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1];

/** Milliseconds that a token takes where the disk reads what came from it and memory what is used, both at once, at their best. */
const roofTime = (result: TaskResult, disk: number, reading_ms: number): number =>
  Math.max(result.paged!.tokens.disk_bytes / result.token_ms!.length / (disk * 1e6), reading_ms);

export const whole: Part = {
  name: "whole",
  title: "The whole 8x7B",
  async run(context: Context) {
    const { quick } = context;
    const shape: ShapeName = quick ? "tiny" : "8x7b";
    const writing = performance.now();
    const path = await synthesize(shape, FORMAT);
    const wrote_s = (performance.now() - writing) / 1000;
    const bytes = fileBytes(path);
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    const reading_ms = 1000 / readingRoof(context, shape, FORMAT);
    const disks: number[] = [];
    try {
      for (const { name, load } of BUDGETS) {
        disks.push(await diskRate(path, 4e9));
        const m = await measure(
          context,
          [shape, FORMAT],
          [
            { kind: "generate", prompt: 16, tokens: 2 },
            { kind: "generate", prompt: 4, tokens: quick ? 5 : 33 },
            ...(name === "auto" || name === "75 %"
              ? [{ kind: "generate" as const, prompt: quick ? 32 : 512, tokens: 2 }]
              : []),
          ],
          { load },
        );
        disks.push(await diskRate(path, 4e9));
        const disk = Math.max(...disks.slice(-2));
        const shown = m.info.mapped ? `${name}: mapped` : name;
        rows.push(budgetRow(`${shape} ${FORMAT} ${name}`, shown, m, disk, reading_ms));
        const result = m.results[1];
        const [median, tenth] = [quantile(result.token_ms!, 0.5), quantile(result.token_ms!, 0.9)];
        targets.push(target(`${name}: slowest tenth of tokens`, tenth / median, { most: 2 }, "times the median"));
        const share = (roofTime(result, disk, reading_ms) * result.generated_rate) / 1000;
        targets.push(target(`${name}: of what disk and memory give`, share, { least: 0.7 }, "%"));
        if (name !== "auto") continue;
        targets.push(target("private memory beside the experts", besideExperts(m) / 1e6, { most: 3000 }, "MB"));
        targets.push(target("a prompt of 512", m.results[2].prompt_rate, { least: 12.4 }, "tok/s"));
      }
    } finally {
      rmSync(path, { force: true });
    }
    const smaller: Cell[][] = [];
    for (const format of quick ? SMALLER.slice(0, 1) : SMALLER) smaller.push(await smallerRow(context, shape, format));
    return {
      notes: [
        `${(bytes / 1e9).toFixed(1)} GB, ${context.threads} threads${wrote_s > 1 ? `; written in ${wrote_s.toFixed(0)} s` : ""}; deleted afterwards. Experts live in memory under a budget, a share of what all of them take, and the others are read from the disk when they are wanted; "auto" takes what is free, or maps the file where it is not much larger than that. ${quick ? "" : "Tokens are those of 32 after a prompt of 4, behind one of 16 that fills the memory. "}Shares are of what the disk and memory give at their best, both at once: bytes that came from the disk by ${range(disks)} GB/s (4 requests of 2 MB at once past the cache, before and after each row, the faster counts), or a token's weights read from memory, whichever is longer.`,
        "In formats of fewer bits, which memory holds; shares are of reading all from memory.",
      ],
      tables: [
        {
          columns: [
            "experts",
            "load",
            "private memory",
            "tokens",
            "median",
            "slowest tenth",
            "there",
            "from disk",
            "a prompt",
          ],
          rows,
        },
        { columns: ["format", "file", "load", "tokens", "a prompt"], rows: smaller },
      ],
      charts: [],
      targets,
    };
  },
};

const range = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)}`;

const besideExperts = ({ peak, info }: Measurement): number => peak.private - (info.experts?.budget_bytes ?? 0);

function budgetRow(key: string, name: string, m: Measurement, disk: number, reading_ms: number): Cell[] {
  const [, result, prompt] = m.results;
  const { hits, misses, disk_bytes } = result.paged!.tokens;
  const of = { what: "disk and memory", roof: 1000 / roofTime(result, disk, reading_ms) };
  const times = result.token_ms!;
  return [
    name,
    figure(`${key} load`, "ms", [m.load_ms], { more: false }),
    memoryFigure(`${key} peak private memory`, [m.peak.private]),
    figure(`${key} generated`, "tok/s", [result.generated_rate], { of }),
    figure(`${key} median token`, "ms", [quantile(times, 0.5)], { more: false }),
    figure(`${key} slowest tenth`, "ms", [quantile(times, 0.9)], { more: false }),
    hits + misses > 0 ? figure(`${key} experts there`, "%", [(100 * hits) / (hits + misses)]) : null,
    figure(`${key} from disk`, "GB/token", [disk_bytes / 1e9 / times.length], { more: false }),
    prompt ? figure(`${key} prompt`, "tok/s", [prompt.prompt_rate]) : null,
  ];
}

async function smallerRow(context: Context, shape: ShapeName, format: FormatName): Promise<Cell[]> {
  const path = await synthesize(shape, format);
  try {
    const bytes = fileBytes(path);
    const m = await measure(
      context,
      [shape, format],
      [
        { kind: "generate", prompt: 16, tokens: 9 },
        { kind: "generate", prompt: 4, tokens: 17 },
        { kind: "generate", prompt: context.quick ? 32 : 512, tokens: 2 },
      ],
    );
    const key = `${shape} ${format}`;
    const of = { what: "reading", roof: readingRoof(context, shape, format) };
    return [
      format,
      figure(`${key} file`, "GB", [bytes / 1e9], { more: false }),
      figure(`${key} load`, "ms", [m.load_ms], { more: false }),
      figure(`${key} generated`, "tok/s", [m.results[1].generated_rate], { of }),
      figure(`${key} prompt`, "tok/s", [m.results[2].prompt_rate]),
    ];
  } finally {
    rmSync(path, { force: true });
  }
}
