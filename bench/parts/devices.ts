// The same models in WebAssembly and by native kernels, where there are some, with one thread and with all, taking turns.
import type { Device } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { measure, type Part, readingRoof } from "../part.ts";
import { type Cell, figure, type Target, target } from "../report.ts";

export const devices: Part = {
  name: "devices",
  title: "WebAssembly and native kernels",
  async run(context) {
    const { quick } = context;
    const { shape, formats, rounds, prompts, tokens } = quick
      ? ({ shape: "tiny", formats: ["Q4_K", "Q8_0"], rounds: 1, prompts: [16, 32], tokens: 4 } as const)
      : ({ shape: "mid", formats: ["Q4_0", "Q4_K", "Q8_0"], rounds: 3, prompts: [128, 512], tokens: 48 } as const);
    const native = (await currentPlatform()).native_library();
    const here: Device[] = typeof native === "string" ? ["wasm", "native"] : ["wasm"];
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const format of formats) {
      for (const threads of new Set([1, context.threads])) {
        const found = new Map<Device, number[][]>(here.map((device) => [device, []]));
        for (let round = 0; round < rounds; round++) {
          for (const device of here) {
            const tasks = [prompts[0], ...prompts, 4].map((prompt, i) => {
              return { kind: "generate" as const, prompt, tokens: i > prompts.length ? tokens + 1 : 2 };
            });
            const { results } = await measure(context, [shape, format], tasks, { threads, load: { device } });
            const [, ...rest] = results; // the first call touches pages and compiles
            found.get(device)!.push(rest.map((r, i) => (i < prompts.length ? r.prompt_rate : r.generated_rate)));
          }
        }
        const of = { what: "reading", roof: readingRoof(context, shape, format) };
        const figures = new Map(
          [...found].map(([device, runs]) => {
            const key = (what: string) => `${shape} ${format} ${device}, ${threads} threads, ${what}`;
            const read = prompts.map((prompt, i) =>
              figure(
                key(`prompt ${prompt}`),
                "tok/s",
                runs.map((run) => run[i]),
              ),
            );
            const generated = runs.map((run) => run[prompts.length]);
            return [device, [...read, figure(key("generated"), "tok/s", generated, threads > 1 ? { of } : {})]];
          }),
        );
        for (const [device, cells] of figures) rows.push([format, String(threads), device, ...cells]);
        const [wasm, fast] = [figures.get("wasm")!, figures.get("native")];
        for (const [i, { value }] of (fast ?? []).entries())
          targets.push(
            target(
              `${format}, ${threads} threads, ${i < prompts.length ? `a prompt of ${prompts[i]}` : "generated"}: native`,
              value / wasm[i].value,
              { least: 1 },
              "times wasm",
            ),
          );
      }
    }
    return {
      notes: [
        `Each run is a fresh process; the devices take turns, ${rounds} times. ${typeof native === "string" ? "" : `Native kernels were not measured: ${native.reason}.`}`,
      ],
      tables: [
        {
          columns: ["format", "threads", "device", ...prompts.map((prompt) => `prompt of ${prompt}`), "generated"],
          rows,
        },
      ],
      charts: [],
      targets,
    };
  },
};
