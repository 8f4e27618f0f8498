// Speed of the encoders on one thread, in megabytes of f32 a second, beside llama.cpp's in the same run where its library is
// named (libggml-base.so of node-llama-cpp's package, called through koffi):
//   node dist/bench/convert.js [FORMAT…] [--ggml LIBRARY] [--rows 64] [--repeats 7] [--wasm DIR] [--json]
// Rows of 4096 values with heavy tails; importance from 0.01 to 100. The two take turns, and the best of the turns counts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { instantiateConvert } from "../src/kernels/convert.ts";
import { type FormatName, formats, rowBytes } from "../src/quant/formats.ts";
import { root } from "../tests/fixtures.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ggml: { type: "string" },
    rows: { type: "string", default: "64" },
    repeats: { type: "string", default: "7" },
    wasm: { type: "string", default: join(root, "wasm") },
    json: { type: "boolean", default: false },
  },
});
const chosen = positionals.length
  ? positionals.map((name) => formats[name.toUpperCase() as FormatName])
  : Object.values(formats).filter(({ name }) => name !== "F32");
const cols = 4096;
const rows = Number(options.rows);
const megabytes = (4 * rows * cols) / 1e6;

let state = 1;
const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const heavy = () => (uniform() + uniform() + uniform() - 1.5) / (0.1 + uniform()) / 50;
const x = Float32Array.from({ length: rows * cols }, heavy);
const importance = Float32Array.from({ length: cols }, () => 10 ** (4 * uniform() - 2));

const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024, shared: true });
const module = new WebAssembly.Module(readFileSync(join(options.wasm, "convert.wasm")));
const converters = instantiateConvert(module, memory);
let next = Math.ceil(converters.heap_base / 64) * 64;
const take = (bytes: number): number => (next += Math.ceil(bytes / 64) * 64) - Math.ceil(bytes / 64) * 64;
const put = (values: Float32Array): number => {
  const at = take(values.byteLength);
  new Float32Array(memory.buffer, at, values.length).set(values);
  return at;
};
const at = { x: put(x), importance: put(importance), out: take(4 * rows * cols) };

/** ggml_quantize_chunk, or undefined where no library is named. */
async function loadGgml(): Promise<
  ((type: number, out: Uint8Array, weights: Float32Array | null) => void) | undefined
> {
  if (!options.ggml) return undefined;
  const { default: koffi } = await import("koffi");
  const quantize = koffi
    .load(options.ggml)
    .func(
      "size_t ggml_quantize_chunk(int type, const void *src, void *dst, int64_t start, int64_t nrows, int64_t cols, const void *imatrix)",
    );
  return (type, out, weights) => quantize(type, x, out, 0, rows, cols, weights);
}

const seconds = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

/** Formats that llama.cpp does not encode without importance. */
const needs_importance = new Set(["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"]);

const ggml = await loadGgml();
const results: { format: string; importance: boolean; ours: number; ggml?: number }[] = [];
for (const format of chosen) {
  const quantize = converters.quantize(format);
  const out = new Uint8Array(rows * rowBytes(format, cols));
  for (const weighted of [false, true]) {
    const theirs = ggml && (weighted || !needs_importance.has(format.name)) ? ggml : undefined;
    const best = { ours: Infinity, theirs: Infinity };
    for (let repeat = 0; repeat < Number(options.repeats); repeat++) {
      const ours = () => void quantize(at.x, weighted ? at.importance : 0, at.out, rows, cols);
      best.ours = Math.min(best.ours, seconds(ours));
      if (theirs)
        best.theirs = Math.min(
          best.theirs,
          seconds(() => theirs(format.id, out, weighted ? importance : null)),
        );
    }
    results.push({
      format: format.name,
      importance: weighted,
      ours: megabytes / best.ours,
      ...(theirs && { ggml: megabytes / best.theirs }),
    });
  }
}
if (options.json) console.log(JSON.stringify(results));
else {
  console.log(
    `# ${process.release.name} ${process.version}, one thread, best of ${options.repeats}, MB of f32 a second`,
  );
  console.log("format    importance      ours      ggml   ours / ggml");
  for (const { format, importance, ours, ggml } of results) {
    const beside = ggml === undefined ? "" : `${ggml.toFixed(1).padStart(10)}${(ours / ggml).toFixed(2).padStart(14)}`;
    console.log(
      `${format.padEnd(10)}${(importance ? "with" : "without").padEnd(10)}${ours.toFixed(1).padStart(10)}${beside}`,
    );
  }
}
