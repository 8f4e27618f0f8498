// What pages load, compressed as servers do it: the scripts, without that of the tools, which few load, both builds of the
// kernels and logits.wasm, within 400 KiB; and nothing in the scripts that a strict policy forbids, or that belongs to another
// runtime.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../fixtures.ts";

/** With both builds of the kernels, of which a page loads one. */
const LIMIT = 400 * 1024;
const dist = join(root, "dist");
const scripts = readdirSync(join(dist, "web")).filter((name) => name.endsWith(".js"));
const binaries = ["kernels-simd.wasm", "kernels-relaxed.wasm", "logits.wasm"];
const text = (name: string) => readFileSync(join(dist, "web", name), "utf8");

/** Bytes of a file by Brotli. */
function compressed(name: string): number {
  const bytes = readFileSync(join(dist, name));
  const { length } = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  console.log(`# ${name}: ${bytes.length} bytes, ${length} by Brotli`);
  return length;
}

test("all that a page loads is less than 400 KiB by Brotli", () => {
  const tools = scripts.filter((name) => name.startsWith("tools-"));
  assert.is(tools.length, 1);
  assert.ok(["index.js", "engine.js"].every((name) => scripts.includes(name)));
  const [plain, relaxed, logits] = binaries.map((name) => compressed(join("wasm", name)));
  let both = plain + relaxed + logits;
  for (const name of scripts.filter((name) => !tools.includes(name))) both += compressed(join("web", name));
  const one = both - Math.min(plain, relaxed);
  console.log(`# a page loads ${one} by Brotli; both builds of the kernels and all scripts are ${both}; and the tools`);
  compressed(join("web", tools[0]));
  assert.ok(both < LIMIT, `${both} bytes`);
});

test("scripts have nothing of other runtimes", () => {
  for (const name of scripts) {
    const found = /["'](?:node:\w+|bun:ffi|koffi)["']|(?<!["'`])\bDeno\.\w|\bprocess\.(?:env|version)/.exec(text(name));
    assert.is(found, null, `${name}: ${found?.[0]}`);
  }
});

test("scripts make no code of text, and start no worker of a blob: or data: URL", () => {
  for (const name of scripts) {
    const found = /\bnew Function\b|\beval\(|createObjectURL|new Worker\(["'`]data:/.exec(text(name));
    assert.is(found, null, `${name}: ${found?.[0]}`);
  }
});

test.run();
