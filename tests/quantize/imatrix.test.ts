// Importance matrices that are made, against llama-imatrix's on the same text (fixtures/quantize/imatrix): names, shapes,
// order and metadata equal, counts within 2, mean squares within 1e-3 relative and 1e-5 of the largest of the expert, as the
// fixtures' README has it: sums of float32 products in another order, which moves a token at an expert's edge. Of an F16 file
// llama.cpp's are further off, for it rounds activations to f16 there: see F16_TOLERANCE. And against sums over what the model
// gives as hidden states, which another number of threads must not change by a bit.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { writeGGUF } from "../../src/checkpoint/gguf_writer.ts";
import { readImatrix } from "../../src/checkpoint/imatrix.ts";
import { CheckpointError, InputError, WriteError } from "../../src/errors.ts";
import { AutoModelForCausalLM } from "../../src/generation/auto.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { imatrix } from "../../src/quantize/collect.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { AutoTokenizer } from "../../src/text/load_tokenizer.ts";
import { failure } from "../failure.ts";
import { demo, fixture, hasFixture, safetensors } from "../fixtures.ts";

const at = (name: string) => fixture(`fixtures/quantize/${name}`);

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-imatrix-"));
  try {
    await run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A GGUF's metadata and tensors, with all values. */
async function contents(path: string) {
  const file = await (await currentPlatform()).open(path);
  const { metadata, tensors } = await readGGUF(file);
  const values = new Map<string, Float32Array>();
  for (const { name, offset, bytes } of tensors) {
    const data = new Uint8Array(bytes);
    await file.read(offset, data);
    values.set(name, new Float32Array(data.buffer));
  }
  await file.close();
  return { metadata, shapes: tensors.map(({ name, shape }) => [name, shape]), values };
}

/**
 * Of F16 files. A float32 forward pass of source.gguf in numpy has our sums (1.1e-6, counts equal); the same with activations
 * rounded to f16 before each F16 product has llama-imatrix's (5.2e-5, counts equal); between the two are 4.6e-3, and a token
 * that goes to another expert.
 */
const F16_TOLERANCE = 6e-3;

/** Compares a made file with llama-imatrix's. */
async function compare(made: string, expected: string, tolerance = 1e-3): Promise<void> {
  const [ours, theirs] = [await contents(made), await contents(expected)];
  assert.equal(ours.shapes, theirs.shapes);
  assert.equal([...ours.metadata], [...theirs.metadata]);
  let [worst, off] = [0, 0];
  for (const [name, sums] of theirs.values) {
    if (!name.endsWith(".in_sum2")) continue;
    const weight = name.slice(0, -".in_sum2".length);
    const [counts, own] = [theirs, ours].map(({ values }) => values.get(`${weight}.counts`)!);
    const columns = sums.length / counts.length;
    for (const [e, count] of counts.entries()) {
      off = Math.max(off, Math.abs(own[e] - count));
      assert.ok(Math.abs(own[e] - count) <= 2, `${weight}, expert ${e}: ${own[e]} rows, expected ${count}`);
      if (count === 0 || own[e] === 0) continue;
      const mean = (values: Float32Array, rows: number, c: number) => values[e * columns + c] / rows;
      const largest = Math.max(...sums.subarray(e * columns, (e + 1) * columns)) / count;
      for (let c = 0; c < columns; c++) {
        const [found, wanted] = [mean(ours.values.get(name)!, own[e], c), mean(sums, count, c)];
        worst = Math.max(worst, Math.abs(found - wanted) / (wanted + largest / 100));
        assert.ok(
          Math.abs(found - wanted) <= tolerance * wanted + 1e-5 * largest,
          `${name}, expert ${e}, column ${c}: ${found}, expected ${wanted}`,
        );
      }
    }
  }
  console.log(`# ${expected.split("/").at(-1)}: counts off by ${off}, mean squares by ${worst.toExponential(1)}`);
}

if (hasFixture("fixtures/quantize/imatrix/demo-b256.gguf"))
  test("the demo model's is llama-imatrix's", () =>
    inFolder(async (folder) => {
      const text = readFileSync(at("text.txt"), "utf8");
      const tokenizer = await AutoTokenizer.from_pretrained(demo);
      await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
      const out = join(folder, "demo.gguf");
      const seen: number[] = [];
      const result = await imatrix(model, tokenizer, text, out, {
        context: 256,
        dataset: "text.txt",
        progress_callback: ({ loaded, total }) => seen.push(loaded / total),
      });
      assert.equal([result.entries, result.chunks, result.tokens], [48, 16, 4096]);
      assert.is(result.bytes, statSync(out).size);
      assert.is(result.warnings.length, 2, result.warnings.join());
      assert.match(result.warnings[0], /^blk\.1\.ffn_down_exps\.weight: no token went to experts 2, 7/);
      assert.equal(
        seen,
        [...seen].sort((a, b) => a - b),
      );
      assert.is(seen.at(-1), 1);
      await compare(out, at("imatrix/demo-b256.gguf"));
    }));

if (hasFixture("fixtures/quantize/source.gguf"))
  test("that of a GGUF with an expert that no token goes to is llama-imatrix's, in both forms", () =>
    inFolder(async (folder) => {
      const text = readFileSync(at("text.txt"), "utf8");
      const tokenizer = await AutoTokenizer.from_pretrained(at("source.gguf"));
      await using model = await AutoModelForCausalLM.from_pretrained(at("source.gguf"), { threads: 2 });
      const [tensors, lists] = [join(folder, "source.gguf"), join(folder, "source.dat")];
      const options = { context: 128, dataset: "text.txt" };
      await imatrix(model, tokenizer, text, tensors, options);
      await compare(tensors, at("imatrix/source.gguf"), F16_TOLERANCE);
      await imatrix(model, tokenizer, text, lists, { ...options, output_format: "dat" });
      // The lists' own bytes: entries, names, calls, lengths and the end are the same; values are compared as they are read.
      const [ours, theirs] = [readFileSync(lists), readFileSync(at("imatrix/source.dat"))];
      assert.is(ours.length, theirs.length);
      let place = 4;
      for (let i = 0; i < theirs.readInt32LE(0); i++) {
        const head = place + 4 + theirs.readInt32LE(place) + 8;
        assert.equal(ours.subarray(place, head - 8), theirs.subarray(place, head - 8));
        assert.ok(Math.abs(ours.readInt32LE(head - 8) - theirs.readInt32LE(head - 8)) <= 1, "calls");
        assert.is(ours.readInt32LE(head - 4), theirs.readInt32LE(head - 4));
        place = head + 4 * theirs.readInt32LE(head - 4);
      }
      assert.equal(ours.subarray(place), theirs.subarray(place));
      const platform = await currentPlatform();
      const [read, expected] = [
        await readImatrix(platform, lists),
        await readImatrix(platform, at("imatrix/source.dat")),
      ];
      assert.equal([read.chunk_count, read.datasets], [97, ["text.txt"]]);
      for (const [name, { values }] of expected.entries) {
        const own = read.entries.get(name)!.values;
        const largest = Math.max(...values);
        for (const [c, value] of values.entries())
          assert.ok(
            Math.abs(own[c] - value) <= F16_TOLERANCE * value + 1e-5 * largest,
            `${name}, ${c}: ${own[c]}, ${value}`,
          );
      }
    }));

// ------------------------------------------------------------------- what needs no fixture: the demo model and the twin

const prose =
  "Pesto is made of basil, pine nuts, garlic and olive oil. A good one takes no more than ten minutes. ".repeat(4);

/** Sums over what forward calls give: RMSNorm of hidden states in float64, and the experts of the largest router logits. */
async function twin(context: number) {
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const ids = tokenizer.encode(prose.replace(/\n$/, ""));
  const { tensors } = safetensors(join(demo, "model.safetensors"));
  const weightOf = (name: string) =>
    Float32Array.from(
      new Uint16Array(tensors[name].data.buffer),
      (half) => new Float32Array(Uint32Array.of(half << 16).buffer)[0],
    );
  await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const { num_hidden_layers, hidden_size, num_experts_per_tok, rms_norm_eps, num_local_experts } = model.config as any;
  const sums = Array.from({ length: num_hidden_layers + 1 }, () => new Float64Array(hidden_size));
  const counts = Array.from({ length: num_hidden_layers }, () => new Float64Array(num_local_experts));
  const norms = counts.map((_, l) => weightOf(`model.layers.${l}.input_layernorm.weight`));
  const chunks = Math.floor(ids.length / context);
  for (let i = 0; i < chunks; i++) {
    const input_ids = [ids[0], ...ids.slice(i * context + 1, (i + 1) * context)];
    const { hidden_states, router_logits } = await model({
      input_ids,
      output_hidden_states: true,
      output_router_logits: true,
      use_cache: false,
    });
    for (let r = 0; r < context; r++) {
      for (const [l, sum] of sums.entries()) {
        const h = (hidden_states![l].data as Float32Array).subarray(r * hidden_size, (r + 1) * hidden_size);
        // The last is normed already.
        const last = l === num_hidden_layers;
        const weight = last ? undefined : norms[l];
        const scale = last ? 1 : 1 / Math.sqrt(h.reduce((a, x) => a + x * x, 0) / hidden_size + rms_norm_eps);
        for (let c = 0; c < hidden_size; c++) sum[c] += (h[c] * scale * (weight?.[c] ?? 1)) ** 2;
      }
      for (const [l, count] of counts.entries()) {
        const logits = (router_logits![l].data as Float32Array).subarray(r * count.length, (r + 1) * count.length);
        const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
        for (const expert of order.slice(0, num_experts_per_tok)) count[expert]++;
      }
    }
  }
  return { sums, counts, rows: chunks * context };
}

test("sums are those of what the model gives, and the same bits by any threads, chunks and shared steps", () =>
  inFolder(async (folder) => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    // Two rows are a step that every thread packs for itself; 40 are tiles.
    for (const context of [2, 40]) {
      const expected = await twin(context);
      const files: string[] = [];
      for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 2, chunk_size: 16 }]) {
        await using model = await AutoModelForCausalLM.from_pretrained(demo, options);
        const out = join(folder, `${context} ${JSON.stringify(options).replace(/\W/g, "")}.gguf`);
        await imatrix(model, tokenizer, prose, out, { context, process_output: true });
        files.push(out);
      }
      const [first, ...others] = files.map((file) => readFileSync(file));
      // Fewer rows in a step are other products of prompts, one by one or in tiles: the same bits, as everywhere.
      for (const other of others) assert.is(Buffer.compare(first, other), 0);
      const { values } = await contents(files[0]);
      assert.is(values.size, 2 * 49);
      for (const [l, sums] of expected.sums.entries()) {
        const name = l < expected.counts.length ? `blk.${l}.attn_q.weight` : "output.weight";
        assert.equal([...values.get(`${name}.counts`)!], [expected.rows]);
        const found = values.get(`${name}.in_sum2`)!;
        // float32 norms against float64
        for (const [c, sum] of sums.entries()) assert.ok(Math.abs(found[c] - sum) <= 1e-5 * sum, `${name}, ${c}`);
      }
      for (const [l, counts] of expected.counts.entries())
        for (const kind of ["gate", "up", "down"])
          assert.equal([...values.get(`blk.${l}.ffn_${kind}_exps.weight.counts`)!], [...counts], `layer ${l}`);
    }
  }));

test("a chat beside it changes nothing, and nothing is added where nothing is asked for", () =>
  inFolder(async (folder) => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2, step_ms: 1 });
    const [alone, beside] = [join(folder, "alone.gguf"), join(folder, "beside.gguf")];
    await imatrix(model, tokenizer, prose, alone, { context: 40 });
    const other = model.generate({ input_ids: tokenizer.encode("What is pesto made of?"), max_new_tokens: 20 });
    await imatrix(model, tokenizer, prose, beside, { context: 40 });
    await other;
    assert.is(Buffer.compare(readFileSync(alone), readFileSync(beside)), 0);
  }));

test("quantize takes what was made, in both forms, to the same bytes but for what the file is called", () =>
  inFolder(async (folder) => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    const made: Uint8Array[] = [];
    for (const output_format of ["gguf", "dat"] as const) {
      await imatrix(model, tokenizer, prose, join(folder, "matrix"), { context: 40, output_format, overwrite: true });
      const out = join(folder, `${output_format}.gguf`);
      const { warnings } = await quantize(demo, out, { type: "Q8_0", imatrix: join(folder, "matrix") });
      assert.equal(warnings, []);
      made.push(readFileSync(out));
    }
    assert.is(Buffer.compare(made[0], made[1]), 0);
    const { metadata } = await contents(join(folder, "gguf.gguf"));
    assert.equal(
      ["file", "dataset", "entries_count", "chunks_count"].map((key) => metadata.get(`quantize.imatrix.${key}`)),
      ["matrix", "text", 48, Math.floor(tokenizer.encode(prose).length / 40)],
    );
  }));

async function tensorBytes(path: string): Promise<Map<string, Uint8Array>> {
  const file = await (await currentPlatform()).open(path);
  const found = new Map<string, Uint8Array>();
  for (const { name, offset, bytes } of (await readGGUF(file)).tensors) {
    const data = new Uint8Array(bytes);
    await file.read(offset, data);
    found.set(name, data);
  }
  await file.close();
  return found;
}

test("layers that stay behind pruned ones keep their own entries", () =>
  inFolder(async (folder) => {
    const [matrix, whole, pruned] = ["matrix", "whole", "pruned"].map((name) => join(folder, `${name}.gguf`));
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    await imatrix(model, tokenizer, prose, matrix, { context: 40 });
    await quantize(demo, whole, { type: "Q4_0", imatrix: matrix });
    const { warnings } = await quantize(demo, pruned, { type: "Q4_0", imatrix: matrix, prune_layers: [0, 3] });
    assert.equal(warnings, []);
    const [all, left] = [await tensorBytes(whole), await tensorBytes(pruned)];
    assert.is(left.size, 3 + 4 * ((all.size - 3) / 6));
    for (const [i, layer] of [1, 2, 4, 5].entries())
      for (const kind of ["attn_q", "attn_v", "attn_output", "ffn_gate_exps", "ffn_down_exps"])
        assert.is(
          Buffer.compare(left.get(`blk.${i}.${kind}.weight`)!, all.get(`blk.${layer}.${kind}.weight`)!),
          0,
          `${kind} of layer ${layer}`,
        );
  }));

test("experts that stand apart, as an older form of GGUF has them, have their parts of their layer's entry", () =>
  inFolder(async (folder) => {
    const [together, apart] = ["tiny-Q8_0", "per_expert"].map((name) => fixture(`fixtures/gguf/forms/${name}.gguf`));
    const matrix = join(folder, "matrix.gguf");
    await using model = await AutoModelForCausalLM.from_pretrained(together, { threads: 1 });
    const ids = Array.from({ length: 64 }, (_, i) => (i * 48271) % model.config.vocab_size);
    await imatrix(model, { encode: () => ids } as any, "any", matrix, { context: 16 });
    const made: Map<string, Uint8Array>[] = [];
    for (const source of [together, apart]) {
      const out = join(folder, `out${made.length}.gguf`);
      const options = { type: "Q4_0", imatrix: matrix, allow_requantize: true, leave_output_tensor: true } as const;
      assert.equal((await quantize(source, out, options)).warnings, []);
      made.push(await tensorBytes(out));
    }
    for (const kind of ["gate", "up", "down"]) {
      const experts = [0, 1].map((e) => made[1].get(`blk.0.ffn_${kind}.${e}.weight`)!);
      assert.is(Buffer.compare(Buffer.concat(experts), made[0].get(`blk.0.ffn_${kind}_exps.weight`)!), 0, kind);
    }
  }));

test("an entry of an embedding that does not fit is passed over, as llama.cpp does; of another weight it is refused", () =>
  inFolder(async (folder) => {
    const { hidden_size } = JSON.parse(readFileSync(join(demo, "config.json"), "utf8"));
    const file = async (name: string, columns: number): Promise<string> => {
      const parts: Uint8Array[] = [];
      const [sums, counts] = [columns, 1].map((length) => new Uint8Array(new Float32Array(length).fill(2).buffer));
      await writeGGUF(
        { write: async (bytes) => void parts.push(bytes.slice()) },
        [
          ["imatrix.datasets", "string[]", ["a"]],
          ["imatrix.chunk_count", "u32", 1],
        ],
        [
          { name: `${name}.in_sum2`, format: "F32", shape: [columns], data: () => [sums] },
          { name: `${name}.counts`, format: "F32", shape: [1], data: () => [counts] },
        ],
      );
      const path = join(folder, "matrix.gguf");
      writeFileSync(path, Buffer.concat(parts));
      return path;
    };
    const out = join(folder, "out.gguf");
    for (const columns of [hidden_size / 2, hidden_size, hidden_size * 3]) {
      const matrix = await file("token_embd.weight", columns);
      await quantize(demo, out, { type: "Q4_0", imatrix: matrix, overwrite: true });
    }
    const matrix = await file("blk.0.attn_q.weight", hidden_size / 2);
    const error = await failure(quantize(demo, out, { type: "Q4_0", imatrix: matrix, overwrite: true }));
    assert.instance(error, CheckpointError);
    assert.match(
      error.message,
      /matrix\.gguf: blk\.0\.attn_q\.weight: expected a size of 256 \(1 experts of 256 columns\), found 128/,
    );
  }));

test("special tokens of the text are text, unless they are to be tokens", () =>
  inFolder(async (folder) => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    const text = "</s> ".repeat(40);
    const plain = await imatrix(model, tokenizer, text, join(folder, "a"), { context: 4 });
    const parsed = await imatrix(model, tokenizer, text, join(folder, "b"), { context: 4, parse_special: true });
    assert.is(plain.tokens, 4 * Math.floor(tokenizer.encode(text, { split_special_tokens: true }).length / 4));
    assert.is(parsed.tokens, 4 * Math.floor(tokenizer.encode(text).length / 4));
    assert.ok(plain.tokens > parsed.tokens);
  }));

test("an abort leaves nothing; what is wrong is said before anything is read", () =>
  inFolder(async (folder) => {
    const tokenizer = await AutoTokenizer.from_pretrained(demo);
    await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
    const out = join(folder, "out.gguf");
    const controller = new AbortController();
    const stop = new Error("enough");
    const cut = imatrix(model, tokenizer, prose, out, {
      context: 8,
      signal: controller.signal,
      progress_callback: () => controller.abort(stop),
    });
    assert.is(await failure(cut), stop);
    assert.equal(readdirSync(folder), []);
    // The model goes on.
    const { chunks } = await imatrix(model, tokenizer, prose, out, { context: 8, chunks: 3 });
    assert.is(chunks, 3);
    const refused = async (message: RegExp, given: object, text: unknown = prose, path = join(folder, "no.gguf")) => {
      const error = await failure(imatrix(model, tokenizer, text as string, path, given));
      assert.instance(error, InputError);
      assert.match(error.message, message);
    };
    await refused(/it is there already: give another name, or overwrite: true/, { context: 8 }, prose, out);
    await refused(/^text: expected two chunks of 512 tokens or more/, { context: 512 }, "too short");
    await refused(/^text: expected a text, found 7/, {}, 7);
    await refused(/^context: expected a whole number from 2 to \d+, found 1/, { context: 1 });
    await refused(/^chunks: expected a whole number from 1 to 2147483647, found 0.5/, { chunks: 0.5, context: 8 });
    await refused(/^output_format: expected "gguf" or "dat", found "json"/, { output_format: "json" });
    await refused(/^process_output: expected true or false/, { process_output: 1 });
    await refused(/^dataset/, { dataset: 5 });
    await refused(/^imatrix: unknown option contxt: did you mean context\?/, { contxt: 8 });
    const nowhere = await failure(imatrix(model, tokenizer, prose, join(folder, "no", "such"), { context: 8 }));
    assert.instance(nowhere, WriteError);
    assert.equal(readdirSync(folder), ["out.gguf"]);
    writeFileSync(out, "mine");
    await imatrix(model, tokenizer, prose, out, { context: 8, chunks: 1, overwrite: true });
    assert.ok(statSync(out).size > 1000);
  }));

test.run();
