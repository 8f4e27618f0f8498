// A model in control groups that have more memory than it, about as much, and less: what "auto" chooses, beside weights that
// are mapped whatever there is. Runs only when named.
import { rmSync } from "node:fs";
import { measureModel } from "../child.ts";
import { memoryGroup } from "../group.ts";
import type { Measurement } from "../measure.ts";
import type { Context, Part } from "../part.ts";
import { type Cell, figure, type Target, target } from "../report.ts";
import { fileBytes, synthesize } from "../synth.ts";

/** Of the file's size. */
const LIMITS = [1.1, 1.03, 0.98, 0.92, 0.8, 0.6, 0.4, 0.25];

const percent = (limit: number): string => `${(100 * limit).toFixed(0)} %`;

export const limits: Part = {
  name: "limits",
  title: "Less memory than weights",
  async run(context: Context) {
    const { quick } = context;
    const path = await synthesize(quick ? "tiny" : "mid", "Q4_0");
    const bytes = fileBytes(path);
    const rows: Cell[][] = [];
    const targets: Target[] = [];
    // No group could hold a process and not hold the model of a quick run.
    const group = quick ? { reason: "a quick run" } : memoryGroup();
    const made = "reason" in group ? undefined : group;
    const load = (limit: number, mmap: "auto" | true): Promise<Measurement> => {
      made?.limit(limit * bytes);
      made?.forgetFiles();
      context.log(`${percent(limit)} of the file's size, ${mmap === true ? "mapped" : "auto"}`);
      const options = { threads: context.threads, context: 1024, ...(made ? { mmap } : {}) };
      const tasks = [{ kind: "generate" as const, prompt: 6, tokens: quick ? 5 : 41 }];
      return measureModel({ path, options, tasks }, [...(made?.command ?? []), ...context.runtime]);
    };
    try {
      for (const limit of made || quick ? LIMITS.slice(0, quick ? 1 : LIMITS.length) : []) {
        const [auto, mapped] = [await load(limit, "auto"), await load(limit, true)];
        rows.push(row(limit, bytes, auto, mapped));
        const [own, others] = [auto, mapped].map(({ results }) => results[0].generated_rate);
        targets.push(target(`${percent(limit)}: auto beside mapped`, own / others, { least: 0.9 }, "times"));
      }
    } finally {
      made?.remove();
      rmSync(path, { force: true });
    }
    return {
      notes: [
        "reason" in group
          ? `Not measured: ${group.reason}.`
          : `\`mid\` Q4_0 (${(bytes / 1e9).toFixed(2)} GB), ${context.threads} threads, each row in a control group with that limit of memory, from an empty cache of files; 40 tokens after a prompt of 6.`,
      ],
      tables: [
        {
          columns: ["limit", "auto chose", "tokens", "slowest tenth", "mapped: tokens", "slowest tenth"],
          rows,
        },
      ],
      charts: [],
      targets,
    };
  },
};

function row(limit: number, bytes: number, auto: Measurement, mapped: Measurement): Cell[] {
  const name = percent(limit);
  const { experts } = auto.info;
  const cells = (who: string, { results: [result] }: Measurement): Cell[] => {
    const sorted = result.token_ms!.toSorted((a, b) => a - b);
    const tenth = sorted[Math.ceil(0.9 * sorted.length) - 1];
    return [
      figure(`limit ${name} ${who} generated`, "tok/s", [result.generated_rate]),
      figure(`limit ${name} ${who} slowest tenth`, "ms", [tenth], { more: false }),
    ];
  };
  const chose = experts ? `${(experts.budget_bytes / 1e9).toFixed(2)} GB of experts` : "to map all";
  return [
    `${name}, ${((limit * bytes) / 1e9).toFixed(2)} GB`,
    chose,
    ...cells("auto", auto),
    ...cells("mapped", mapped),
  ];
}
