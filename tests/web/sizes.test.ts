// What a page loads: all scripts and the binaries of computing, compressed as servers do it, within 400 KB; and nothing in the
// scripts that a strict policy forbids, or that belongs to another runtime.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../fixtures.ts";

const LIMIT = 400_000;
const dist = join(root, "dist");
const scripts = readdirSync(join(dist, "web")).filter((name) => name.endsWith(".js"));
const binaries = ["kernels-simd.wasm", "kernels-relaxed.wasm", "logits.wasm"];
const text = (name: string) => readFileSync(join(dist, "web", name), "utf8");

test("all that a page loads is less than 400 KB by Brotli", () => {
  const files = [...scripts.map((name) => join("web", name)), ...binaries.map((name) => join("wasm", name))];
  let sum = 0;
  for (const name of files) {
    const bytes = readFileSync(join(dist, name));
    const { length } = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
    sum += length;
    console.log(`# ${name}: ${bytes.length} bytes, ${length} by Brotli`);
  }
  console.log(`# together ${sum} by Brotli`);
  assert.ok(scripts.includes("engine.js"));
  assert.ok(sum < LIMIT, `${sum} bytes`);
});

test("scripts have nothing of other runtimes", () => {
  for (const name of scripts) {
    const found = /["'](?:node:\w+|bun:ffi|koffi)["']|\bDeno\.|\bprocess\.(?:env|version)/.exec(text(name));
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
