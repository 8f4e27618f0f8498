// The speed-up that attention in tiles gives over the whole matrix of scores ("eager"), by length and batch.
import type { LoadOptions } from "../../src/index.ts";
import { measureModel } from "../child.ts";
import { type Context, type Part, times } from "../part.ts";
import { type Cell, figure } from "../report.ts";
import { shapes } from "../shapes.ts";
import { synthesize } from "../synth.ts";

/** Tokens of a whole batch at most, so that the longest takes a minute. */
const most = 32768;

export const eager: Part = {
  name: "eager",
  title: "Attention: eager against tiled",
  async run(context) {
    const { quick } = context;
    const [shape, format] = [quick ? "tiny" : "long", "Q4_0"] as const;
    const lengths = quick ? [16, 64] : [128, 512, 1024, 2048, 4096, 8192, 16384];
    const path = await synthesize(shape, format);
    const rows: Cell[][] = [];
    const series: { name: string; values: (number | null)[] }[] = [];
    for (const batch of [1, 4]) {
      const fitting = lengths.filter((n) => batch * n <= most);
      const prompts = fitting.flatMap((n) => times(n <= 1024 && !quick ? 3 : 1, n));
      const [slow, fast] = [
        await promptRates(context, path, "eager", prompts, batch),
        await promptRates(context, path, "tiled", prompts, batch),
      ];
      const ratios = fitting.map((n) => {
        const cell = (kind: string, rates: number[]) =>
          figure(
            `${shape} ${format}, ${kind} attention, ${batch} × ${n}`,
            "tok/s",
            rates.filter((_, i) => prompts[i] === n),
          );
        const cells = [cell("eager", slow), cell("tiled", fast)];
        const ratio = cells[1].value / cells[0].value;
        rows.push([String(batch), String(n), ...cells, `${ratio.toFixed(2)} ×`]);
        return ratio;
      });
      series.push({ name: `batch ${batch}`, values: lengths.map((_, i) => ratios[i] ?? null) });
    }
    const { layers, hidden, window } = shapes[shape];
    return {
      notes: [
        `Prompt tokens a second of a whole model (${format}, ${layers} layers, hidden ${hidden}, ${window ? `a window of ${window}` : "no window"}, ${context.threads} threads), with \`attn_implementation: "eager"\` and \`"tiled"\`. Batches of more than ${most} tokens in all are left out. Both work in chunks of the prompt, so neither ever holds the matrix of a whole prompt: eager holds a chunk's.`,
      ],
      tables: [{ columns: ["batch", "tokens", "eager", "tiled", "speed-up"], rows }],
      charts: [
        {
          title: "Speed-up of a whole prompt by attention in tiles",
          kind: "line",
          x: { name: "tokens", values: lengths, log: true },
          y: { name: "times as fast" },
          series,
        },
      ],
      targets: [],
    };
  },
};

/** Prompt tokens a second, for prompts of each length. */
async function promptRates(
  context: Context,
  path: string,
  attn_implementation: LoadOptions["attn_implementation"],
  prompts: readonly number[],
  rows: number,
): Promise<number[]> {
  context.log(`${attn_implementation} attention, ${rows} rows`);
  const tasks = [prompts[0], ...prompts].map((prompt) => ({ kind: "generate" as const, prompt, tokens: 1, rows }));
  const options = { threads: context.threads, attn_implementation };
  const m = await measureModel({ path, options, tasks }, context.runtime);
  return m.results.slice(1).map((r) => r.prompt_rate);
}
