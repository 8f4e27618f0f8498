// The bench cannot rot: a quick run of all of it gives a report with every section. No time is looked at.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compare } from "../bench/compare.ts";
import { modelFormats } from "../bench/part.ts";
import { figure, figures, type Report, target } from "../bench/report.ts";
import { synthesize } from "../bench/synth.ts";
import { AutoModelForCausalLM } from "../src/index.ts";
import { demo, root } from "./fixtures.ts";

const sections = ["kernels", "model", "peers", "batches", "sharing", "assisted", "threads", "load", "length", "eager"];

/** Runs the bench; it needs Node, whatever runtime the tests run in. */
function bench(...args: string[]) {
  const node = process.versions.bun || process.versions["deno"] ? "node" : process.execPath;
  return spawnSync(node, [join(root, "dist", "bench", "main.js"), ...args], { encoding: "utf8" });
}

test("a quick run reports on every part, and is compared with itself", () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-bench-"));
  try {
    const first = bench("--quick", "--out", folder);
    assert.is(first.status, 0, first.stderr);
    const report: Report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));
    assert.equal(
      report.sections.map(({ name }) => name),
      sections,
    );
    const measured = figures(report);
    console.log(`# ${measured.length} figures in ${report.seconds.toFixed(0)} s`);
    assert.is(new Set(measured.map(({ name }) => name)).size, measured.length, "names of figures differ");
    for (const { name, value, low, high } of measured) {
      assert.ok(value > 0 && low <= value && value <= high, `${name}: ${low} ≤ ${value} ≤ ${high}`);
    }
    const pages = ["report.md", "report.html"].map((name) => readFileSync(join(folder, name), "utf8"));
    for (const { title, tables, notes } of report.sections) {
      assert.ok(tables.length + notes.length > 0, title);
      for (const page of pages) assert.ok(page.includes(title), title);
    }
    assert.ok(pages[0].includes(report.machine.cpu));
    assert.is(compare(report, report).length, measured.length);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("parts that run when named delete their files", () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-bench-"));
  try {
    // A llama-bench that says 7 tokens a second of whatever it is asked.
    const peer = join(folder, "llama-bench.mjs");
    writeFileSync(
      peer,
      `const of = (name) => process.argv[process.argv.indexOf(name) + 1];
      const row = (n_prompt, n_gen) => ({ n_prompt, n_gen, avg_ts: of("-own") === "x" ? 7 : 0 });
      console.log(JSON.stringify([...of("-p").split(",").map((p) => row(+p, 0)), row(0, +of("-n"))]));`,
    );
    const named_peer = ["--llama-bench", `peer=${process.execPath} ${peer} -own x`];
    const { status, stderr } = bench("whole", "limits", "files", "devices", "--quick", ...named_peer, "--out", folder);
    assert.is(status, 0, stderr);
    const report: Report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));
    assert.equal(
      report.sections.map(({ name }) => name),
      ["devices", "whole", "limits", "files"],
    );
    const named = ["auto", "75 %", "25 %"].map((budget) => `tiny Q4_0 ${budget} generated`);
    for (const name of [
      ...named,
      "tiny Q3_K generated",
      "tiny Q8_0 computed",
      "tiny Q8_0 generated",
      "tiny Q4_K wasm, 1 threads, generated",
    ])
      assert.ok(
        figures(report).some((figure) => figure.name === name),
        name,
      );
    const of_peer = figures(report).filter(({ name }) => name.startsWith("tiny Q8_0 peer"));
    assert.ok(of_peer.length >= 3 && of_peer.every(({ value }) => value === 7));
    for (const name of ["tiny-Q4_0.gguf", "tiny-Q3_K.gguf", "tiny-as-Q8_0.gguf"])
      assert.not.ok(existsSync(join(root, "bench", "cache", name)), name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("what formats cost: named parts on named models, of which wrong paths are refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-bench-"));
  try {
    const text = join(folder, "text.txt");
    writeFileSync(text, "Pesto is made of basil, pine nuts, garlic and olive oil. ".repeat(9));
    const { status, stderr } = bench("formats", "caches", demo, "--quick", "--text", text, "--out", folder);
    assert.is(status, 0, stderr);
    const report: Report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));
    const [weights, caches] = report.sections.map(({ tables }) => tables[0]);
    assert.equal(
      weights.rows.map((row) => [row[0], row[1], row[3], row[5]]),
      [["demo", "BF16", "16.00", "4 of 4"]],
    );
    assert.equal(
      caches.rows.map(([kv_dtype, bytes]) => [kv_dtype, bytes]),
      [
        ["f32", "3072"],
        ["f16", "1536"],
        ["q8_0", "816"],
      ],
    );
    assert.is(weights.rows[0][4], caches.rows[0][5], "perplexity of the same text");
    const refused = bench("formats", join(folder, "none"));
    assert.is(refused.status, 2);
    assert.match(refused.stderr, /unknown part .*none/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("synthetic models give ordinary logits, and every expert its share", async () => {
  for (const format of [...modelFormats, "Q5_0"] as const) {
    const model = await AutoModelForCausalLM.from_pretrained(await synthesize("tiny", format), { threads: 1 });
    const input_ids = Array.from({ length: 128 }, (_, i) => 259 + ((i * 37) % 253));
    const { logits, router_logits } = await model({ input_ids, output_router_logits: true });
    const largest = (logits.data as Float32Array).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest > 0.1 && largest < 50, `${format}: the largest logit is ${largest}`);
    for (const { data } of router_logits!) {
      const chosen = new Array(8).fill(0);
      for (let token = 0; token < input_ids.length; token++) {
        const row = (data as Float32Array).subarray(8 * token, 8 * token + 8);
        chosen[row.indexOf(Math.max(...row))]++;
      }
      assert.ok(Math.min(...chosen) > 0 && Math.max(...chosen) < 64, `${format}: first choices ${chosen}`);
    }
    await model.dispose();
  }
});

test("a peer that has no command is refused, one that fails ends the run with what it said", () => {
  const { status, stderr } = bench("devices", "--quick", "--llama-bench", "peer=");
  assert.is(status, 2);
  assert.match(stderr, /--llama-bench: expected NAME=COMMAND, found "peer="/);
  const failing = bench("devices", "--quick", "--llama-bench", `peer=${process.execPath} -e process.exit(3) --`);
  assert.is.not(failing.status, 0);
  assert.match(failing.stderr, /peer ended with 3/);
});

test("an unknown part is refused", () => {
  const { status, stderr } = bench("kernel");
  assert.is(status, 2);
  assert.match(stderr, /unknown part kernel; there are kernels/);
});

test("a figure is the median of its runs, with their range", () => {
  const odd = figure("a", "ms", [5, 1, 3], { more: false });
  assert.equal([odd.value, odd.low, odd.high, odd.runs], [3, 1, 5, 3]);
  assert.is(figure("a", "ms", [4, 1]).value, 2.5);
  assert.is(figure("a", "GB/s", [10], { of: { what: "reading", roof: 40 } }).of?.share, 0.25);
  assert.throws(() => figure("a", "ms", []), /a: expected at least one run/);
});

test("targets are met at their limit", () => {
  assert.equal(
    [
      target("a", 0.65, { least: 0.65 }, "%"),
      target("b", 0.64, { least: 0.65 }, "%"),
      target("c", 151, { most: 150 }, "ms"),
    ].map(({ met, target: limit, measured }) => [met, limit, measured]),
    [
      [true, "at least 65 %", "65 %"],
      [false, "at least 65 %", "64 %"],
      [false, "at most 150 ms", "151 ms"],
    ],
  );
});

test("a comparison tells better from worse, and from noise", () => {
  const report = (runs: number[], more: boolean): Report => ({
    machine: {} as Report["machine"],
    command: "",
    seconds: 1,
    sections: [
      {
        name: "a",
        title: "A",
        command: "",
        notes: [],
        tables: [{ columns: ["a"], rows: [["text", null, figure("speed", "tok/s", runs, { more })]] }],
        charts: [],
        targets: [],
      },
    ],
  });
  const lines = (before: number[], after: number[], more = true) => compare(report(before, more), report(after, more));
  assert.equal(lines([10, 11, 12], [20, 22, 24]), ["speed: 11.0 → 22.0 tok/s (+100 %, better)"]);
  assert.equal(lines([10, 11, 12], [20, 22, 24], false), ["speed: 11.0 → 22.0 tok/s (+100 %, worse)"]);
  assert.equal(lines([20], [10]), ["speed: 20.0 → 10.0 tok/s (−50 %, worse)"]);
  assert.equal(lines([10, 11, 12], [11, 11.5, 13]), ["speed: 11.0 → 11.5 tok/s (+5 %, within the spread)"]);
});

test.run();
