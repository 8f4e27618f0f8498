// The speed-up that attention in tiles gives over the whole matrix of scores ("eager"), by length and batch.

import type { LoadOptions } from "../../src/index.ts";
import { measureModel } from "../child.ts";
import { type Context, type Part, times } from "../part.ts";
import { type Cell, figure } from "../report.ts";
import { synthesize } from "../synth.ts";

export const eager: Part = {
  name: "eager",
  title: "Attention: eager against tiled",
  async run(context) {
    const { quick } = context;
    const [shape, format] = [quick ? "tiny" : "small", "Q4_0"] as const;
    const lengths = quick ? [16, 64] : [128, 512, 1024, 2048, 4096, 8192, 16384];
    const path = await synthesize(shape, format);
    const rows: Cell[][] = [];
    const charts: { name: string; values: (number | null)[] }[] = [];
    try {
      for (const batch of [1, 4]) {
        const measured = lengths.map((n) => (batch * n <= 16384 ? n : null));
        const tasks = measured
          .filter((n) => n !== null)
          .flatMap((prompt) => times(prompt <= 1024 && !quick ? 3 : 1, { prompt, tokens: 1, rows: batch }));
        const [whole, tiled] = [await run(context, path, "eager", tasks), await run(context, path, undefined, tasks)];
        const ratios = measured.map((n) => {
          if (n === null) return null;
          const name = (kind: string) => `${shape} ${format}, ${kind} attention, ${batch} × ${n}`;
          const [slow, fast] = [whole, tiled].map((results, i) =>
            figure(
              name(["eager", "tiled"][i]),
              "tok/s",
              results.filter((_, t) => tasks[t].prompt === n),
            ),
          );
          rows.push([String(batch), String(n), slow, fast, `${(fast.value / slow.value).toFixed(2)} ×`]);
          return fast.value / slow.value;
        });
        charts.push({ name: `batch ${batch}`, values: ratios });
      }
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      return { notes: [error.message], tables: [], charts: [], targets: [] };
    }
    return {
      notes: [
        `Prompt tokens a second of the whole model (${shape} ${format}, ${context.threads} threads), with \`attn_implementation: "eager"\` and without. Batches of more than 16384 tokens in all are left out.`,
      ],
      tables: [{ columns: ["batch", "tokens", "eager", "tiled", "speed-up"], rows }],
      charts: [
        {
          title: "Speed-up of the whole prompt by attention in tiles",
          kind: "line",
          x: { name: "tokens", values: lengths, log: true },
          y: { name: "times as fast" },
          series: charts,
        },
      ],
      targets: [],
    };
  },
};

/** The engine has no such option. */
class Unavailable extends Error {}

/** Prompt tokens a second of each task. */
async function run(
  context: Context,
  path: string,
  attn_implementation: string | undefined,
  tasks: { prompt: number; tokens: number; rows: number }[],
): Promise<number[]> {
  context.log(`${attn_implementation ?? "tiled"} attention`);
  const options = { threads: context.threads, ...(attn_implementation ? { attn_implementation } : {}) } as LoadOptions;
  const warm = { kind: "generate" as const, ...tasks[0] };
  try {
    const all = tasks.map((task) => ({ kind: "generate" as const, ...task }));
    const m = await measureModel({ path, options, tasks: [warm, ...all] }, context.runtime);
    return m.results.slice(1).map((r) => r.prompt_rate);
  } catch (error) {
    if (error instanceof Error && /attn_implementation/.test(error.message))
      throw new Unavailable('This version has no `attn_implementation: "eager"`.');
    throw error;
  }
}
