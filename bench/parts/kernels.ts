// The product kernels of every format, one token and 128 tokens, beside the roofs.
import type { FormatName } from "../../src/quant/formats.ts";
import type { Part } from "../part.ts";
import { type Cell, type Figure, type Target, target } from "../report.ts";
import { measureKernels, type Rates, type RoofName } from "../roofs.ts";

/** Least shares of the roofs that are aimed at: reading without and with VNNI, and the dot's peak. */
const aims: Partial<Record<FormatName, { reading: readonly [number, number]; peak: number }>> = {
  Q4_0: { reading: [0.65, 0.85], peak: 0.7 },
  Q4_1: { reading: [0.65, 0.85], peak: 0.7 },
  Q4_K: { reading: [0.65, 0.85], peak: 0.7 },
  Q8_0: { reading: [0.75, 0.9], peak: 0.85 },
  BF16: { reading: [0.8, 0.9], peak: 0.6 },
  F32: { reading: [0, 0], peak: 0.6 },
};

const roofLabels: Record<RoofName, string> = {
  read: "reading memory, GB/s",
  dot_i32: "i32 relaxed dot, G MAC/s",
  dot_i16: "i16 relaxed dot, G MAC/s",
  product_i16: "i16 products, G MAC/s",
  f32: "f32 multiply-add, G MAC/s",
};

export const kernels: Part = {
  name: "kernels",
  title: "Kernels and roofs",
  async run({ rates, quick, threads, log }) {
    log("kernels, plain SIMD");
    const plain = await measureKernels(quick ? ["Q4_0"] : ["Q4_0", "Q4_K", "Q8_0"], {
      build: "simd",
      repeats: quick ? 1 : 5,
      threads: [threads],
    });
    const both = threads === 1 ? [rates.one] : [rates.one, rates.all];
    const names = rates.all.formats.map(({ name }) => name);
    // A relaxed dot of four products that is as fast as that of two is one instruction: the engine uses VNNI.
    const vnni = rates.all.roofs.dot_i32 > 0.8 * rates.all.roofs.dot_i16;
    return {
      notes: [
        `Best pieces of one to a few milliseconds, in one process; 4096 columns. The i32 relaxed dot is ${vnni ? "" : "not "}lowered to VNNI by this runtime here. One token: GB/s of weights, share of reading. 128 tokens: G multiply-adds a second, share of the peak of the fastest exact dot for the format (i16 products for Q8_0 and plain SIMD, f32 for bf16).`,
      ],
      tables: [
        {
          columns: ["roof", ...both.map((r) => label(r.threads))],
          rows: Object.entries(roofLabels).map(([name, text]) => [
            text,
            ...both.map((r) => best(`roof ${name}, ${label(r.threads)}`, r.roofs[name as RoofName], "")),
          ]),
        },
        kernelTable("format", both, ""),
        kernelTable("format, plain SIMD", plain, " plain"),
      ],
      charts: [
        {
          title: `One token, ${label(threads)}`,
          kind: "bar",
          x: { name: "format", values: names },
          y: { name: "GB/s of weights" },
          series: [
            { name: "kernel", values: rates.all.formats.map(({ one }) => one) },
            { name: "reading", values: names.map(() => rates.all.roofs.read) },
          ],
        },
        {
          title: `128 tokens, ${label(threads)}`,
          kind: "bar",
          x: { name: "format", values: names },
          y: { name: "G multiply-adds/s" },
          series: [
            { name: "kernel", values: rates.all.formats.map(({ many }) => many) },
            { name: "peak of its dot", values: rates.all.formats.map(({ peak }) => peak) },
          ],
        },
      ],
      targets: [...targetsOf(rates.all, vnni), ...targetsOf(plain[0], undefined)],
    };
  },
};

const label = (n: number): string => `${n} thread${n > 1 ? "s" : ""}`;

const best = (name: string, value: number, unit: string, of?: Figure["of"]): Figure => ({
  name,
  value,
  unit,
  low: value,
  high: value,
  runs: 1,
  more: true,
  of,
});

function kernelTable(title: string, rates: readonly Rates[], suffix: string) {
  const columns = rates.flatMap(({ threads: n }) => [`one token, ${label(n)}`, `128 tokens, ${label(n)}`]);
  const rows = rates[0].formats.map(({ name }): Cell[] => [
    name,
    ...rates.flatMap(({ threads: n, roofs, formats }) => {
      const { one, many, peak } = formats.find((each) => each.name === name)!;
      const key = `kernel ${name}${suffix}, ${label(n)}`;
      return [
        best(`${key}, one token`, one, "GB/s", { what: "reading", share: one / roofs.read }),
        best(`${key}, 128 tokens`, many, "G/s", { what: "peak", share: many / peak }),
      ];
    }),
  ]);
  return { columns: [title, ...columns], rows };
}

/** @param vnni - undefined for the plain build, of which only many tokens are aimed at */
function targetsOf({ threads, roofs, formats }: Rates, vnni: boolean | undefined): Target[] {
  const rate = (name: FormatName) => formats.find((each) => each.name === name);
  const q4 = rate("Q4_0");
  return formats.flatMap(({ name, one, many, peak }): Target[] => {
    const where = `${name}, ${label(threads)}`;
    if (vnni === undefined)
      return [target(`${where}, plain SIMD, 128 tokens, of i16 products`, many / peak, { least: 0.85 }, "%")];
    const aim = aims[name as FormatName];
    const targets: Target[] = [];
    if (aim?.reading[0])
      targets.push(
        target(`${where}, one token, of reading`, one / roofs.read, { least: aim.reading[vnni ? 1 : 0] }, "%"),
      );
    else if (q4)
      targets.push(target(`${where}, one token, of Q4_0's bytes a second`, one / q4.one, { least: 0.5 }, "%"));
    if (aim) targets.push(target(`${where}, 128 tokens, of the dot's peak`, many / peak, { least: aim.peak }, "%"));
    else if (q4 && /^Q[56]_/.test(name))
      targets.push(target(`${where}, 128 tokens, of Q4_0's speed`, many / q4.many, { least: 0.8 }, "%"));
    return targets;
  });
}
