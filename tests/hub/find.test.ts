// Models, tokenizers, pipelines, configs and adapters by id and URL: what is loaded is what a folder gives, and no more is
// downloaded than is wanted.
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError, HubError, InputError } from "../../src/errors.ts";
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoTokenizer,
  convert,
  MixtralForCausalLM,
  type ProgressInfo,
  pipeline,
  quantize,
} from "../../src/index.ts";
import { failure } from "../contract/disk.ts";
import { demo, root } from "../fixtures.ts";
import { freshCache, hub, temporary } from "./setup.ts";

const small = join(root, "tests", "fixtures", "small");
const folderFiles = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, readFileSync(join(folder, name))]),
  );

const model = join(small, "pooled");
const gguf = join(temporary, "m.Q8_0.gguf");
await quantize(demo, gguf, { type: "Q8_0" });
hub.commit("owner/demo", folderFiles(demo));
hub.commit("owner/pooled", folderFiles(model));
hub.commit("owner/demo-GGUF", {
  "m.Q8_0.gguf": readFileSync(gguf),
  "m.Q4_K_M.gguf": "not to be fetched",
  "config.json": '{"model_type":"mixtral"}',
});

const fetched = () =>
  hub.seen
    .filter(({ method, path }) => method === "HEAD" && path.includes("/resolve/"))
    .map(({ path }) => path.split("/").at(-1)!);
const ids = [1, 5, 7, 200];

/** Logits of the last token. */
async function logits(source: string | URL, options = {}): Promise<number[]> {
  const loaded = await AutoModelForCausalLM.from_pretrained(source, { threads: 1, ...options });
  try {
    return Array.from((await loaded({ input_ids: ids })).logits.data.slice(-50) as Float32Array);
  } finally {
    await loaded.dispose();
  }
}
const expected = await logits(demo);

test("a model by its id is what its folder is; progress goes from the first byte to ready", async () => {
  const told: ProgressInfo[] = [];
  const cache_dir = freshCache();
  assert.equal(
    await logits("owner/demo", { cache_dir, progress_callback: (info: ProgressInfo) => told.push(info) }),
    expected,
  );
  const order = ["initiate", "download", "progress", "done", "initiate", "done", "ready"];
  let at = 0;
  for (const { status } of told) if (status === order[at]) at++;
  assert.is(at, order.length, told.map(({ status }) => status).join(" "));
  assert.equal(await logits("owner/demo", { cache_dir, local_files_only: true }), expected);
});

test("one GGUF of several by its type or name, with its tokenizer in it", async () => {
  const cache_dir = freshCache();
  const own = await logits(gguf);
  assert.equal(await logits("owner/demo-GGUF:Q8_0", { cache_dir }), own);
  assert.equal(await logits("owner/demo-GGUF", { cache_dir, file: "m.Q8_0.gguf" }), own);
  const tokenizer = await AutoTokenizer.from_pretrained("owner/demo-GGUF:Q8_0", { cache_dir });
  assert.ok(tokenizer.encode("Mustard").length > 0);
  assert.equal(fetched(), ["m.Q8_0.gguf"]);
  assert.is((await AutoConfig.from_pretrained("owner/demo-GGUF:Q8_0", { cache_dir })).model_type, "mixtral");
});

test("URLs: of the hub's pages, of files anywhere, of this machine", async () => {
  const cache_dir = freshCache();
  const page = `${hub.endpoint}/owner/demo`;
  assert.equal(await logits(page, { cache_dir }), expected);
  assert.equal(await logits(new URL(`${page}/tree/main`), { cache_dir, local_files_only: true }), expected);
  assert.equal(await logits(pathToFileURL(demo)), expected);
  assert.equal(await logits(pathToFileURL(demo).href), expected);
  const own = await logits(gguf);
  assert.equal(await logits(pathToFileURL(gguf)), own);
  assert.equal(await logits(`${hub.endpoint}/owner/demo-GGUF/resolve/main/m.Q8_0.gguf`, { cache_dir }), own);
});

test("no more is downloaded than is wanted: a tokenizer, a config", async () => {
  const cache_dir = freshCache();
  const tokenizer = await AutoTokenizer.from_pretrained("owner/demo", { cache_dir });
  const local = await AutoTokenizer.from_pretrained(demo);
  assert.equal(tokenizer.encode("Hello mustard"), local.encode("Hello mustard"));
  assert.not(fetched().some((name) => name.endsWith(".safetensors")));
  assert.equal(
    tokenizer.apply_chat_template([{ role: "user", content: "x" }], { tokenize: false }),
    local.apply_chat_template([{ role: "user", content: "x" }], { tokenize: false }),
  );
  hub.reset();
  const config = await AutoConfig.from_pretrained("owner/demo", { cache_dir: freshCache() });
  assert.is(config.model_type, "mixtral");
  assert.equal(fetched(), ["config.json"]);
});

test("pipelines, classes, convert and quantize take ids, too", async () => {
  process.env["HF_HUB_CACHE"] = freshCache();
  try {
    const generator = await pipeline("text-generation", "owner/demo", { threads: 1 });
    const [{ generated_text }] = await generator("Mustard tastes", { max_new_tokens: 4 });
    assert.ok(generated_text.startsWith("Mustard tastes"));
    await generator.dispose();
    await (await MixtralForCausalLM.from_pretrained("owner/demo", { threads: 1 })).dispose();
    await convert("owner/pooled", join(temporary, "converted"), { num_key_value_heads: 2 });
    await quantize("owner/demo", join(temporary, "q.gguf"), { type: "Q4_0" });
  } finally {
    delete process.env["HF_HUB_CACHE"];
  }
});

test("a LoRA adapter of a hub", async () => {
  const lora = readdirSync(join(root, "tests", "fixtures"), { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith("adapter_config.json"),
  );
  assert.ok(lora.length > 0);
  hub.commit("owner/lora", folderFiles(join(root, "tests", "fixtures", lora[0], "..")));
  const loaded = await AutoModelForCausalLM.from_pretrained(demo, { threads: 1 });
  try {
    // Whether it is for this model is another matter.
    await loaded
      .load_adapter("owner/lora", { cache_dir: freshCache() })
      .catch((error) => assert.instance(error, CheckpointError));
    assert.equal(fetched().sort(), ["adapter_config.json", "adapter_model.safetensors"]);
  } finally {
    await loaded.dispose();
  }
});

test("what is on the disk wins, and asks nobody", async () => {
  const here = process.cwd();
  mkdirSync(join(temporary, "owner"), { recursive: true });
  cpSync(demo, join(temporary, "owner", "demo"), { recursive: true });
  cpSync(gguf, join(temporary, "owner", "demo", "m.Q8_0.gguf"));
  process.chdir(temporary);
  try {
    assert.equal(await logits("owner/demo"), expected);
    const own = await logits(gguf);
    assert.equal(await logits("owner/demo:Q8_0"), own);
    assert.equal(await logits("owner/demo", { file: "m.Q8_0.gguf" }), own);
    assert.ok(await AutoTokenizer.from_pretrained("owner/demo", { file: "tokenizer.model" }));
    await failure(
      () => logits("owner/demo:Q2_K"),
      CheckpointError,
      /owner\/demo: expected Q2_K, found these GGUF files\n {2}m.Q8_0/,
    );
  } finally {
    process.chdir(here);
  }
  assert.equal(hub.seen, []);
});

test("what is neither here nor there says both", async () => {
  await failure(
    () => logits("models/demmo", { cache_dir: freshCache() }),
    HubError,
    /no model of this name may be seen.*\. Nor is there a folder or file "models\/demmo" here/,
  );
  await failure(() => logits("./models/demmo"), CheckpointError, /found nothing/);
  await failure(() => logits("hf://owner/demo"), InputError, /expected a path, owner\/name of a hub, or an https:/);
  await failure(() => logits(new URL("ftp://x.y/z")), InputError, /expected an https:, http: or file: URL/);
  await failure(() => logits("owner/demo", { revision: 7 }), InputError, /revision: expected a text, found 7/);
});

test.run();
