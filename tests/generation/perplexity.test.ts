// Perplexity against transformers and llama.cpp: the demo model on its own text and on fixtures/quantize's, 1e-4 relative
// (1e-3 is required; float32 sums in another order, 5e-8 was found); every window against a loop over logits as transformers'
// guide has it, on a small model, 1e-5.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type CausalLM,
  InputError,
  type LoadOptions,
  MixtralForCausalLM,
  type PerplexityOptions,
  type PerplexityProgress,
  perplexity,
} from "../../src/index.ts";
import { type Entry, safetensorsFile } from "../checkpoint/safetensors.ts";
import { failure } from "../failure.ts";
import { demo, fixture, hasFixture, json, safetensors } from "../fixtures.ts";

const TOLERANCE = 1e-4;

const tokenizer = await AutoTokenizer.from_pretrained(demo);

/** What was found, against what was expected. */
function check(found: { perplexity: number; tokens: number }, expected: any, what: string): void {
  const off = found.perplexity / expected.perplexity - 1;
  console.log(`# ${what}: ${found.perplexity.toFixed(6)}, off by ${off.toExponential(1)}`);
  assert.ok(Math.abs(off) <= TOLERANCE, `${what}: ${found.perplexity}, expected ${expected.perplexity}`);
  if (expected.tokens !== undefined) assert.is(found.tokens, expected.tokens, what);
}

test("the demo model on its own text", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
  const text = readFileSync(join(demo, "expected", "perplexity.txt"), "utf8");
  const { perplexity: expected } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
  assert.is(Object.keys(expected).length, 3);
  for (const [name, values] of Object.entries(expected)) {
    const [context, stride] = name.match(/\d+/g)!.map(Number);
    check(await perplexity(model, tokenizer, text, { context, stride }), values, name);
  }
});

// --------------------------------------------------------------------------------------------- fixtures/quantize

/** The demo model's folder with every weight as F32, which the caller removes. */
function demoInF32(): string {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-demo-"));
  for (const name of ["config.json", "tokenizer.json"]) cpSync(join(demo, name), join(folder, name));
  const { tensors } = safetensors(join(demo, "model.safetensors"));
  const header: Record<string, Entry> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const halves = new Uint16Array(data.buffer as ArrayBuffer);
    const words = Uint32Array.from(halves, (half) => half << 16);
    header[name] = { dtype: "F32", shape, data_offsets: [at, (at += words.byteLength)] };
    parts.push(new Uint8Array(words.buffer));
  }
  writeFileSync(join(folder, "model.safetensors"), safetensorsFile(header, Buffer.concat(parts)));
  return folder;
}

if (hasFixture("fixtures/quantize/perplexity.json")) {
  const text = readFileSync(fixture("fixtures/quantize/text.txt"), "utf8");
  const { F32: expected, Q8_0 } = json("fixtures/quantize/perplexity.json").formats;

  test("fixtures/quantize: the folder, and every weight as F32, in either convention", async () => {
    const f32 = demoInF32();
    try {
      for (const path of [demo, f32]) {
        await using model = await AutoModelForCausalLM.from_pretrained(path, { threads: 2 });
        let compared = 0;
        for (const [name, values] of Object.entries<any>(expected.transformers)) {
          // Of the same values as F32 one is enough.
          if (path === f32 && name !== "window 256, stride 128") continue;
          const strided = /^window (\d+), stride (\d+)$/.exec(name);
          const chunked = /^as llama.cpp, -c (\d+)$/.exec(name);
          if (!strided && !chunked) continue; // llama.cpp's own strides
          const options: PerplexityOptions = strided
            ? { context: Number(strided[1]), stride: Number(strided[2]) }
            : { context: Number(chunked![1]), convention: "llama.cpp" };
          const found = await perplexity(model, tokenizer, text, options);
          check(found, values, name);
          if (values.nll !== undefined) assert.ok(Math.abs(found.nll / values.nll - 1) <= TOLERANCE);
          compared++;
          // llama.cpp prints four decimals.
          const printed = chunked && expected.llama_cpp[`-c ${chunked[1]}`].perplexity;
          if (printed) assert.ok(Math.abs(found.perplexity / printed - 1) <= 1e-4, `llama.cpp says ${printed}`);
        }
        assert.is(compared, path === demo ? 7 : 1);
        if (path === f32) continue;
        // One newline at the end is none of llama.cpp's text, and is a token of Hugging Face's.
        const chunks = { context: 128, convention: "llama.cpp" } as const;
        assert.equal(
          await perplexity(model, tokenizer, `${text}\n`, chunks),
          await perplexity(model, tokenizer, text, chunks),
        );
        const windows = { context: 512, stride: 512 };
        assert.is((await perplexity(model, tokenizer, `${text}\n`, windows)).tokens, 4214);
      }
    } finally {
      rmSync(f32, { recursive: true });
    }
  });

  test("fixtures/quantize: Q8_0, near transformers on the dequantized weights", async () => {
    await using model = await AutoModelForCausalLM.from_pretrained(fixture("models/demo/demo-Q8_0.gguf"), {
      threads: 2,
    });
    const { transformers } = Q8_0;
    // Activations are rounded to 8 bits, there and in llama.cpp: 4.3573 against 4.3575 at -c 256.
    for (const [options, name] of [
      [{ context: 256, stride: 128 }, "window 256, stride 128"],
      [{ context: 256, convention: "llama.cpp" }, "as llama.cpp, -c 256"],
    ] as const) {
      const found = await perplexity(model, tokenizer, text, options);
      const off = Math.abs(found.perplexity / transformers[name].perplexity - 1);
      console.log(`# Q8_0, ${name}: ${found.perplexity.toFixed(4)}, off by ${off.toExponential(1)}`);
      assert.ok(off <= 1e-3);
      assert.is(found.tokens, transformers[name].tokens);
    }
  });
}

// -------------------------------------------------------------------------------- a small model, window by window

const base = fixture("fixtures/hf/base");
const load = (options: LoadOptions = {}) => MixtralForCausalLM.from_pretrained(base, { threads: 2, ...options });
/** Texts are as many tokens as they have letters, the first of which is BOS. */
const letters = {
  encode: (text: string) => [1, ...Array.from(text, (c) => 3 + ((c.codePointAt(0)! * 7) % 100))],
  bos_token_id: 1,
};
const sentence = "the quick brown fox jumps over the lazy dog, and the dog sleeps on";

/** transformers' guide, on logits: −log p of every token that counts, in double precision. */
async function twin(model: CausalLM, ids: number[], context: number, stride: number): Promise<[number, number]> {
  let sum = 0;
  let tokens = 0;
  let end_before = 0;
  for (let begin = 0; begin < ids.length; begin += stride) {
    const end = Math.min(begin + context, ids.length);
    const news = end - end_before;
    const window = ids.slice(begin, end);
    const { logits } = await model({ input_ids: [window], use_cache: false });
    for (let i = Math.max(1, window.length - news); i < window.length; i++) {
      const row = Array.from(logits[0][i - 1].data as Float32Array);
      const most = Math.max(...row);
      sum += most + Math.log(row.reduce((total, value) => total + Math.exp(value - most), 0)) - row[window[i]];
      tokens++;
    }
    end_before = end;
    if (end === ids.length) break;
  }
  return [sum / tokens, tokens];
}

test("windows of every kind are those of transformers' loop", async () => {
  await using model = await load({ chunk_size: 16 });
  for (const [length, context, stride] of [
    [1, 8, 4], // one token after BOS
    [7, 8, 8], // exactly one window
    [8, 8, 8], // a last window with nothing to score
    [9, 8, 8],
    [40, 8, 8],
    [40, 8, 1],
    [40, 7, 3],
    [63, 64, 32],
    [65, 20, 13],
    [65, 2, 1],
    [65, 2, 2],
    [65, 150, 75], // more than there is
  ]) {
    const text = sentence.slice(0, length);
    const found = await perplexity(model, letters, text, { context, stride });
    const [nll, tokens] = await twin(model, letters.encode(text), context, stride);
    const what = `${length} letters, context ${context}, stride ${stride}`;
    assert.is(found.tokens, tokens, what);
    assert.ok(Math.abs(found.nll / nll - 1) <= 1e-5, `${what}: ${found.nll}, expected ${nll}`);
    assert.ok(Math.abs(Math.log(found.perplexity) - found.nll) <= 1e-12 * found.nll, what);
  }
  assert.is(model.info().cache_bytes, 0);
});

test("llama.cpp's chunks: BOS over each first token where the text has one, the second half scored", async () => {
  await using model = await load();
  const context = 9;
  for (const bos of [1, undefined]) {
    const ids = letters.encode(sentence).slice(bos ? 0 : 1);
    const own = { encode: () => ids, bos_token_id: 1 };
    let sum = 0;
    let count = 0;
    for (let at = 0; at + context <= ids.length; at += context) {
      const chunk = [bos ?? ids[at], ...ids.slice(at + 1, at + context)];
      const labels = chunk.map((id, i) => (i > 4 ? id : -100));
      sum += (await model({ input_ids: [chunk], labels: [labels] })).loss! * 4;
      count += 4;
    }
    const found = await perplexity(model, own, "", { context, convention: "llama.cpp" });
    assert.is(found.tokens, count);
    assert.ok(Math.abs(found.nll / (sum / count) - 1) <= 1e-12);
  }
});

test("the same bits whatever chunks, threads and room; and without what the config asks for beside", async () => {
  const options = { context: 12, stride: 5 };
  const found: unknown[] = [];
  const config = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
  for (const load_options of [
    {},
    { chunk_size: 5, threads: 3 },
    { chunk_size: 100 },
    { kv_bytes: 2 * 2 * 2 * 16 * 64 * 4 }, // one page
    { config: { ...config, output_router_logits: true, output_hidden_states: true } },
  ]) {
    await using model = await load(load_options);
    found.push(await perplexity(model, letters, sentence, options));
    // Two at once.
    const both = await Promise.all([sentence, sentence].map((text) => perplexity(model, letters, text, options)));
    found.push(...both);
    assert.is(model.info().cache_bytes, 0);
  }
  for (const each of found) assert.equal(each, found[0]);
});

test("defaults: windows of 512, or of as many positions as there are, moved by half", async () => {
  await using model = await load({ context: 40 });
  assert.equal(
    await perplexity(model, letters, sentence),
    await perplexity(model, letters, sentence, { context: 40, stride: 20 }),
  );
  await using large = await load();
  const long = sentence.repeat(10);
  assert.equal(
    await perplexity(large, letters, long),
    await perplexity(large, letters, long, { context: 512, stride: 256, convention: "huggingface" }),
  );
});

test("progress grows to the whole; promises are waited for, and what they fail with ends the call", async () => {
  await using model = await load();
  const told: PerplexityProgress[] = [];
  const options = { context: 8, stride: 8 }; // the last window, of one token, has nothing to score
  const text = sentence.slice(0, 40);
  const found = await perplexity(model, letters, text, {
    ...options,
    progress_callback: (progress) => void told.push(progress),
  });
  const loaded = told.map((progress) => progress.loaded);
  assert.equal(
    loaded,
    loaded.toSorted((a, b) => a - b),
  );
  assert.is(told.length, 6);
  const { status, ...last } = told.at(-1)!;
  assert.is(status, "done");
  assert.equal([last.loaded, last.total, last.progress], [41, 41, 100]);
  assert.ok(Math.abs(last.perplexity / found.perplexity - 1) < 1e-12);
  const late = await failure(
    perplexity(model, letters, text, {
      ...options,
      progress_callback: (async () => {
        throw new Error("too late");
      }) as () => void,
    }),
  );
  assert.is(late.message, "too late");
  const thrown = await failure(
    perplexity(model, letters, text, {
      ...options,
      progress_callback: () => {
        throw new Error("at once");
      },
    }),
  );
  assert.is(thrown.message, "at once");
  assert.is(model.info().cache_bytes, 0);
});

test("an abort ends it with its reason, and gives everything back", async () => {
  await using model = await load({ chunk_size: 16 });
  const reason = new Error("enough");
  const stop = new AbortController();
  let told = 0;
  const aborted = await failure(
    perplexity(model, letters, sentence.repeat(20), {
      context: 16,
      stride: 1,
      signal: stop.signal,
      progress_callback: () => {
        if (++told === 3) stop.abort(reason);
      },
    }),
  );
  assert.is(aborted, reason);
  assert.ok(told < 10, `${told} windows after the abort`);
  assert.is(model.info().cache_bytes, 0);
  assert.is(await failure(perplexity(model, letters, sentence, { signal: stop.signal })), reason);
  const going = failure(perplexity(model, letters, sentence));
  await model.dispose();
  assert.match((await going).message, /the model was disposed/);
});

test("arguments that cannot be are named", async () => {
  await using model = await load({ context: 100 });
  const refused = async (
    pattern: RegExp,
    options: unknown = {},
    text: unknown = sentence,
    coder: unknown = letters,
  ) => {
    const error = await failure(
      perplexity(model, coder as typeof letters, text as string, options as PerplexityOptions),
    );
    assert.instance(error, InputError, error.message);
    assert.match(error.message, pattern);
  };
  await refused(/text: expected at least two tokens, .*found 1/, {}, "");
  await refused(/text: expected a text, found null/, {}, null);
  await refused(/context: expected a whole number from 2 to 100 .*found 101/, { context: 101 });
  await refused(/context: expected a whole number from 2 to 100 .*found 1$/, { context: 1 });
  await refused(/context: .*found "8"/, { context: "8" });
  await refused(/stride: expected a whole number from 1 to 8 \(context\), found 9/, { context: 8, stride: 9 });
  await refused(/stride: .*found 0/, { context: 8, stride: 0 });
  await refused(/stride: .*found 1.5/, { context: 8, stride: 1.5 });
  await refused(/unknown option strides: did you mean stride/, { strides: 4 });
  await refused(/convention: expected "huggingface" or "llama.cpp", found "gguf"/, { convention: "gguf" });
  await refused(/stride: llama.cpp's chunks/, { convention: "llama.cpp", stride: 4 });
  await refused(/two chunks of 100 tokens.*found 67 tokens/, { convention: "llama.cpp" });
  await refused(/progress_callback: expected a function/, { progress_callback: 1 });
  await refused(/signal: expected an AbortSignal/, { signal: 1 });
  await refused(/the options: expected an object, found 5/, 5);
  await refused(/tokenizer: expected an object with encode/, {}, sentence, {});
  // A window that rolls has as many positions as the model was trained with.
  await using demonstrated = await AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  const error = await failure(perplexity(demonstrated, tokenizer, sentence, { context: 2049 }));
  assert.match(error.message, /context: expected a whole number from 2 to 2048/);
});

test.run();
