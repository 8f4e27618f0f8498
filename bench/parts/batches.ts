// Several sequences at once: their tokens share what is read of the weights.
import { measure, type Part, readingRoof, times } from "../part.ts";
import { type Cell, figure } from "../report.ts";

export const batches: Part = {
  name: "batches",
  title: "Several sequences at once",
  async run(context) {
    const { quick } = context;
    const counts = quick ? [1, 2] : [1, 2, 4, 8, 16];
    const [shape, formats, runs, tokens] = quick
      ? (["tiny", ["Q4_0"], 1, 4] as const)
      : (["mid", ["Q4_0", "Q8_0"], 3, 24] as const);
    const rows: Cell[][] = [];
    const series: { name: string; values: number[] }[] = [];
    for (const format of formats) {
      const tasks = counts.flatMap((n) => times(runs, { kind: "generate" as const, prompt: 8, tokens, rows: n }));
      const m = await measure(context, [shape, format], [tasks[0], ...tasks]);
      const roof = readingRoof(context, shape, format);
      const found = counts.map((n, i) => {
        const rates = m.results.slice(1 + i * runs, 1 + (i + 1) * runs).map((r) => r.generated_rate);
        return figure(`${shape} ${format}, ${n} sequences`, "tok/s", rates);
      });
      rows.push([format, ...found, `${(found.at(-1)!.value / roof).toFixed(1)} ×`]);
      series.push({ name: format, values: found.map(({ value }) => value) });
    }
    return {
      notes: [
        `Generated tokens a second of all sequences together, ${shape}, ${context.threads} threads, different prompts of 8 tokens. An expert that several rows chose is read once for all of them; the last column is against what reading the weights for one token at a time would allow.`,
      ],
      tables: [{ columns: ["format", ...counts.map(String), `${counts.at(-1)} against the roof for one`], rows }],
      charts: [
        {
          title: `Generated tokens a second, ${shape}`,
          kind: "line",
          x: { name: "sequences", values: counts, log: true },
          y: { name: "tokens/s" },
          series,
        },
      ],
      targets: [],
    };
  },
};
