// One sequence through whole models: prompts, generation at an empty and a full window, load time, memory.
import { type Context, measure, modelFormats, type Part, productRate, readingRoof, times } from "../part.ts";
import { type Cell, type Figure, figure, memoryFigure, type Target, target } from "../report.ts";
import { ratesOf } from "../roofs.ts";
import { activeBytes, type ShapeName, shapes } from "../shapes.ts";

export const model: Part = {
  name: "model",
  title: "One sequence",
  async run(context) {
    const { quick } = context;
    const sizes = quick
      ? { short: 16, long: 64, tokens: 4, runs: 1, shapes: ["tiny"] as const }
      : { short: 512, long: 4096, tokens: 32, runs: 3, shapes: ["small", "mid"] as const };
    const speed: Cell[][] = [];
    const memory: Cell[][] = [];
    const targets: Target[] = [];
    const shares = new Map<string, Shares>();
    for (const shape of sizes.shapes) {
      for (const format of modelFormats) {
        const m = await measure(
          context,
          [shape, format],
          [
            // What the first call does besides computing (touching pages, compiling) is not measured with the others.
            { kind: "generate", prompt: 64, tokens: 2 },
            ...times(sizes.runs, { kind: "generate" as const, prompt: sizes.short, tokens: 2 }),
            ...times(sizes.runs, { kind: "generate" as const, prompt: 4, tokens: sizes.tokens + 1 }),
            { kind: "generate", prompt: sizes.long, tokens: sizes.tokens + 1 },
          ],
        );
        const prompts = m.results.slice(1, 1 + sizes.runs);
        const decodes = m.results.slice(1 + sizes.runs, -1);
        const full = m.results.at(-1)!;
        const { one, many, peak } = ratesOf(context.rates.all, format);
        const key = `${shape} ${format}`;
        const roofs = {
          reading: { what: "reading", roof: readingRoof(context, shape, format) },
          peak: { what: "peak", roof: productRate(shape, peak) },
        };
        const prompt = figure(
          `${key} prompt ${sizes.short}`,
          "tok/s",
          prompts.map((r) => r.prompt_rate),
          { of: roofs.peak },
        );
        const decode = figure(
          `${key} generated, empty window`,
          "tok/s",
          decodes.map((r) => r.generated_rate),
          { of: roofs.reading },
        );
        speed.push([
          shape,
          format,
          prompt,
          figure(`${key} prompt ${sizes.long}`, "tok/s", [full.prompt_rate], { of: roofs.peak }),
          decode,
          figure(`${key} generated, full window`, "tok/s", [full.generated_rate], { of: roofs.reading }),
          figure(
            `${key} first token of ${sizes.short}`,
            "ms",
            prompts.map((r) => r.first_ms),
            { more: false },
          ),
        ]);
        memory.push([
          shape,
          format,
          figure(`${key} load`, "ms", [m.load_ms], { more: false }),
          memoryFigure(`${key} peak private memory`, [m.peak.private]),
          memoryFigure(`${key} peak memory of files`, [m.peak.file]),
          `${(m.info.weight_bytes / 1e6).toFixed(0)} MB ${m.info.mapped ? "mapped" : `read: ${m.info.reason}`}`,
        ]);
        const profiled = await measure(
          context,
          [shape, format],
          times(2, { kind: "generate" as const, prompt: sizes.short, tokens: sizes.tokens + 1 }),
          { profile: true },
        );
        shares.set(key, {
          products: profiled.products!,
          beside: figure(`${key} a generated token beside its products`, "ms", [profiled.beside_ms!], { more: false }),
          best: {
            decode: decode.value / ((one * 1e9) / activeBytes(shapes[shape], format)),
            prefill: prompt.value / productRate(shape, many),
          },
        });
        if (shape === "mid") targets.push(...ofProducts(key, profiled.products!));
      }
    }
    const closed = await closedGates(context, sizes.shapes.at(-1)!, sizes.tokens, sizes.runs);
    targets.push(target(`${closed[0]}, of the speed with ordinary ones`, closed[1], { least: 0.9 }, "×"));
    return {
      notes: [
        ...notes(context),
        `${closed[0]}: ${closed[1].toFixed(2)} of the tokens a second that a file with ordinary gates gives in the same run. Their gated products are subnormal numbers or near to them, which cost processors some 150 cycles an operation where they are computed with.`,
      ],
      tables: [
        {
          columns: [
            "model",
            "format",
            `prompt of ${sizes.short}`,
            `prompt of ${sizes.long}`,
            "generated, empty window",
            `generated, ${sizes.long} before`,
            "first token",
          ],
          rows: speed,
        },
        {
          columns: ["model", "format", "load", "peak private memory", "peak memory of files", "weights"],
          rows: memory,
        },
        {
          columns: [
            "model",
            "products' part of the time, generating",
            "a token beside its products",
            "of a prompt",
            "generated tok/s, of the kernels' best",
            "prompt tok/s, of the kernels' best",
          ],
          rows: [...shares].map(([key, { products, beside, best }]) => [
            key,
            share(products.decode),
            beside,
            share(products.prefill),
            share(best.decode),
            share(best.prefill),
          ]),
        },
      ],
      charts: sizes.shapes.map((shape: ShapeName) => ({
        title: `Tokens a second, ${shape}, ${context.threads} threads`,
        kind: "bar" as const,
        x: { name: "format", values: modelFormats },
        y: { name: "tokens/s" },
        series: [
          `prompt of ${sizes.short}`,
          `prompt of ${sizes.long}`,
          "generated, empty window",
          "generated, full window",
        ].map((name, i) => ({
          name,
          values: speed.filter((row) => row[0] === shape).map((row) => (row[2 + i] as { value: number }).value),
        })),
      })),
      targets,
    };
  },
};

/** Generated tokens a second where nearly all gates are closed, of those with ordinary gates, in turns. */
async function closedGates(
  context: Context,
  shape: ShapeName,
  tokens: number,
  runs: number,
): Promise<[name: string, share: number]> {
  const rates: [number[], number[]] = [[], []];
  for (let i = 0; i < runs; i++) {
    for (const closed of [false, true]) {
      const tasks = times(2, { kind: "generate" as const, prompt: 4, tokens: tokens + 1 });
      const { results } = await measure(context, [shape, "Q4_K"], tasks, { closed });
      rates[closed ? 1 : 0].push(results[1].generated_rate);
    }
  }
  const [ordinary, negligible] = rates.map((each) => figure("", "tok/s", each).value);
  return [`${shape} Q4_K generated with closed gates`, negligible / ordinary];
}

interface Shares {
  /** The products' part of the steps' time. */
  readonly products: { readonly decode: number; readonly prefill: number };
  /** What a generated token takes beside its products. */
  readonly beside: Figure;
  /** The model's speed over what its products alone would give at the kernels' best rates. */
  readonly best: { readonly decode: number; readonly prefill: number };
}

const share = (value: number): string => `${(100 * value).toFixed(0)} %`;

/** The whole pass may take 15 % longer than its products. */
const ofProducts = (key: string, { decode, prefill }: { decode: number; prefill: number }): Target[] => [
  target(`${key}, generation, products' part of the time`, decode, { least: 1 / 1.15 }, "%"),
  target(`${key}, prompt, products' part of the time`, prefill, { least: 1 / 1.15 }, "%"),
];

const notes = ({ threads, rates }: Context): string[] => [
  `Synthetic Mixtrals with random weights, ${threads} threads, one fresh process for each file, f32 cache, files in the page cache. Shares: a generated token reads the weights it uses, against ${rates.all.roofs.read.toFixed(1)} GB/s of reading; a prompt token multiplies with them (the head excepted, which only the last needs; attention is not counted), against the peak of the format's dot.`,
  "Private memory is what the process has written to; memory of files is what of the mapped file and of programs was in memory, which the system shares between processes and drops when it needs to. The long prompt runs once.",
  "The products' part of the time: from a run of its own with the option `profile`, a prompt of the same length and the tokens after it, twice; the time in phases of products (gating and packing for w2 included, waits for other threads not) over the time of all phases. The kernels' best: the model's medians over what the rates of part kernels would give, which are best pieces of one shape (4096 columns) in memory of the process's own, not in mapped files.",
];
