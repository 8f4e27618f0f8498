// The same models in WebAssembly, by native kernels where there are some, and in the peers that --llama-bench names, with one
// thread and with all, taking turns.
import type { Device } from "../../src/index.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { FormatName } from "../../src/quant/formats.ts";
import { type Context, measure, type Part, readingRoof } from "../part.ts";
import { runLlamaBench } from "../peers/llama_bench.ts";
import { type Cell, type Figure, figure, type Target, target } from "../report.ts";
import type { ShapeName } from "../shapes.ts";
import { synthesize } from "../synth.ts";

interface Wanted {
  readonly shape: ShapeName;
  readonly format: FormatName;
  readonly threads: number;
  readonly prompts: readonly number[];
  readonly tokens: number;
}

/** What takes its turn: rates of the prompts, then of what is generated, in a process of its own. */
interface Runner {
  readonly name: string;
  run(wanted: Wanted): Promise<number[]>;
}

const ownRunner = (context: Context, device: Device): Runner => ({
  name: device,
  async run({ shape, format, threads, prompts, tokens }) {
    // The first call touches pages and compiles; what is generated follows a short prompt.
    const tasks = [prompts[0], ...prompts, 4].map((prompt, i) => {
      return { kind: "generate" as const, prompt, tokens: i > prompts.length ? tokens + 1 : 2 };
    });
    const { results } = await measure(context, [shape, format], tasks, { threads, load: { device } });
    return results.slice(1).map((result, i) => (i < prompts.length ? result.prompt_rate : result.generated_rate));
  },
});

/** What native kernels are to reach beside a peer: in prompts of the last length, in the others and in what is generated. */
const LEAST = { longest: 1.2, others: 1 };

export const devices: Part = {
  name: "devices",
  title: "WebAssembly and native kernels",
  async run(context) {
    const { quick } = context;
    const { shape, formats, rounds, prompts, tokens } = quick
      ? ({ shape: "tiny", formats: ["Q4_K", "Q8_0"], rounds: 1, prompts: [16, 32], tokens: 4 } as const)
      : ({ shape: "mid", formats: ["Q4_0", "Q4_K", "Q8_0"], rounds: 3, prompts: [128, 512], tokens: 48 } as const);
    const library = (await currentPlatform()).native_library();
    const own: Device[] = typeof library === "string" ? ["wasm", "native"] : ["wasm"];
    const peers = context.llama_bench.map(
      (peer): Runner => ({
        name: peer.name,
        run: async (wanted) => runLlamaBench(peer, { ...wanted, path: await synthesize(wanted.shape, wanted.format) }),
      }),
    );
    const runners = [...own.map((device) => ownRunner(context, device)), ...peers];
    const whats = [...prompts.map((prompt) => `a prompt of ${prompt}`), "generated"];
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    for (const format of formats) {
      const of = { what: "reading", roof: readingRoof(context, shape, format) };
      for (const threads of new Set([1, context.threads])) {
        const found = new Map<Runner, number[][]>(runners.map((runner) => [runner, []]));
        for (let round = 0; round < rounds; round++) {
          for (const runner of runners) {
            context.log(`${runner.name}, round ${round + 1}`);
            found.get(runner)!.push(await runner.run({ shape, format, threads, prompts, tokens }));
          }
        }
        const figures = runners.map((runner) =>
          whats.map((what, i) => {
            const key = `${shape} ${format} ${runner.name}, ${threads} threads, ${what}`;
            const roof = threads > 1 && what === "generated" ? { of } : {};
            const values = found.get(runner)!.map((run) => run[i]);
            return figure(key, "tok/s", values, roof);
          }),
        );
        for (const [i, cells] of figures.entries()) rows.push([format, String(threads), runners[i].name, ...cells]);
        const [wasm, native, ...others] = figures;
        if (own.length === 1) continue;
        const compare = (other: readonly Figure[], name: string, least: (i: number) => number) => {
          for (const [i, { value }] of native.entries()) {
            const title = `${format}, ${threads} threads, ${whats[i]}: native`;
            targets.push(target(title, value / other[i].value, { least: least(i) }, `times ${name}`));
          }
        };
        compare(wasm, "wasm", () => 1);
        for (const [i, { name }] of peers.entries())
          compare(others[i], name, (what) => (what === prompts.length - 1 ? LEAST.longest : LEAST.others));
      }
    }
    const reason = typeof library === "string" ? "" : ` Native kernels were not measured: ${library.reason}.`;
    const commands = context.llama_bench.map(({ name, command }) => ` ${name} is ${command.join(" ")}.`).join("");
    return {
      notes: [`Each run is a fresh process; all take turns, ${rounds} times.${reason}${commands}`],
      tables: [{ columns: ["format", "threads", "device", ...whats], rows }],
      charts: [],
      targets,
    };
  },
};
