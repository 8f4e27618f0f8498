// Speed of the product kernels beside the machine's roofs, all through WebAssembly in one process and one run:
//   node dist/bench/kernels.js [FORMAT…] [--build relaxed|simd] [--threads 1,2] [--tokens 128] [--repeats 7] [--wasm DIR[,DIR]] [--json]
// One-token products read 1 GiB of weights, more than any cache keeps, and are given in GB/s of weights and as a share of
// the roof of reading, which is that of one stream or two, whichever is faster. They are measured without and with reading
// ahead (cpp/read_ahead.h); the faster one counts. Many-token products in G multiply-adds a second and as a share of the fastest exact dot's peak. Work is timed in pieces
// of one to a few milliseconds, and every figure is the best piece: on a busy machine a longer one is always disturbed.
// Formats take turns, and so do the folders given to --wasm: a change is judged against its parent in one run.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import v8 from "node:v8";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { type Dot, dots, packArgs, productArgs, stackTop } from "../src/kernels/abi.ts";
import { writeStruct } from "../src/kernels/structs.ts";
import { type BlockFormat, formats, ownFormats, repackedFormats, rowBytes } from "../src/quant/formats.ts";
import { root } from "../tests/fixtures.ts";
import { randomWords } from "./blocks.ts";

if (Number.parseInt(process.versions.node, 10) < 22) v8.setFlagsFromString("--experimental-wasm-relaxed-simd");

type Kernel = (...args: number[]) => number;

/** One thread's share of a call: the name of an export and its arguments. */
interface Call {
  name: string;
  args: number[];
}

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory, stackEnd: number): Record<string, Kernel> {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  (instance.exports["__stack_pointer"] as WebAssembly.Global).value = stackEnd;
  return instance.exports as never;
}

// A worker waits for `epoch` to grow, reads its call from its page of the shared text, and adds itself to `done`.
// Thread t has page t; the first page holds the signals. A page's first number is the length of its text, 0 for no call.
const EPOCH = 0;
const DONE = 1;
const PAGE = 1024;

if (!isMainThread) {
  // Modules, not paths: what the engine has optimized for one thread is so for all. Threads that compiled for themselves
  // measured two-thread peaks in baseline code, half of what they are.
  const { modules, memory, control, thread } = workerData;
  const kernels: Record<string, Kernel>[] = modules.map((module: WebAssembly.Module) =>
    instantiate(module, memory, stackTop(thread)),
  );
  const signals = new Int32Array(control);
  const length = new Int32Array(control, PAGE * thread, 1);
  for (let epoch = 0; ; ) {
    Atomics.wait(signals, EPOCH, epoch);
    epoch = Atomics.load(signals, EPOCH);
    const text = new TextDecoder().decode(new Uint8Array(control, PAGE * thread + 4, length[0]).slice());
    if (text) {
      const { path, name, args } = JSON.parse(text);
      kernels[path][name](...args);
    }
    Atomics.add(signals, DONE, 1);
  }
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    build: { type: "string", default: "relaxed" },
    threads: { type: "string", default: "1,2" },
    tokens: { type: "string", default: "128" },
    repeats: { type: "string", default: "7" },
    wasm: { type: "string", default: join(root, "wasm") },
    json: { type: "boolean", default: false },
  },
});
const paths = options.wasm.split(",").map((folder) => join(folder, `kernels-${options.build}.wasm`));
const known: readonly BlockFormat[] = [formats, repackedFormats, ownFormats].flatMap((table) => Object.values(table));
const chosen = positionals.length
  ? positionals.map((name) => known.find((f) => f.name === name.toUpperCase())!)
  : known.filter(({ quantized, block_values }) => quantized || block_values > 1);
const tokens = Number(options.tokens);
const cols = 4096;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const threadCounts = options.threads.split(",").map(Number);
const mostThreads = Math.max(...threadCounts);

const weightsBytes = 1 << 30;
const memory = new WebAssembly.Memory({ initial: 20480, maximum: 20480, shared: true });
const weights = 2 ** 20 * Math.ceil(stackTop(mostThreads) / 2 ** 20);
let next = weights + weightsBytes;
const alloc = (bytes: number): number => (next += Math.ceil(bytes / 64) * 64) - Math.ceil(bytes / 64) * 64;

// Any bytes, for formats that look their values up in tables take longer from all parts of these than from a few, but for
// those that begin a subnormal f16: subnormal scales are slow.
const pattern = new Uint8Array(randomWords(new Uint32Array(1 << 18), 1).buffer).map((byte) =>
  byte & 0x7c ? byte : byte | 0x40,
);
for (let at = weights; at < weights + weightsBytes; at += pattern.length)
  new Uint8Array(memory.buffer).set(pattern, at);
const x = alloc(4 * cols * tokens);
new Float32Array(memory.buffer, x, cols * tokens).forEach((_, i, a) => {
  a[i] = Math.sin(i);
});

const modules = paths.map((path) => new WebAssembly.Module(readFileSync(path)));
const kernels = modules.map((module) => instantiate(module, memory, stackTop(0)));
const control = new SharedArrayBuffer(PAGE * mostThreads);
const signals = new Int32Array(control);
const workers = range(mostThreads)
  .slice(1)
  .map((thread) => new Worker(new URL(import.meta.url), { workerData: { modules, memory, control, thread } }));

/** Seconds that the calls take, one a thread. */
function time(path: number, calls: Call[]): number {
  for (const thread of range(mostThreads).slice(1)) {
    const text = calls[thread] ? new TextEncoder().encode(JSON.stringify({ path, ...calls[thread] })) : [];
    new Uint8Array(control).set(text, PAGE * thread + 4);
    new Int32Array(control, PAGE * thread, 1)[0] = text.length;
  }
  const start = performance.now();
  if (calls.length > 1) {
    Atomics.store(signals, DONE, 0);
    Atomics.add(signals, EPOCH, 1);
    Atomics.notify(signals, EPOCH);
  }
  kernels[path][calls[0].name](...calls[0].args);
  while (calls.length > 1 && Atomics.load(signals, DONE) < workers.length);
  return (performance.now() - start) / 1000;
}

/** A thing to measure: the work of one piece (bytes or multiply-adds) and the pieces' calls, one for each thread. */
interface Case {
  label: string;
  work: (threads: number) => number;
  pieces: (threads: number, path: number) => Call[][];
}

const pieceBytes = 4 << 20;
const pieces = range(weightsBytes / pieceBytes);
const structs = alloc(productArgs.bytes * pieces.length * mostThreads);
const steps = 4_000_000;
/** Bytes of one thread's part of a piece, whole pairs of cache lines. */
const lines = (n: number): number => Math.floor(pieceBytes / n / 128) * 128;
const peakNames = ["dot_i32", "dot_i16", "product_i16", "f32"] as const;
const roofs: Case[] = [
  ...["read", "read_two"].map((name) => ({
    label: name,
    work: (n: number) => n * lines(n),
    pieces: (n: number) =>
      pieces.map((p) =>
        range(n).map((t) => ({ name: `roof_${name}`, args: [weights + p * pieceBytes + t * lines(n), lines(n)] })),
      ),
  })),
  ...peakNames.map((name) => ({
    label: name,
    work: (n: number) => Math.floor(steps / n) * n * { dot_i32: 16, dot_i16: 16, product_i16: 8, f32: 4 }[name],
    pieces: (n: number) => [range(n).map(() => ({ name: `roof_${name}`, args: [Math.floor(steps / n)] }))],
  })),
];

/** Rows of a many-token product: 128, or what divides by the threads in sixteens. */
const manyRows = (n: number): number => n * Math.ceil(128 / n / 16) * 16;
const outRows = Math.max(128, ...threadCounts.map(manyRows)) * (tokens + 4);
const out = alloc(4 * Math.max((pieceBytes / rowBytes(formats.Q2_K, cols)) | 0, outRows) + 64);
const scratch = range(mostThreads).map(() => alloc(Math.max(...kernels.map((k) => k.matmul_scratch(cols)))));
const packed = alloc(
  Math.max(...chosen.flatMap((f) => kernels.map((k) => k.packed_bytes(k.tile_kind(f.id), cols, Math.max(tokens, 4))))),
);
const views = { u32: new Uint32Array(memory.buffer), f32: new Float32Array(memory.buffer) };

/** Packs some rows of x, and returns where. */
function pack(path: number, kind: number, tokens: number): number {
  const args = {
    kind,
    x,
    stride: cols,
    tokens,
    dst: packed,
    cols,
    col0: 0,
    col1: cols,
    from: 0,
    to: tokens,
    threshold: 0,
    order: 0,
  };
  writeStruct(views, structs, packArgs, args);
  kernels[path].pack(structs);
  return packed;
}

/** The arguments of the n-th call of a case, in a struct that is its own until the next case. */
function product(n: number, values: Record<keyof typeof productArgs.fields, number>): number[] {
  const at = structs + n * productArgs.bytes;
  writeStruct(views, at, productArgs, values);
  return [at];
}

/** The faster dot here, as the engine chooses it. */
let dot: Dot = dots.i16;

const matvec = (f: BlockFormat, read_ahead: number): Case => {
  const bytes = rowBytes(f, cols);
  const each = (n: number) => Math.floor(pieceBytes / bytes / n);
  return {
    label: f.name,
    work: (n) => n * each(n) * bytes,
    pieces: (n, path) => {
      const rows = each(n);
      const x = pack(path, kernels[path].vec_kind(f.id), 1);
      return pieces.map((p) =>
        range(n).map((t) => ({
          name: `matvec_${f.name.toLowerCase()}`,
          args: product(p * n + t, {
            w: weights + (p * n + t) * rows * bytes,
            x,
            out: out + 4 * t * rows,
            cols,
            rows,
            tokens: 1,
            out_stride: rows,
            scratch: 0,
            dot,
            read_ahead,
          }),
        })),
      );
    },
  };
};

const matmul = (f: BlockFormat, read_ahead: number): Case => ({
  label: f.name,
  work: (n) => manyRows(n) * cols * tokens,
  pieces: (n, path) => {
    const rows = manyRows(n);
    const x = pack(path, kernels[path].tile_kind(f.id), tokens);
    const call = (t: number): Call => ({
      name: `matmul_${f.name.toLowerCase()}`,
      args: product(t, {
        w: weights + (t * rows * rowBytes(f, cols)) / n,
        x,
        out: out + (4 * t * rows) / n,
        cols,
        rows: rows / n,
        tokens,
        out_stride: rows,
        scratch: scratch[t],
        dot,
        read_ahead,
      }),
    });
    return range(4).map(() => range(n).map(call));
  },
});

/** Runs a case until the engine has optimized its code in every instance. */
function warm(c: Case, threads: number): void {
  paths.forEach((_, path) => {
    const calls = c.pieces(threads, path);
    // On the last piece: the first ones measured have not just been read.
    for (const end = performance.now() + 150; performance.now() < end; ) time(path, calls.at(-1)!);
  });
}

/** The best rate (work a second, in units of 1e9) of each case and folder, repeats taking turns. */
function measure(cases: Case[], threads: number, repeats: number): number[][] {
  const best = cases.map(() => paths.map(() => 0));
  for (const c of cases) warm(c, threads);
  // What was warmed is optimized in the background, one function after another: 30 kernels of 15 formats take a while.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60 * cases.length);
  for (let repeat = 0; repeat < repeats; repeat++) {
    cases.forEach((c, i) => {
      paths.forEach((_, path) => {
        for (const calls of c.pieces(threads, path)) {
          best[i][path] = Math.max(best[i][path], c.work(threads) / time(path, calls) / 1e9);
        }
      });
    });
  }
  return best;
}

/** What `--json` prints of each number of threads: rates in 1e9 a second, of the first folder. */
interface Rates {
  threads: number;
  /** Bytes read, and multiply-adds of each kind. */
  roofs: Record<string, number>;
  formats: { name: string; one: number; many: number; peak: number }[];
}

const repeats = Number(options.repeats);
const percent = (share: number): string => `${(100 * share).toFixed(0).padStart(3)} %`;
const print = (line: string) => options.json || console.log(line);
const rates: Rates[] = [];
print(`# ${process.release.name} ${process.version}, ${options.build}, ${cols} columns, best of ${repeats}`);
for (const threads of threadCounts) {
  const [one_stream, two_streams, ...peaks] = measure(roofs, threads, repeats).map((each) => Math.max(...each));
  const read = Math.max(one_stream, two_streams);
  const [dot_i32, dot_i16, product_i16, f32] = peaks;
  const roof = { read, dot_i32, dot_i16, product_i16, f32 };
  print(
    `\n${threads} thread${threads > 1 ? "s" : ""}: ${Object.entries(roof)
      .map(([name, rate]) => `${name} ${rate.toFixed(1)}`)
      .join(
        ", ",
      )} (GB/s, G multiply-adds/s); reading one stream ${one_stream.toFixed(1)}, two ${two_streams.toFixed(1)}`,
  );
  dot = dot_i32 > dot_i16 ? dots.i32 : dots.i16;
  const dot_peak = options.build === "simd" ? product_i16 : Math.max(dot_i32, dot_i16, product_i16);
  const matvecs = chosen.flatMap((f) => [matvec(f, 0), matvec(f, 1)]);
  const both = measure(matvecs, threads, repeats);
  const without = chosen.map((_, i) => both[2 * i]);
  const ahead = chosen.map((_, i) => both[2 * i + 1]);
  const one = chosen.map((_, i) => paths.map((_, path) => Math.max(without[i][path], ahead[i][path])));
  const matmuls = chosen.map((f, i) => matmul(f, ahead[i][0] > without[i][0] ? 1 : 0));
  const many = measure(matmuls, threads, repeats);
  print(`format   one token GB/s, of reading; ahead   ${tokens} tokens G/s, of the peak`);
  rates.push({ threads, roofs: roof, formats: [] });
  chosen.forEach((f, i) => {
    const peak = !f.quantized ? f32 : f.name === "Q8_0" || f.name === "BNB_INT8" ? product_i16 : dot_peak;
    const cell = (each: number[], over: number) =>
      each.map((r) => `${r.toFixed(1).padStart(6)} ${percent(r / over)}`).join("  | ");
    print(`${f.name.padEnd(8)} ${cell(without[i], read)}; ${cell(ahead[i], read)}      ${cell(many[i], peak)}`);
    rates[rates.length - 1].formats.push({ name: f.name, one: one[i][0], many: many[i][0], peak });
  });
}
if (options.json) console.log(JSON.stringify(rates));
for (const worker of workers) await worker.terminate();
