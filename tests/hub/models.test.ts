// The models in the cache: listed with their sizes, told apart by whether they are whole, removed.
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError, InputError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import { models } from "../../src/hub/models.ts";
import { failure } from "../contract/disk.ts";
import { configs, freshCache, hub, LARGE, largeBytes } from "./setup.ts";

test("what there is, how much it takes, and whether it is whole", async () => {
  const cache_dir = freshCache();
  assert.equal(await models.list({ cache_dir }), [], "no cache is an empty one");
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.commit("a/gguf", { "m.Q4_K_M.gguf": "12345" });
  const folder = await download("owner/model", { cache_dir });
  await download("a/gguf", { cache_dir });
  await download("owner/model", { cache_dir, files: "config.json" });
  mkdirSync(join(cache_dir, "datasets--o--n"));
  const bytes = LARGE + configs["config.json"].length + configs["tokenizer.json"].length;
  const [gguf, model] = await models.list({ cache_dir });
  assert.equal(model, { name: "owner/model", path: folder, bytes, complete: true });
  assert.is(gguf.name, "a/gguf");
  assert.is(gguf.bytes, 5);
  assert.ok(gguf.complete);
  const usage = await models.usage({ cache_dir });
  assert.is(usage.bytes, bytes + 5);
  assert.ok(usage.quota === undefined || usage.quota > usage.bytes);
});

test("a new version beside the old one counts what they share once; the newest is the model's path", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  await download("owner/model", { cache_dir });
  hub.commit("owner/model", { ...configs, "config.json": "{ }", "model.safetensors": largeBytes() });
  const path = await download("owner/model", { cache_dir });
  const [model] = await models.list({ cache_dir });
  assert.is(model.path, path);
  assert.is(model.bytes, LARGE + configs["config.json"].length + 3 + configs["tokenizer.json"].length);
});

test("what was cut short is not whole, and takes what has come", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.fault(({ host, range }, answer) =>
    host === "cdn" ? (range?.startsWith("bytes=0-") ? { ...answer, cut: 2 ** 20 } : { status: 404 }) : undefined,
  );
  await failure(() => download("owner/model", { cache_dir }), HubError, /./);
  const [model] = await models.list({ cache_dir });
  assert.not(model.complete);
  assert.ok(model.bytes < LARGE / 2, `${model.bytes}`);
  hub.reset();
  const folder = await download("owner/model", { cache_dir });
  assert.ok((await models.list({ cache_dir }))[0].complete);
  rmSync(join(folder, "model.safetensors"));
  assert.not((await models.list({ cache_dir }))[0].complete, "without its weights");
  writeFileSync(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ weight_map: { a: "model-1.safetensors" } }),
  );
  assert.not((await models.list({ cache_dir }))[0].complete, "without a shard");
  writeFileSync(join(folder, "model-1.safetensors"), "");
  assert.ok((await models.list({ cache_dir }))[0].complete);
});

test("a second file that was cut short makes a model not whole", async () => {
  const cache_dir = freshCache();
  hub.commit("a/gguf", { "m.Q4_K_M.gguf": "12345", "m.Q8_0.gguf": largeBytes() });
  await download("a/gguf", { cache_dir });
  assert.ok((await models.list({ cache_dir }))[0].complete);
  hub.fault(({ host, range }, answer) =>
    host === "cdn" ? (range?.startsWith("bytes=0-") ? { ...answer, cut: 2 ** 20 } : { status: 404 }) : undefined,
  );
  await failure(() => download("a/gguf:Q8_0", { cache_dir }), HubError, /./);
  assert.not((await models.list({ cache_dir }))[0].complete);
});

test("a model is removed with all of its own, and nothing else", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": "weights" });
  hub.commit("owner/other", { ...configs, "model.safetensors": "weights" });
  await download("owner/model", { cache_dir });
  const other = await download("owner/other", { cache_dir });
  await failure(
    () => models.remove("owner/modle", { cache_dir }),
    InputError,
    /found "owner\/modle"; the nearest is "owner\/model"/,
  );
  await failure(() => models.remove("../x", { cache_dir }), InputError, /expected a model in/);
  await models.remove("owner/model", { cache_dir });
  assert.equal(
    (await models.list({ cache_dir })).map(({ name }) => name),
    ["owner/other"],
  );
  assert.ok(existsSync(join(other, "model.safetensors")));
  assert.equal(readdirSync(join(cache_dir, ".locks")), ["models--owner--other"]);
});

test.run();
