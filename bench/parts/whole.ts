// The shapes of the whole Mixtral 8x7B at 4 bits: 26 GB, more than many machines have memory. Runs only when named.
import { rmSync } from "node:fs";
import { type Context, measure, type Part, readingRoof, times } from "../part.ts";
import { figure, memoryFigure, target } from "../report.ts";
import type { ShapeName } from "../shapes.ts";
import { fileBytes, synthesize } from "../synth.ts";

export const whole: Part = {
  name: "whole",
  title: "The whole 8x7B",
  async run(context: Context) {
    const [shape, format]: [ShapeName, "Q4_0"] = [context.quick ? "tiny" : "8x7b", "Q4_0"];
    const writing = performance.now();
    const path = await synthesize(shape, format);
    const wrote_s = (performance.now() - writing) / 1000;
    const bytes = fileBytes(path);
    try {
      const m = await measure(
        context,
        [shape, format],
        [
          { kind: "generate", prompt: 16, tokens: 9 },
          ...times(2, { kind: "generate" as const, prompt: 4, tokens: 17 }),
          { kind: "generate", prompt: context.quick ? 32 : 512, tokens: 2 },
        ],
      );
      const [cold, ...rest] = m.results;
      const key = `${shape} ${format}`;
      const load = figure(`${key} load`, "ms", [m.load_ms], { more: false });
      const own = memoryFigure(`${key} peak private memory`, [m.peak.private]);
      return {
        notes: [
          `${(bytes / 1e9).toFixed(1)} GB, ${context.threads} threads, ${m.info.banks} banks${wrote_s > 1 ? `; written in ${wrote_s.toFixed(0)} s` : ""}; deleted afterwards. Where memory is smaller than the file the system keeps the experts that were used last, and reads the others from disk as they are routed to: what is generated first shows the disk, later tokens what has become resident. Shares are of reading all from memory.`,
        ],
        tables: [
          {
            columns: [
              "load",
              "peak private memory",
              "peak memory of files",
              "first 8 tokens",
              "16 tokens later",
              "prompt of 512",
            ],
            rows: [
              [
                load,
                own,
                memoryFigure(`${key} peak memory of files`, [m.peak.file]),
                figure(`${key} first tokens`, "tok/s", [cold.generated_rate]),
                figure(
                  `${key} generated`,
                  "tok/s",
                  rest.slice(0, -1).map((r) => r.generated_rate),
                  { of: { what: "reading", roof: readingRoof(context, shape, format) } },
                ),
                figure(`${key} prompt`, "tok/s", [rest.at(-1)!.prompt_rate]),
              ],
            ],
          },
        ],
        charts: [],
        targets: [
          target("the 8x7B loads", load.value, { most: 1000 }, "ms"),
          ...(own ? [target("private memory of the 8x7B", own.value, { most: 2500 }, "MB")] : []),
        ],
      };
    } finally {
      rmSync(path, { force: true });
    }
  },
};
