// llama.cpp, native and in a browser, on the same files in the same run, taking turns with this engine.
import type { FormatName } from "../../src/quant/formats.ts";
import { measureModel, ownRuntime, runProgram } from "../child.ts";
import { companionFolder, companionVersion as version } from "../companions.ts";
import type { Context, Part } from "../part.ts";
import { findBrowser } from "../peers/browser.ts";
import type { PeerRequest, PeerRun } from "../peers/peer.ts";
import { type Cell, type Figure, figure, type Target, target } from "../report.ts";
import { synthesize } from "../synth.ts";

interface Peer {
  readonly name: string;
  /** Why it cannot be measured here, if so. */
  readonly missing?: string;
  /** How often; the slow ones less. */
  readonly rounds: number;
  readonly formats: readonly FormatName[];
  run(request: PeerRequest): Promise<PeerRun>;
}

const formats: readonly FormatName[] = ["Q4_0", "Q4_K", "Q8_0"];
const request = { prompt: 512, tokens: 48 };

export const peers: Part = {
  name: "peers",
  title: "Peers",
  async run(context) {
    if (context.quick) return { notes: ["Left out of quick runs."], tables: [], charts: [], targets: [] };
    const all = engines(context);
    const here = all.filter(({ missing }) => !missing);
    const found = new Map<string, PeerRun[]>();
    const failures: string[] = [];
    for (const format of formats) {
      const path = await synthesize("mid", format);
      const failed = new Set<Peer>();
      for (let round = 0; round < Math.max(...here.map(({ rounds }) => rounds)); round++) {
        for (const peer of here) {
          if (round >= peer.rounds || failed.has(peer) || !peer.formats.includes(format)) continue;
          context.log(`${peer.name}, mid ${format}, round ${round + 1}`);
          try {
            const run = await peer.run({ path, threads: context.threads, ...request });
            const key = `${peer.name} ${format}`;
            found.set(key, [...(found.get(key) ?? []), run]);
          } catch (error) {
            failed.add(peer);
            failures.push(`${peer.name} failed on ${format}: ${(error as Error).message.split("\n")[0]}`);
          }
        }
      }
    }
    const rows: Cell[][] = [];
    const medians = new Map<string, Record<keyof PeerRun, number>>();
    for (const format of formats) {
      for (const { name } of here) {
        const runs = found.get(`${name} ${format}`);
        if (!runs) continue;
        const cells = columns.map(({ what, of, unit, scale, more }) =>
          figure(
            `peers mid ${format}, ${name}, ${what}`,
            unit,
            runs.map((run) => run[of] / scale),
            { more },
          ),
        );
        rows.push([format, name, ...cells]);
        medians.set(
          `${name} ${format}`,
          Object.fromEntries(columns.map(({ of }, i) => [of, cells[i].value])) as Record<keyof PeerRun, number>,
        );
      }
    }
    return {
      notes: [
        `mid, ${context.threads} threads, the same file for all; each run is a fresh process that loads, answers once to warm up, then takes a prompt of ${request.prompt} tokens (wllama: ${wllamaRequest.prompt} words, as it is slow) and generates ${request.tokens} (${wllamaRequest.tokens}). The engines take turns. Private memory counts all processes of a browser. node-llama-cpp ${version("node-llama-cpp")} with its prebuilt binaries for the CPU; wllama ${version("@wllama/wllama")} with all threads, in headless Chromium.`,
        ...all.filter(({ missing }) => missing).map(({ name, missing }) => `${name} was not measured: ${missing}.`),
        ...failures,
      ],
      tables: [{ columns: ["format", "engine", "prompt", "generated", "load", "peak private memory"], rows }],
      charts: ["prompt", "generated"].map((what, i) => ({
        title: `${i ? "Generated" : "Prompt"} tokens a second, mid`,
        kind: "bar" as const,
        x: { name: "format", values: formats },
        y: { name: "tokens/s" },
        series: here.map(({ name }) => ({
          name,
          values: formats.map((format) => {
            const row = rows.find((cells) => cells[0] === format && cells[1] === name);
            return row ? (row[what === "prompt" ? 2 : 3] as Figure).value : null;
          }),
        })),
      })),
      targets: targetsOf(medians, context),
    };
  },
};

const columns: readonly { what: string; of: keyof PeerRun; unit: string; scale: number; more: boolean }[] = [
  { what: "prompt", of: "prompt_rate", unit: "tok/s", scale: 1, more: true },
  { what: "generated", of: "generated_rate", unit: "tok/s", scale: 1, more: true },
  { what: "load", of: "load_ms", unit: "ms", scale: 1, more: false },
  { what: "private memory", of: "private", unit: "MB", scale: 1e6, more: false },
];

/** wllama takes minutes for what the others do in seconds. */
const wllamaRequest = { prompt: 96, tokens: 12 };

const ours = "tramontane";
const native = "llama.cpp";
const browser = "wllama";

function engines({ runtime }: Context): Peer[] {
  return [
    {
      name: ours,
      rounds: 3,
      formats,
      async run({ path, threads, prompt, tokens }) {
        const warm = { kind: "generate" as const, prompt: 32, tokens: 1 };
        const tasks = [warm, { kind: "generate" as const, prompt, tokens }];
        const m = await measureModel({ path, options: { threads }, tasks }, runtime);
        const { prompt_rate, generated_rate } = m.results[1];
        return { load_ms: m.load_ms, prompt_rate, generated_rate, private: m.peak.private };
      },
    },
    {
      name: native,
      rounds: 3,
      formats,
      missing: companionFolder("node-llama-cpp") ? undefined : "node-llama-cpp is not installed",
      run: (given) => runProgram("peers/llama_cpp", [JSON.stringify(given)], ownRuntime),
    },
    {
      name: browser,
      rounds: 1,
      formats,
      missing: !companionFolder("@wllama/wllama")
        ? "@wllama/wllama is not installed"
        : findBrowser()
          ? undefined
          : "there is no Chromium",
      run: (given) => runProgram("peers/wllama", [JSON.stringify({ ...given, ...wllamaRequest })], ownRuntime),
    },
  ];
}

/** Ratios to the peers, each of medians of the same run. */
function targetsOf(medians: ReadonlyMap<string, Record<keyof PeerRun, number>>, { features }: Context): Target[] {
  // Where llama.cpp has no more than AVX2 it is slower, and more is aimed at.
  const lead = features.some((name) => name.startsWith("avx512")) ? 1 : 1.3;
  return formats.flatMap((format): Target[] => {
    const own = medians.get(`${ours} ${format}`);
    const nat = medians.get(`${native} ${format}`);
    const web = medians.get(`${browser} ${format}`);
    if (!own) return [];
    const ratio = (what: string, value: number, least: number) =>
      target(`mid ${format}, ${what}`, value, { least }, "×");
    return [
      ...(nat
        ? [
            ratio("generation against llama.cpp", own.generated_rate / nat.generated_rate, lead),
            ratio("prompt against llama.cpp", own.prompt_rate / nat.prompt_rate, format === "Q8_0" ? 0.8 : lead),
            ratio("loads faster than llama.cpp", nat.load_ms / own.load_ms, 10),
            ratio("less private memory than llama.cpp", nat.private / own.private, 10),
          ]
        : []),
      ...(web
        ? [
            ratio("generation against wllama", own.generated_rate / web.generated_rate, format === "Q4_0" ? 14 : 5),
            ratio("prompt against wllama", own.prompt_rate / web.prompt_rate, format === "Q4_0" ? 14 : 5),
            ratio("loads faster than wllama", web.load_ms / own.load_ms, 100),
            ratio("less private memory than wllama", web.private / own.private, 10),
          ]
        : []),
    ];
  });
}
