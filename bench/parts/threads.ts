// The same model with one thread, with as many as cores, and with more.
import { measure, type Part, times } from "../part.ts";
import { type Cell, figure } from "../report.ts";

export const threads: Part = {
  name: "threads",
  title: "Threads",
  async run(context) {
    const { quick } = context;
    const counts = [...new Set([1, context.threads, 2 * context.threads, 4 * context.threads])];
    const [shape, format, runs, prompt, tokens] = quick
      ? (["tiny", "Q4_0", 1, 16, 4] as const)
      : (["mid", "Q4_0", 3, 256, 24] as const);
    const rows: Cell[][] = [];
    let alone: { prompt: number; decode: number } | undefined;
    for (const n of counts) {
      const task = { kind: "generate" as const, prompt, tokens };
      const m = await measure(context, [shape, format], [task, ...times(runs, task)], { threads: n });
      const results = m.results.slice(1);
      const [p, d] = [
        figure(
          `${shape} ${format} prompt ${prompt}, ${n} threads`,
          "tok/s",
          results.map((r) => r.prompt_rate),
        ),
        figure(
          `${shape} ${format} generated, ${n} threads`,
          "tok/s",
          results.map((r) => r.generated_rate),
        ),
      ];
      alone ??= { prompt: p.value, decode: d.value };
      const against = (value: number, one: number) => `${(value / one).toFixed(2)} ×`;
      rows.push([String(n), p, against(p.value, alone.prompt), d, against(d.value, alone.decode)]);
    }
    const { one, all } = context.rates;
    return {
      notes: [
        `${shape} ${format}. Cores: ${context.threads}. Reading memory scales ${(all.roofs.read / one.roofs.read).toFixed(2)} × from 1 to ${context.threads} threads here, the i16 dot ${(all.roofs.dot_i16 / one.roofs.dot_i16).toFixed(2)} ×: no model can do better. With more threads than cores they wait for each other at every barrier; the engine starts as many as there are cores unless it is told otherwise.`,
      ],
      tables: [
        {
          columns: ["threads", `prompt of ${prompt}`, "against 1", "generated", "against 1"],
          rows,
        },
      ],
      charts: [],
      targets: [],
    };
  },
};
