// What sequences take from each other: a stream beside a long prompt, and streams that share a prefix.
import { measure, type Part } from "../part.ts";
import { type Cell, figure, target } from "../report.ts";

/** The engine's own, see src/model/engine.ts. */
const STEP_MS = 250;

export const sharing: Part = {
  name: "sharing",
  title: "Sequences beside each other",
  async run(context) {
    const [shapes, prompt, prefix, tokens] = context.quick
      ? ([["tiny"], 64, 70, 4] as const)
      : ([["small", "mid"], 4096, 2048, 32] as const);
    const streams = 8;
    const beside: Cell[][] = [];
    const forks: Cell[][] = [];
    const targets = [];
    for (const shape of shapes) {
      const m = await measure(
        context,
        [shape, "Q4_0"],
        [
          { kind: "generate", prompt: 64, tokens: 8 },
          { kind: "beside", prompt },
          { kind: "shared", prefix, streams, tokens },
        ],
      );
      const [, reading, shared] = m.results;
      const { gaps, reading_ms } = reading;
      const longest = Math.max(...gaps!);
      const slower = reading_ms!.beside / reading_ms!.alone;
      beside.push([
        shape,
        figure(`${shape} longest gap of a stream beside a prompt of ${prompt}`, "ms", [longest], { more: false }),
        figure(`${shape} gaps of a stream beside a prompt of ${prompt}`, "ms", gaps!, { more: false }),
        String(gaps!.length),
        figure(`${shape} a prompt of ${prompt} beside a stream, of its time alone`, "×", [slower], { more: false }),
      ]);
      const { prefix: once, streams: all } = shared.cache_bytes!;
      forks.push([
        shape,
        figure(`${shape} ${streams} streams from a prefix of ${prefix}`, "tok/s", [shared.generated_rate]),
        figure(`${shape} cache bytes of ${streams} streams, of one prefix`, "×", [all / once], { more: false }),
      ]);
      targets.push(
        target(
          `${shape}: longest gap of a stream while a prompt of ${prompt} is read`,
          longest,
          { most: 2 * STEP_MS },
          "ms",
        ),
        target(
          `${shape}: cache bytes of ${streams} streams with one prefix of ${prefix}`,
          all / once,
          { most: 1.5 },
          "×",
        ),
      );
    }
    return {
      notes: [
        `Q4_0, ${context.threads} threads. A stream generates while another call reads a prompt of ${prompt} tokens: the time between two of its tokens, at most and in the middle, and how many came. A step takes at most ${STEP_MS} ms while others wait. Then ${streams} streams go on at once from forks of one cache of ${prefix} tokens.`,
      ],
      tables: [
        {
          columns: ["model", "longest gap", "gaps", "tokens meanwhile", "the prompt's time, of that alone"],
          rows: beside,
        },
        { columns: ["model", `${streams} streams`, "cache, of one prefix"], rows: forks },
      ],
      charts: [],
      targets,
    };
  },
};
