// tramontane info and logits: what a checkpoint is, and the hash that must be the same everywhere.
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fixture, hasFixture } from "../fixtures.ts";
import { changedDemo, tramontane } from "./command.ts";

test("info tells the shape, the formats and the memory", async () => {
  const { status, stdout, stderr } = await tramontane(["info", "models/demo"]);
  assert.equal([status, stderr], [0, ""]);
  assert.match(stdout, /Mixtral, safetensors, 1 file, 189 tensors/);
  assert.match(stdout, /6 layers, hidden 256, heads 8 \(2 for keys\), 8 experts of 256, 2 a token, vocabulary 1536/);
  assert.match(stdout, /window 256/);
  assert.match(stdout, /BF16 × 170/);
  assert.match(stdout, /22\.4 MB of weights in 1 bank, (mapped from the file|read: )/);
  assert.match(stdout, /11\.2 M parameters, 4\.1 M a token, 16\.00 bits each/);
  assert.match(stdout, /fits {6}\d+\.\d MB with one sequence's cache, .* are free: yes/);
  assert.match(stdout, /tokenizer 1536 tokens, <s> … <\/s>; chat template default/);
});

test("info --json, with --tensors", async () => {
  const facts = JSON.parse((await tramontane(["info", "--json", "models/demo"])).stdout);
  assert.is(facts.kind, "safetensors");
  assert.is(facts.tensors, 189);
  assert.is(facts.config.num_local_experts, 8);
  // Keys and values of 2 heads, for 256 positions in 6 layers: 32 values of 4 or 2 bytes, or a block of 34 bytes.
  const rows = 2 * 2 * 256 * 6;
  assert.equal(facts.cache, { positions: 256, f32: rows * 32 * 4, f16: rows * 32 * 2, q8_0: rows * 34 });
  const { tensors } = JSON.parse((await tramontane(["info", "--json", "--tensors", "models/demo"])).stdout);
  const embedding = tensors.find(({ name }: { name: string }) => name === "model.embed_tokens.weight");
  assert.equal([embedding.format, embedding.shape, embedding.bytes], ["BF16", [1536, 256], 1536 * 256 * 2]);
});

test("parameters are those that the tensors have, and those of the experts that a token takes", async () => {
  for (const path of ["models/demo", fixture("fixtures/hf/base"), fixture("fixtures/gguf/models/Q4_K_M.gguf")]) {
    const { parameters, active_parameters, bits_per_weight, weight_bytes, config, tensors } = JSON.parse(
      (await tramontane(["info", "--json", "--tensors", path])).stdout,
    );
    const size = ({ shape }: { shape: number[] }) => shape.reduce((a, b) => a * b, 1);
    const all = tensors.reduce((sum: number, tensor: { shape: number[] }) => sum + size(tensor), 0);
    const experts = tensors
      .filter(({ name }: { name: string }) => /experts|_exps/.test(name))
      .reduce((sum: number, tensor: { shape: number[] }) => sum + size(tensor), 0);
    assert.is(parameters, all);
    assert.is(active_parameters, all - experts + (experts * config.num_experts_per_tok) / config.num_local_experts);
    const matrices = tensors.filter(({ name }: { name: string }) => !/norm|gate\.weight|ffn_gate_inp/.test(name));
    const values = matrices.reduce((sum: number, tensor: { shape: number[] }) => sum + size(tensor), 0);
    assert.is(bits_per_weight, (8 * weight_bytes) / values);
  }
});

test("info tells a licence and metadata, each in its line whatever it says", async () => {
  const readme = "---\r\nlanguage: en\r\nlicense: apache-2.0\r\n---\r\n# Model";
  const folder = changedDemo({ "README.md": readme, "tokenizer.json": "{", "tokenizer_config.json": "{}" });
  const { stdout } = await tramontane(["info", folder]);
  rmSync(folder, { recursive: true });
  assert.match(stdout, /\n {2}licence {3}apache-2\.0\n/);
  assert.match(stdout, /\n {2}tokenizer none: .*tokenizer\.json: expected JSON/);
  const gguf = (await tramontane(["info", fixture("fixtures/gguf/models/Q4_K_M.gguf")])).stdout;
  assert.match(gguf, /\n {2}general\.architecture {2}llama\n/);
  assert.match(gguf, /\n {2}tokenizer\.ggml\.tokens {2}\d+ values\n/);
  assert.ok(!gguf.includes("chat_template  "));
});

(hasFixture("fixtures/bnb/nf4") ? test : test.skip)("info of a folder that bitsandbytes has quantized", async () => {
  const path = fixture("fixtures/bnb/nf4");
  const text = (await tramontane(["info", path])).stdout;
  assert.match(text, /5\.15 bits each/);
  assert.match(text, /formats {3}BF16 × 2, BNB_NF4 × 32/);
  assert.match(text, /387 kB of them made while it loads/);
  const facts = JSON.parse((await tramontane(["info", path, "--json", "--tensors"])).stdout);
  const codes = facts.tensors.filter(({ format }: { format: string }) => format === "BNB_NF4");
  assert.is(codes.length, 34); // the routers, too, which are f32 in memory
  // Bytes of the files that nothing is mapped of are counted once.
  assert.is(facts.needed_bytes, facts.private_bytes + facts.cache.f32 + 2 * 160 * 128 * 2 * (facts.mapped ? 1 : 0));
});

test("info of a GGUF file", async () => {
  const { status, stdout } = await tramontane(["info", fixture("fixtures/gguf/models/Q4_K_M.gguf")]);
  assert.is(status, 0);
  assert.match(stdout, /Mixtral, gguf/);
  for (const format of ["Q4_K", "Q6_K", "Q8_0"]) assert.match(stdout, new RegExp(`${format} × \\d`));
  const below = "fixtures/gguf_iq/models/IQ2_XXS_mix.gguf";
  if (!hasFixture(below)) return;
  const low = (await tramontane(["info", fixture(below)])).stdout;
  // The query's, and three of each of three experts.
  assert.match(low, /IQ2_XXS × 10, /);
});

const ids = "1,20,300,7,7,1000,45,12,9,600,33";
const ways = [
  ["--threads", "1"],
  ["--threads", "2"],
  ["--threads", "3"],
  ["--threads", "5"],
  ["--simd", "plain"],
  ["--simd", "relaxed"],
  ["--no-mmap"],
  ["--chunk-size", "1"],
  ["--chunk-size", "4"],
];
const checkpoints = ["models/demo", "fixtures/gguf/models/Q4_K_M.gguf", "models/demo/demo-Q8_0.gguf"];

for (const name of checkpoints) {
  const path = name === "models/demo" ? name : fixture(name);
  if (name !== "models/demo" && !hasFixture(name)) {
    console.log(`# ${name} is not among the copied fixtures`);
    continue;
  }
  test(`logits --hash of ${name} is one, however it is computed`, async () => {
    // The fixture's vocabulary is smaller.
    const list = name.includes("gguf/")
      ? ids.replaceAll("300", "30").replaceAll("1000", "100").replaceAll("600", "60")
      : ids;
    const hashes = new Map<string, string[]>();
    for (const way of ways) {
      const { status, stdout, stderr } = await tramontane(["logits", "-m", path, "--ids", list, "--hash", ...way]);
      assert.is(status, 0, stderr);
      assert.match(stdout, /^[0-9a-f]{64}\n$/);
      hashes.set(stdout, [...(hashes.get(stdout) ?? []), way.join(" ")]);
    }
    assert.is(hashes.size, 1, JSON.stringify([...hashes]));
    console.log(`# ${name}: ${[...hashes.keys()][0].slice(0, 16)}…, ${ways.length} ways`);
  });
}

test("logits --json gives the numbers that --hash hashes", async () => {
  const run = (...args: string[]) => tramontane(["logits", "-m", "models/demo", "--ids", "1,20,300", ...args]);
  const { logits } = JSON.parse((await run("--json")).stdout);
  assert.equal([logits.length, logits[0].length], [3, 1536]);
  const hash = createHash("sha256")
    .update(new Uint8Array(Float32Array.from(logits.flat()).buffer))
    .digest("hex");
  assert.is((await run("--hash")).stdout, `${hash}\n`);
  const lines = (await run()).stdout.trim().split("\n");
  const best = logits[2].indexOf(Math.max(...logits[2]));
  assert.match(lines[2], new RegExp(`^2 300 "▁Wh": ${best} `));
});

test.run();
