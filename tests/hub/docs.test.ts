// The programs of docs/hub.md, run as they stand there, against a hub that has what they name.
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { quantize } from "../../src/quantize/quantize.ts";
import { demo, root } from "../fixtures.ts";
import { freshCache, hub, temporary } from "./setup.ts";

const gguf = join(temporary, "m.gguf");
await quantize(demo, gguf, { type: "Q4_K_M" });
const demoFiles = Object.fromEntries(
  readdirSync(demo, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => [name, readFileSync(join(demo, name))]),
);
hub.commit("owner/Mixtral-8x7B-Instruct-v0.1-GGUF", {
  "m.Q4_K_M.gguf": readFileSync(gguf),
  "m.Q8_0.gguf": "not wanted",
});
hub.commit("owner/model", { ...demoFiles, "original/params.json": "{}" });

const page = readFileSync(join(root, "docs", "hub.md"), "utf8");
const programs = [...page.matchAll(/^```javascript\n([\s\S]*?)^```$/gm)].map(([, code]) => code);

test("there are programs", () => assert.is(programs.length, 2));

for (const [i, code] of programs.entries())
  test(`program ${i + 1}`, async () => {
    // In the project, where its packages are found.
    const program = join(root, "build", "hub", `${i}.mjs`);
    mkdirSync(dirname(program), { recursive: true });
    writeFileSync(program, code.replaceAll('"tramontane"', '"../../dist/src/index.js"'));
    const child = spawn(process.execPath, [program], {
      env: { ...process.env, HF_HUB_CACHE: freshCache() },
    });
    let errors = "";
    child.stderr.on("data", (part) => (errors += part));
    assert.is(await new Promise((resolve) => child.on("close", resolve)), 0, errors);
  });

test.run();
