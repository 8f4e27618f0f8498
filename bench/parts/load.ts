// Loading two gigabytes by mapping, each time in a fresh process.
import type { Measurement } from "../measure.ts";
import { measure, type Part } from "../part.ts";
import { figure, memoryFigure, target } from "../report.ts";
import { fileBytes, synthesize } from "../synth.ts";

export const load: Part = {
  name: "load",
  title: "Loading",
  async run(context) {
    // mid in Q5_0 takes two gigabytes.
    const [shape, format] = context.quick ? (["tiny", "Q4_0"] as const) : (["mid", "Q5_0"] as const);
    const bytes = fileBytes(await synthesize(shape, format));
    const runs: Measurement[] = [];
    for (let i = 0; i < (context.quick ? 1 : 7); i++) runs.push(await measure(context, [shape, format], []));
    const time = figure(
      "load 2 GB",
      "ms",
      runs.map((m) => m.load_ms),
      { more: false },
    );
    const own = memoryFigure(
      "private memory after loading 2 GB",
      runs.map((m) => m.loaded?.private),
    );
    const before = memoryFigure(
      "private memory before loading",
      runs.map((m) => m.before?.private),
    );
    const { mapped, reason } = runs[0].info;
    return {
      notes: [
        `${(bytes / 1e9).toFixed(2)} GB, ${shape} ${format}, ${mapped ? "mapped" : `read (${reason})`}, ${context.threads} threads, from \`from_pretrained\`'s call to its end in a fresh process, ${runs.length} times. The private memory is the whole process', its runtime included, which has the second figure before it loads anything.`,
      ],
      tables: [{ columns: ["load", "private memory then", "before"], rows: [[time, own, before]] }],
      charts: [],
      targets: [
        target("load 2 GB by mapping", time.value, { most: 150 }, "ms"),
        ...(own ? [target("private memory after loading 2 GB", own.value, { most: 100 }, "MB")] : []),
      ],
    };
  },
};
