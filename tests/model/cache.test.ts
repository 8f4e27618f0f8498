// Caches of whole models: what is shared is stored once, what they may take is a bound, who has to make room is computed
// again to the same bits; formats; files; and chunks that pause.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  EngineError,
  InputError,
  type KeyValueCache,
  type LoadOptions,
  MemoryError,
  MixtralForCausalLM,
} from "../../src/index.ts";
import { failure } from "../failure.ts";
import { demo, fixture } from "../fixtures.ts";
import { collectUntil } from "../garbage.ts";
import { sameBits } from "./compare.ts";

const base = fixture("fixtures/hf/base");
const ids = (count: number, step = 37) => Array.from({ length: count }, (_, i) => (i * step + 5) % 150);
const load = (options: LoadOptions = {}, path = base) =>
  MixtralForCausalLM.from_pretrained(path, { threads: 2, ...options });

/** Bytes of a page of `base`: 2 layers, keys and values of 2 heads of 16, 64 positions. */
const PAGE = 2 * 2 * 2 * 16 * 64 * 4;

test("forks of a prefix store it once", async () => {
  await using model = await load();
  const prefix = (await model({ input_ids: ids(200) })).past_key_values!;
  assert.is(model.info().cache_bytes, 4 * PAGE);
  const forks = Array.from({ length: 8 }, () => prefix.fork());
  assert.is(model.info().cache_bytes, 4 * PAGE, "eight forks");
  await Promise.all(forks.map((fork, i) => model({ input_ids: [[i, i + 1]], past_key_values: fork })));
  assert.is(model.info().cache_bytes, (4 + 8) * PAGE, "and a last page for each");
  for (const [i, fork] of forks.entries()) {
    const { logits } = await model({ input_ids: [[7]], past_key_values: fork });
    const alone = await model({ input_ids: [...ids(200), i, i + 1, 7], logits_to_keep: 1, use_cache: false });
    assert.ok(sameBits(logits.data as Float32Array, alone.logits.data as Float32Array), `fork ${i}`);
    fork.dispose();
  }
  prefix.dispose();
  assert.is(model.info().cache_bytes, 0);
});

test("several answers to a prompt store it once", async () => {
  await using model = await load();
  let most = 0;
  const streamer = () => {
    most = Math.max(most, model.info().cache_bytes);
    return false;
  };
  const options = { do_sample: true, seed: 3, max_new_tokens: 10, min_new_tokens: 10 };
  const input_ids = ids(200);
  const eight = await model.generate({ ...options, input_ids, num_return_sequences: 8, stopping_criteria: streamer });
  assert.is(most, (3 + 8) * PAGE);
  const rows = await model.generate({ ...options, input_ids: Array.from({ length: 8 }, () => input_ids) });
  assert.equal(eight.tolist(), rows.tolist(), "as eight rows of their own");
  assert.is(model.info().cache_bytes, 0);
});

test("calls that need more than kv_bytes together wait and make room, and give what they give alone", async () => {
  await using roomy = await load();
  const prompts = [ids(150), ids(100, 31), ids(120, 29), ids(60, 41)];
  const options = { max_new_tokens: 60, min_new_tokens: 60 };
  const alone: unknown[] = [];
  for (const input_ids of prompts) alone.push((await roomy.generate({ ...options, input_ids })).tolist());
  // The longest takes four pages; all four at once would take twelve.
  await using narrow = await load({ kv_bytes: 5 * PAGE });
  assert.is(narrow.info().kv_bytes, 5 * PAGE);
  const together = await Promise.all(prompts.map((input_ids) => narrow.generate({ ...options, input_ids })));
  assert.equal(
    together.map((tensor) => tensor.tolist()),
    alone,
  );
  const batch = prompts.map((prompt) => prompt.slice(-60));
  const apart = await roomy.generate({ ...options, input_ids: batch });
  assert.equal((await narrow.generate({ ...options, input_ids: batch })).tolist(), apart.tolist(), "rows of one call");
  assert.is(narrow.info().cache_bytes, 0);
});

test("what kv_bytes can never hold is refused before it begins, with the bytes", async () => {
  await using model = await load({ kv_bytes: 2 * PAGE });
  const error = await failure(model.generate({ input_ids: ids(100), max_new_tokens: 50 }));
  assert.instance(error, MemoryError);
  assert.match(error.message, /kv_bytes.*150 tokens may take 98304 bytes of cache, 65536 are allowed/);
  const long = await failure(model({ input_ids: ids(150) }));
  assert.match(long.message, /kv_bytes: a sequence of 150 tokens needs/);
  assert.is(model.info().cache_bytes, 0);
  assert.is((await model.generate({ input_ids: ids(100), max_new_tokens: 28 })).dims[1], 128);
  assert.match((await failure(load({ kv_bytes: 0 }))).message, /^kv_bytes: expected an integer from 1 to/);
  assert.match((await failure(load({ kv_bytes: PAGE - 1 }))).message, /kv_bytes: a page of the cache/);
  assert.match((await failure(load({ kv_bytes: 2 ** 47 }))).message, /kv_bytes: .* are free/);
});

test("f16 and q8_0 caches: near f32, the same bits by chunks, a half and about a quarter of the bytes", async () => {
  const run = async (options: LoadOptions) => {
    await using model = await load(options, demo);
    const out = await model({ input_ids: ids(75) });
    const bytes = model.info().cache_bytes;
    out.past_key_values!.dispose();
    return { logits: out.logits.data as Float32Array, bytes };
  };
  const f32 = await run({});
  // Keys and values rounded to 11 bits, or to 8 of a block's largest, in logits of the order of 10: what was found, and room.
  // A router that decides otherwise moves single logits far, so the mean is looked at.
  for (const [kv_dtype, tolerance, share] of [
    ["f16", 0.002, 1 / 2],
    ["q8_0", 0.05, 34 / 128],
  ] as const) {
    const first = await run({ kv_dtype });
    const sum = first.logits.reduce((total, value, i) => total + Math.abs(value - f32.logits[i]), 0);
    const difference = sum / first.logits.length;
    console.log(`# ${kv_dtype}: differs by ${difference.toExponential(1)} of ${tolerance} in the mean`);
    assert.ok(difference > 0 && difference < tolerance, `${kv_dtype} differs by ${difference}`);
    assert.is(first.bytes, f32.bytes * share);
    for (const chunk_size of [1, 7, 33])
      assert.ok(
        sameBits((await run({ kv_dtype, chunk_size, threads: 3 })).logits, first.logits),
        `${kv_dtype}, ${chunk_size}`,
      );
  }
  assert.match((await failure(load({ kv_dtype: "q8_0" }))).message, /q8_0 stores 32 values together.*16/);
});

/** A cache of two rows, and the file that it was saved to, which is gone afterwards. */
async function withSavedCache(
  use: (saved: { model: MixtralForCausalLM; cache: KeyValueCache; path: string }) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "cache");
  try {
    await using model = await load();
    const cache = (await model({ input_ids: [ids(100), ids(100, 31)] })).past_key_values!;
    await cache.save(path);
    await use({ model, cache, path });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a cache file is for the model that wrote it", async () => {
  await withSavedCache(async ({ model, cache, path }) => {
    const loaded = await model.load_cache(path);
    assert.is(loaded.get_seq_length(), 100);
    const [a, b] = await Promise.all(
      [cache, loaded].map((past_key_values) => model({ input_ids: [[1], [2]], past_key_values })),
    );
    assert.ok(sameBits(a.logits.data as Float32Array, b.logits.data as Float32Array));
    for (const held of [cache, loaded]) held.dispose();
    await using different = await load({}, fixture("fixtures/hf/fused"));
    const error = await failure(different.load_cache(path));
    assert.instance(error, InputError);
    assert.match(error.message, /expected the cache of a model with/);
    await using narrow = await load({ kv_bytes: 3 * PAGE });
    assert.instance(await failure(narrow.load_cache(path)), MemoryError);
    assert.is(narrow.info().cache_bytes, 0);
  });
});

/** A cache file with another header, and with other pages where some are given. */
function withHeader(good: Buffer, change: (header: any) => void, pages?: Uint8Array): Buffer {
  const length = good.readUInt32LE(8);
  const header = JSON.parse(good.toString("utf8", 12, 12 + length));
  change(header);
  const json = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(json.length);
  return Buffer.concat([good.subarray(0, 8), size, json, pages ?? good.subarray(12 + length)]);
}

test("a cache file whose header says what cannot be is refused", async () => {
  await withSavedCache(async ({ model, cache, path }) => {
    cache.dispose();
    const good = readFileSync(path);
    const length = good.readUInt32LE(8);
    const pages = good.subarray(12 + length);
    const refused = async (change: (header: any) => void, pattern: RegExp, rest?: Uint8Array) => {
      writeFileSync(path, withHeader(good, change, rest));
      const error = await failure(model.load_cache(path));
      assert.instance(error, InputError);
      assert.match(error.message, pattern);
      assert.is(model.info().cache_bytes, 0);
    };
    await refused((h) => (h.rows[1].length = 101), /row 1: expected a length of at most 100, found 101/);
    await refused((h) => (h.columns = 99), /row 0: expected a length of at most 99, found 100/);
    await refused((h) => (h.rows[0].length = -1), /row 0: expected a length/);
    await refused((h) => (h.columns = 100.5), /columns: expected a count/);
    await refused((h) => (h.rows[0].first_block = 1), /row 0: expected first_block of at most 0, found 1/);
    await refused((h) => (h.rows[0].hidden = [100]), /row 0: expected hidden positions below 100/);
    await refused((h) => (h.rows = {}), /rows: expected a list/);
    await refused((h) => (h.rows[0].length = 64), /expected \d+ bytes, found/);
    await refused(() => {}, /expected \d+ bytes, found/, pages.subarray(1));
    await refused((h) => (h.model.layers[0][0] = 1), /expected the cache of a model with/);
    await refused((h) => (h.model.weights = "0"), /expected the cache of a model with/);
    writeFileSync(path, good.subarray(0, 12 + length - 1));
    assert.match((await failure(model.load_cache(path))).message, /expected a header within the file/);
    writeFileSync(path, good);
    const loaded = await model.load_cache(path);
    assert.is(loaded.get_seq_length(), 100);
    loaded.dispose();
  });
});

test("when the model is disposed of, its caches say so", async () => {
  const model = await load();
  const cache = (await model({ input_ids: ids(20) })).past_key_values!;
  await model.dispose();
  const said = /the model was disposed/;
  const disposed = (error: unknown) => error instanceof EngineError && said.test(error.message);
  assert.throws(() => cache.crop(3), disposed);
  assert.throws(() => cache.fork(), disposed);
  for (const call of [cache.save(join(tmpdir(), "never")), model({ input_ids: [1], past_key_values: cache })]) {
    const error = await failure(call);
    assert.instance(error, EngineError);
    assert.match(error.message, said);
  }
  assert.throws(() => model.create_cache(1), disposed);
  cache.dispose();
});

test("caches that nobody refers to any more are given back", async () => {
  await using model = await load();
  const forget = async () => {
    await model({ input_ids: ids(20) });
    await model.generate({ input_ids: ids(20), max_new_tokens: 2, return_dict_in_generate: true });
  };
  await forget();
  assert.ok(model.info().cache_bytes > 0);
  await collectUntil(() => model.info().cache_bytes === 0);
  assert.is(model.info().cache_bytes, 0);
});

test("a cache of a model that is mapped is one of the model that is read and repacked", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "cache");
  const repacked = fixture("fixtures/gguf/models/Q4_K_M.gguf");
  try {
    const logits: Float32Array[] = [];
    for (const mmap of ["auto", false] as const) {
      await using model = await load({ mmap }, repacked);
      if (logits.length === 0) await (await model({ input_ids: [ids(70)] })).past_key_values!.save(path);
      const past_key_values = await model.load_cache(path);
      logits.push((await model({ input_ids: [[7]], past_key_values })).logits.data as Float32Array);
    }
    assert.ok(sameBits(logits[0], logits[1]));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("padding in a cache: forked, cropped, saved; a row of padding alone; rows that ended before others", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "cache");
  try {
    await using model = await load({}, fixture("fixtures/hf/window_8"));
    const input_ids = [ids(90), ids(90, 41)];
    const attention_mask = input_ids.map((row, b) => row.map((_, i) => +(i > 70 * b && (i * 5 + b) % 7 > 1)));
    const next = [[11], [12]];
    const both = (more: number[][], mask: number[][]) =>
      input_ids.map((row, b) => [...row, ...(more[b] ?? []), ...mask[b]]);
    const whole = await model({
      input_ids: both(next, [[], []]),
      attention_mask: attention_mask.map((row) => [...row, 1]),
      logits_to_keep: 1,
      use_cache: false,
    });
    const cache = (await model({ input_ids, attention_mask })).past_key_values!;
    await cache.save(path);
    const ahead = cache.fork();
    await model({
      input_ids: ids(30)
        .map((id) => [id, id])
        .slice(0, 2)
        .map((row) => [...row, 3]),
      past_key_values: ahead,
    });
    ahead.crop(90);
    for (const past_key_values of [cache, ahead, await model.load_cache(path)]) {
      const { logits } = await model({ input_ids: next, past_key_values });
      assert.ok(sameBits(logits.data as Float32Array, whole.logits.data as Float32Array));
      past_key_values.crop(20); // into the padding before row 1's first token
      assert.is(past_key_values.get_seq_length(), 20);
      const again = await model({
        input_ids: input_ids.map((row) => row.slice(20)),
        attention_mask,
        past_key_values,
        logits_to_keep: 1,
      });
      const alone = await model({ input_ids, attention_mask, logits_to_keep: 1, use_cache: false });
      assert.ok(sameBits(again.logits.data as Float32Array, alone.logits.data as Float32Array));
      past_key_values.dispose();
    }
    // Row 0 ends after two tokens: what stands behind it is padding, whatever a later mask says.
    const prompt = [ids(20), ids(20, 41)];
    const { sequences, past_key_values } = await model.generate({
      input_ids: prompt,
      max_new_tokens: 9,
      eos_token_id: null,
      stopping_criteria: (rows) => [rows[0].length >= 22, false],
      return_dict_in_generate: true,
    });
    assert.is(past_key_values!.get_seq_length(), 28);
    const rows = sequences.tolist() as number[][];
    const seen = rows.map((row, b) => row.map((_, i) => +(b === 1 || i < 21 || i === 28)));
    for (const mask of [seen, seen.map((row) => row.map(() => 1)), undefined]) {
      const fork = past_key_values!.fork();
      const { logits } = await model({
        input_ids: rows.map((row) => row.slice(28)),
        attention_mask: mask,
        past_key_values: fork,
      });
      const alone = await model({ input_ids: rows, attention_mask: seen, logits_to_keep: 1, use_cache: false });
      assert.ok(sameBits(logits.data as Float32Array, alone.logits.data as Float32Array));
      fork.dispose();
    }
    past_key_values!.dispose();
    assert.is(model.info().cache_bytes, 0);
    const padded = model.generate({
      input_ids: [
        [1, 2],
        [3, 4],
      ],
      attention_mask: [
        [0, 0],
        [1, 1],
      ],
    });
    assert.match((await failure(padded)).message, /attention_mask\[0\]: expected a token to answer to/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a chunk that pauses again and again gives the bits of one that does not", async () => {
  await using model = await load({ step_ms: 1, chunk_size: 400 }, demo);
  const long = ids(1200);
  const alone = (await model({ input_ids: long, use_cache: false })).logits.data as Float32Array;
  const answer = { input_ids: ids(9), max_new_tokens: 60, min_new_tokens: 60 };
  const expected = (await model.generate(answer)).tolist();
  for (let round = 0; round < 3; round++) {
    let tokens = 0;
    const before: number[] = [];
    const streamer = { put: () => void tokens++, end() {} };
    const talking = model.generate({ ...answer, streamer });
    talking.catch(() => {}); // where an assertion fails first
    const reading = model({ input_ids: long, use_cache: false }).then((out) => {
      before.push(tokens);
      return out;
    });
    assert.ok(sameBits((await reading).logits.data as Float32Array, alone), `round ${round}`);
    assert.equal((await talking).tolist(), expected);
    assert.ok(before[0] > 20, `${before[0]} tokens while the prompt was read`);
  }
  assert.is(model.info().cache_bytes, 0);
});

test("a cache whose window has passed its first pages is saved without them, and goes on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
  const path = join(folder, "cache");
  try {
    await using model = await load({}, fixture("fixtures/hf/window_8"));
    const cache = (await model({ input_ids: [ids(300), ids(300, 41)] })).past_key_values!;
    const held = model.info().cache_bytes;
    await cache.save(path);
    const loaded = await model.load_cache(path);
    assert.is(model.info().cache_bytes, 2 * held);
    assert.ok(readFileSync(path).length < held + 4096, "no page that the window has passed");
    const [a, b] = [
      await model({ input_ids: [[1], [2]], past_key_values: cache }),
      await model({ input_ids: [[1], [2]], past_key_values: loaded }),
    ];
    assert.ok(sameBits(a.logits.data as Float32Array, b.logits.data as Float32Array));
    for (const each of [cache, loaded]) each.dispose();
    // The next token, at 70, sees 63 on, which is in the first page still.
    const short = (await model({ input_ids: [ids(70)] })).past_key_values!;
    await short.save(path);
    writeFileSync(
      path,
      withHeader(readFileSync(path), ({ rows }) => (rows[0].first_block = 1)),
    );
    assert.match((await failure(model.load_cache(path))).message, /row 0: expected first_block of at most 0, found 1/);
    short.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
