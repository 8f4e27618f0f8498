// Caches in each of their formats: kept, cropped, forked, saved and restored, they go on as if all had been computed at once
// in that format, to the bit; behind the window of the demo model, too. A file of one format is refused by models of others.
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError, type KeyValueCache, type LoadOptions, MixtralForCausalLM } from "../../src/index.ts";
import { kvFormats } from "../../src/memory/kv_pool.ts";
import { failure } from "../failure.ts";
import { demo } from "../fixtures.ts";
import { sameBits } from "./compare.ts";

const formats = ["f32", "f16", "q8_0"] as const;

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true }));

const load = (kv_dtype: (typeof formats)[number], options: LoadOptions = {}) =>
  MixtralForCausalLM.from_pretrained(demo, { threads: 2, kv_dtype, ...options });

const ids = (count: number, step: number) => Array.from({ length: count }, (_, i) => 300 + ((i * step + 5) % 1200));
const NEXT = 9;

test("every format is looked at", () => assert.equal(Object.keys(kvFormats), [...formats]));

for (const kv_dtype of formats) {
  // The demo's window is 256: with 90 tokens all are seen, with 300 pages were given back.
  for (const length of [90, 300])
    test(`${kv_dtype}, ${length} tokens: kept, cropped, forked, saved and restored`, async () => {
      await using model = await load(kv_dtype);
      const rows = [ids(length + NEXT, 37), ids(length + NEXT, 41)];
      const whole = await model({ input_ids: rows, logits_to_keep: NEXT, use_cache: false });
      const begin = rows.map((row) => row.slice(0, length));
      const next = rows.map((row) => row.slice(length));
      const others = [ids(40, 43), ids(40, 47)];
      const goesOn = async (past_key_values: KeyValueCache, what: string) => {
        const { logits } = await model({ input_ids: next, past_key_values });
        assert.ok(sameBits(logits.data as Float32Array, whole.logits.data as Float32Array), what);
      };

      const kept = (await model({ input_ids: begin })).past_key_values!;
      const { cache_bytes } = model.info();
      const path = join(folder, `${kv_dtype}-${length}`);
      await kept.save(path);
      const [cropped, forked, aside] = [kept.fork(), kept.fork(), kept.fork()];
      assert.is(model.info().cache_bytes, cache_bytes, "forks store nothing");
      await model({ input_ids: others, past_key_values: cropped });
      cropped.crop(length);
      assert.is(cropped.get_seq_length(), length);
      await model({ input_ids: others, past_key_values: aside });
      await goesOn(kept, "kept");
      await goesOn(cropped, "cropped");
      await goesOn(forked, "forked");
      const restored = await model.load_cache(path);
      assert.is(restored.get_seq_length(), length);
      await goesOn(restored, "restored");
      // One token at a time, and by generate.
      const again = await model.load_cache(path);
      for (let i = 0; i < NEXT; i++) {
        const { logits } = await model({ input_ids: next.map((row) => [row[i]]), past_key_values: again });
        for (const b of [0, 1])
          assert.ok(sameBits(logits[b].data as Float32Array, whole.logits[b][i].data as Float32Array), `token ${i}`);
      }
      const prompt = rows.map((row) => [...row, 7]);
      const options = { input_ids: prompt, max_new_tokens: 5, min_new_tokens: 5 };
      const answer = await model.generate({ ...options, past_key_values: again });
      assert.equal(answer.tolist(), (await model.generate(options)).tolist());
      for (const cache of [kept, cropped, forked, aside, restored, again]) cache.dispose();
      assert.is(model.info().cache_bytes, 0);

      // The file is what the model of any size of team and any chunk goes on from, and no other format's.
      await using other = await load(kv_dtype, { threads: 1, chunk_size: 64 });
      const { logits } = await other({ input_ids: next, past_key_values: await other.load_cache(path) });
      assert.ok(sameBits(logits.data as Float32Array, whole.logits.data as Float32Array), "in another team");
    });
}

test("a cache's file is refused by models of another kv_dtype, by name", async () => {
  const sizes: number[] = [];
  for (const kv_dtype of formats) {
    await using model = await load(kv_dtype);
    for (const written of formats) {
      const path = join(folder, `${written}-90`);
      if (written === kv_dtype) sizes.push(statSync(path).size);
      else {
        const error = await failure(model.load_cache(path));
        assert.instance(error, InputError);
        assert.is(
          error.message,
          `${path}: expected keys and values in ${kv_dtype}, as the model keeps them, found ${written}: load it with that kv_dtype`,
        );
        assert.is(model.info().cache_bytes, 0);
      }
    }
  }
  // Two pages of two rows, and a header of some hundred bytes.
  const [f32, f16, q8_0] = sizes.map((size) => size / (4 * 64 * 2 * 6 * 2 * 32));
  for (const [found, bytes] of [
    [f32, 4],
    [f16, 2],
    [q8_0, 34 / 32],
  ])
    assert.ok(found > bytes && found < bytes + 0.01, `${found} bytes a value, expected ${bytes}`);
});

test.run();
