// From an empty folder to the first token: what npm brings, what it takes on the disk, and how long all of it lasts, beside
// node-llama-cpp and transformers.js. Runs only when named: it downloads hundreds of megabytes.
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { demo, root } from "../../tests/fixtures.ts";
import { companionVersion } from "../companions.ts";
import type { Context, Part } from "../part.ts";
import { figure } from "../report.ts";

const ASK = "What is pesto made of?";
const MODEL = "demo-Q8_0.gguf";
/** Not among the bench's own packages: nothing else uses it. */
const TRANSFORMERS_JS = "4.3.1";
const ONNX = join(root, "bench", "cache", "demo-onnx");

interface Contender {
  readonly name: string;
  /** What npm is told to install. */
  readonly packages: readonly string[];
  /** A program in the folder, which writes its answer piece by piece. */
  readonly program: string;
  /** A file or folder that is put beside the program, where no package brings the model. */
  readonly model?: string;
  readonly rounds: number;
}

interface Run {
  readonly install_s: number;
  readonly first_token_s: number;
  readonly packed_bytes: number;
  readonly disk_bytes: number;
  readonly packages: number;
}

const tramontane: Contender = {
  name: "Tramontane",
  packages: [], // the two that are packed here
  program: `
    import { pipeline, TextStreamer } from "tramontane";
    import demo from "tramontane-demo";
    const generator = await pipeline("text-generation", demo);
    const streamer = new TextStreamer(generator.tokenizer, { skip_prompt: true });
    await generator([{ role: "user", content: "${ASK}" }], { max_new_tokens: 40, streamer });
    await generator.dispose();`,
  rounds: 3,
};

const peers: readonly Contender[] = [
  {
    name: `node-llama-cpp ${companionVersion("node-llama-cpp")}`,
    packages: [`node-llama-cpp@${companionVersion("node-llama-cpp")}`],
    program: `
      import { getLlama, LlamaChatSession } from "node-llama-cpp";
      const llama = await getLlama({ build: "never", skipDownload: true, logLevel: "error" });
      const model = await llama.loadModel({ modelPath: "${MODEL}" });
      const context = await model.createContext({ contextSize: 256 });
      const session = new LlamaChatSession({ contextSequence: context.getSequence() });
      const onTextChunk = (text) => process.stdout.write(text);
      await session.prompt("${ASK}", { maxTokens: 40, temperature: 0, onTextChunk });
      process.exit();`,
    model: MODEL,
    rounds: 2,
  },
  {
    name: `transformers.js ${TRANSFORMERS_JS}`,
    packages: [`@huggingface/transformers@${TRANSFORMERS_JS}`],
    program: `
      import { env, pipeline, TextStreamer } from "@huggingface/transformers";
      Object.assign(env, { allowRemoteModels: false, localModelPath: "./" });
      const generator = await pipeline("text-generation", "demo-onnx", { dtype: "fp32" });
      const streamer = new TextStreamer(generator.tokenizer, { skip_prompt: true, skip_special_tokens: true });
      await generator([{ role: "user", content: "${ASK}" }], { max_new_tokens: 40, streamer });`,
    model: "demo-onnx",
    rounds: 2,
  },
];

export const firstRun: Part = {
  name: "first-run",
  title: "From an empty folder to the first token",
  async run(context: Context) {
    const scratch = mkdtempSync(join(tmpdir(), "tramontane-first-run-"));
    try {
      const own = { ...tramontane, packages: packAll(scratch) };
      cpSync(join(root, "packages", "demo", MODEL), join(scratch, MODEL));
      if (existsSync(ONNX)) cpSync(ONNX, join(scratch, "demo-onnx"), { recursive: true });
      return await report(context, scratch, context.quick ? [own] : [own, ...peers]);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};

async function report({ quick, log }: Context, scratch: string, contenders: readonly Contender[]) {
  const notes = [
    "`npm install` in an empty folder with an empty cache, then a program of each library's own first lines, until its first text comes. The packages' bytes are those of the tarballs that npm fetched; on the disk is the folder afterwards, with the model. Each has the demo model: Tramontane as its package, node-llama-cpp the same Q8_0 file put beside the program (12 MB more to get), transformers.js an ONNX of it in float32 (46 MB more, bench/peers/demo_onnx.py). Install scripts do not run. Seconds of installing are mostly the network's.",
  ];
  const rows = [];
  for (const contender of contenders) {
    const { name, model, rounds } = contender;
    if (model && !existsSync(join(scratch, model))) {
      notes.push(`${name} was not measured: there is no ${model}.`);
      continue;
    }
    const runs: Run[] = [];
    for (let round = 0; round < (quick ? 1 : rounds); round++) {
      log(`${name}, round ${round + 1}`);
      runs.push(await measureFirstRun(contender, scratch));
    }
    const less = (what: string, unit: string, value: (run: Run) => number) =>
      figure(`first run ${name} ${what}`, unit, runs.map(value), { more: false });
    rows.push([
      name,
      less("packed", "MB", ({ packed_bytes }) => packed_bytes / 1e6),
      less("on the disk", "MB", ({ disk_bytes }) => disk_bytes / 1e6),
      String(runs[0].packages),
      less("install", "s", ({ install_s }) => install_s),
      less("first token", "s", ({ first_token_s }) => first_token_s),
      less("together", "s", ({ install_s, first_token_s }) => install_s + first_token_s),
    ]);
  }
  const columns = [
    "",
    "packages' bytes",
    "on the disk",
    "packages",
    "npm install",
    "program to first token",
    "together",
  ];
  return { notes, tables: [{ columns, rows }], charts: [], targets: [] };
}

/** Packs the two packages as they would be published. @returns their tarballs */
function packAll(scratch: string): string[] {
  const flags = ["--ignore-scripts", "--loglevel=error", "--pack-destination", scratch];
  const options = { cwd: root, encoding: "utf8", shell: process.platform === "win32" } as const;
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", ...flags], options));
  const demo_tarball = execFileSync(process.execPath, [join(root, "scripts", "pack-demo.mjs"), scratch], options);
  return [join(scratch, filename), demo_tarball.trim()];
}

async function measureFirstRun({ packages, program, model }: Contender, scratch: string): Promise<Run> {
  const folder = join(scratch, "empty");
  const cache = join(scratch, "cache");
  for (const path of [folder, cache]) rmSync(path, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  const start = performance.now();
  const flags = ["--cache", cache, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  execFileSync("npm", ["install", ...packages, ...flags], {
    cwd: folder,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  const install_s = (performance.now() - start) / 1000;
  if (model) cpSync(join(scratch, model), join(folder, model), { recursive: true });
  writeFileSync(join(folder, "first.mjs"), program);
  const first_token_s = await secondsToFirstText(folder);
  const lock = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8"));
  const there = Object.keys(lock.packages).filter((path) => path && existsSync(join(folder, path)));
  const tarballs = filesIn(join(cache, "_cacache", "content-v2")).filter(isGzip);
  return {
    install_s,
    first_token_s,
    packed_bytes: bytesOf(tarballs),
    disk_bytes: bytesOf(filesIn(folder)),
    packages: there.length,
  };
}

/** Runs the program. @throws when it does not give the demo model's answer */
function secondsToFirstText(folder: string): Promise<number> {
  const { facts } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
  const { answers } = facts.find(({ ask }: { ask: string }) => ask === ASK) as { answers: string[] };
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(process.execPath, ["first.mjs"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    let errors = "";
    let first: number | undefined;
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      if (text.trim()) first ??= performance.now();
    });
    child.stderr.setEncoding("utf8").on("data", (piece) => (errors += piece));
    child.on("error", reject);
    child.on("close", () => {
      if (first !== undefined && answers.some((answer) => text.trim().startsWith(answer)))
        resolve((first - start) / 1000);
      else reject(new Error(`expected ${answers[0]}, found ${JSON.stringify(text)}: ${errors.slice(-2000)}`));
    });
  });
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

const bytesOf = (paths: readonly string[]): number => paths.reduce((sum, path) => sum + statSync(path).size, 0);

/** npm's cache has tarballs as they came, and what the registry said of packages. */
const isGzip = (path: string): boolean => readFileSync(path).readUInt16BE() === 0x1f8b;
