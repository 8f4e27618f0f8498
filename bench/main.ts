// npm run bench [-- PART… [MODEL…]]: measures the parts named, or all of them, and writes one report.
//   PART            kernels model batches sharing assisted load threads length eager peers; only when named: whole (26 GB on
//                   disk), devices (WebAssembly beside native kernels), limits (control groups of Linux: root alone can make
//                   them), formats and caches (what formats of weights and caches cost in perplexity and facts), first-run
//                   (from npm install to the first token, beside others: hundreds of megabytes from the network), files (the
//                   sizes and speeds of docs/choosing.md: up to memory's size on disk)
//   MODEL           for formats and caches: files, folders, folders of them; models/demo where none is named
//   --text FILE     for formats and caches: the text whose perplexity is found (the demo model's)
//   --no-facts      for formats: of models other than the demo, which are not asked about condiments
//   --llama-bench "NAME=COMMAND …"  for devices: a llama-bench that you have built, of llama.cpp or of what came from it, and
//                   what it is called; again for another
//   --quick         seconds on tiny models: shows that everything runs, the figures mean nothing
//   --threads N     threads of the team (as many as cores)
//   --runtime CMD   runs the models in another runtime: --runtime "deno run -A"
//   --compare FILE  prints before → after for each figure of a saved report.json
//   --out DIR       where the report goes (bench/results/…): report.md, report.html, report.json, and its charts as SVG
//   --clean         removes the synthetic checkpoints in bench/cache afterwards
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { formats, ownFormats, repackedFormats } from "../src/quant/formats.ts";
import { demo, root } from "../tests/fixtures.ts";
import { drawCharts } from "./charts.ts";
import { ownRuntime } from "./child.ts";
import { installCompanions } from "./companions.ts";
import { compare } from "./compare.ts";
import { describeMachine } from "./machine.ts";
import { toMarkdown } from "./markdown.ts";
import { toPage } from "./page.ts";
import { type Context, modelFormats, type Part } from "./part.ts";
import { assisted } from "./parts/assisted.ts";
import { batches } from "./parts/batches.ts";
import { caches } from "./parts/caches.ts";
import { devices } from "./parts/devices.ts";
import { eager } from "./parts/eager.ts";
import { fileFormats, files } from "./parts/files.ts";
import { firstRun } from "./parts/first_run.ts";
import { formats as weightFormats } from "./parts/formats.ts";
import { kernels } from "./parts/kernels.ts";
import { length } from "./parts/length.ts";
import { limits } from "./parts/limits.ts";
import { load } from "./parts/load.ts";
import { model } from "./parts/model.ts";
import { peers } from "./parts/peers.ts";
import { sharing } from "./parts/sharing.ts";
import { threads } from "./parts/threads.ts";
import { whole } from "./parts/whole.ts";
import { readLlamaBench } from "./peers/llama_bench.ts";
import type { Report, Section } from "./report.ts";
import { measureKernels } from "./roofs.ts";
import { removeModels } from "./synth.ts";

const parts: readonly Part[] = [kernels, model, peers, batches, sharing, assisted, threads, load, length, eager];

const { values: options, positionals, llama_bench } = readArguments();
const known = [...parts, devices, whole, limits, weightFormats, caches, firstRun, files];
const isPart = (name: string) => known.some((part) => part.name === name);
const models = positionals.filter((name) => !isPart(name) && existsSync(name));
const unknown = positionals.find((name) => !isPart(name) && !models.includes(name));
if (unknown) {
  console.error(`bench: unknown part ${unknown}; there are ${known.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}
const chosen = positionals.some(isPart) ? known.filter(({ name }) => positionals.includes(name)) : parts;

const log = (line: string) => console.error(line);
if (!options.quick && !installCompanions()) log("the packages of bench/ could not be installed: no charts, no peers");
const machine = describeMachine();
const start = performance.now();
const context = await measureRoofs();
const sections: Section[] = [];
for (const part of chosen) {
  log(`${part.title} …`);
  const { name, title } = part;
  const found = await part.run(context);
  const targets = options.quick ? [] : found.targets;
  sections.push({ name, title, command: `npm run bench -- ${name}`, ...found, targets });
}
if (options.clean) removeModels();
const command = ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" ");
const report: Report = { machine, command, seconds: (performance.now() - start) / 1000, sections };
write(report);
if (options.compare) {
  const before: Report = JSON.parse(readFileSync(options.compare, "utf8"));
  for (const line of compare(before, report)) console.log(line);
}

function readArguments() {
  try {
    const read = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        threads: { type: "string", default: String(os.availableParallelism()) },
        runtime: { type: "string" },
        compare: { type: "string" },
        out: { type: "string" },
        text: { type: "string" },
        "llama-bench": { type: "string", multiple: true, default: [] },
        "no-facts": { type: "boolean", default: false },
        clean: { type: "boolean", default: false },
      },
    });
    return { ...read, llama_bench: read.values["llama-bench"].map(readLlamaBench) };
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    process.exit(2);
  }
}

/** The roofs and the kernels' rates, which every part's figures stand beside. */
async function measureRoofs(): Promise<Context> {
  log("roofs and kernels …");
  const team = Number(options.threads);
  const counts = team > 1 ? [1, team] : [1];
  const all = [formats, repackedFormats, ownFormats].flatMap((table) => Object.values(table)).map(({ name }) => name);
  const some = chosen.includes(files) ? [...new Set([...modelFormats, ...fileFormats])] : modelFormats;
  const wanted = options.quick ? modelFormats : chosen.includes(kernels) ? all : some;
  const rates = await measureKernels(wanted, { build: "relaxed", repeats: options.quick ? 1 : 7, threads: counts });
  return {
    quick: options.quick,
    threads: team,
    features: machine.features,
    models: models.length ? models : [demo],
    text: options.text,
    facts: !options["no-facts"],
    llama_bench,
    runtime: options.runtime?.split(" ") ?? ownRuntime,
    rates: { one: rates[0], all: rates.at(-1)! },
    log,
  };
}

function write(written: Report): void {
  const stamp = written.machine.date.slice(0, 19).replaceAll(":", "");
  const folder = options.out ?? join(root, "bench", "results", `${stamp}-${written.machine.commit.replace("*", "+")}`);
  mkdirSync(folder, { recursive: true });
  const svgs = written.sections.map(({ charts }) => drawCharts(charts));
  const names = svgs.map((list, i) => list.map((_, j) => `${written.sections[i].name}-${j + 1}.svg`));
  svgs.forEach((list, i) => {
    list.forEach((svg, j) => {
      writeFileSync(join(folder, names[i][j]), svg);
    });
  });
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(written, null, 1)}\n`);
  writeFileSync(join(folder, "report.md"), toMarkdown(written, names));
  writeFileSync(join(folder, "report.html"), toPage(written, svgs));
  log(`written to ${folder}`);
}
