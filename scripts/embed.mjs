// Fills dist/src/platform/embedded.js: the binaries and the threads' script, so that a program that was made one file
// (bun build --compile, deno compile, Node's single executables, any bundle) has them without files beside it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

const BINARIES = ["kernels-simd.wasm", "kernels-relaxed.wasm", "convert.wasm", "logits.wasm"];

/** @param dist - the folder with the compiled `src`, and `wasm` */
export async function embed(dist) {
  const bundle = await build({
    entryPoints: [join(dist, "src", "model", "worker.js")],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["koffi", "bun:ffi"], // only the host maps
    legalComments: "inline",
    logLevel: "warning",
  });
  const files = Object.fromEntries(BINARIES.map((name) => [name, readFileSync(join(dist, "wasm", name))]));
  files["worker.js"] = bundle.outputFiles[0].contents;
  const all = Buffer.concat(Object.values(files));
  const packed = brotliCompressSync(all, {
    // The two kernels are much alike, and 800 KB apart.
    params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: all.length },
  });
  const sizes = Object.fromEntries(Object.entries(files).map(([name, { length }]) => [name, length]));
  const path = join(dist, "src", "platform", "embedded.js");
  const text = readFileSync(path, "utf8");
  const filled = text
    .replace('packed = ""', `packed = "${packed.toString("base64")}"`)
    .replace("sizes = {}", `sizes = ${JSON.stringify(sizes)}`);
  if (filled.length < text.length + packed.length) throw new Error(`${path}: expected two empty constants`);
  writeFileSync(path, filled);
}
