// cache: false: what is fetched is in memory, and nothing of it on the disk.
import { existsSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError, InputError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import { newContent } from "../../src/hub/memory_content.ts";
import { AutoConfig, AutoTokenizer, MixtralForCausalLM } from "../../src/index.ts";
import { failure, pattern } from "../contract/disk.ts";
import { demo, fixture } from "../fixtures.ts";
import { hashOf } from "../runtimes/logits.ts";
import { freshCache, hub, LARGE, largeBytes } from "./setup.ts";

const gguf = readFileSync(fixture("fixtures/gguf/models/Q4_K_M.gguf"));
const hash = async (source: string, options: object): Promise<string> => {
  await using model = await MixtralForCausalLM.from_pretrained(source, { threads: 2, ...options });
  return await hashOf(model);
};

test("a model is read into memory, with the same bits, mapped experts or paged, and nothing is kept", async () => {
  hub.commit("owner/model", { "m.gguf": gguf, "config.json": "{}" });
  const expected = await hash(fixture("fixtures/gguf/models/Q4_K_M.gguf"), {});
  const cache_dir = freshCache();
  assert.is(await hash("owner/model", { cache: false, cache_dir }), expected);
  assert.is(await hash(`${hub.endpoint}/owner/model/resolve/main/m.gguf`, { cache: false, cache_dir }), expected);
  assert.is(await hash("owner/model", { cache: false, cache_dir, memory_budget: 0.75 }), expected);
  assert.not(existsSync(cache_dir));
  const asked = hub.seen.filter(({ host, method }) => host === "cdn" && method === "GET").length;
  assert.is(asked, 3, "each time anew");
});

test("tokenizers and configs, too", async () => {
  const files = ["config.json", "tokenizer.json", "tokenizer_config.json"];
  hub.commit(
    "owner/demo",
    Object.fromEntries([...files, "model.safetensors"].map((name) => [name, readFileSync(`${demo}/${name}`)])),
  );
  const cache_dir = freshCache();
  const tokenizer = await AutoTokenizer.from_pretrained("owner/demo", { cache: false, cache_dir });
  assert.equal(tokenizer.encode("Hello"), (await AutoTokenizer.from_pretrained(demo)).encode("Hello"));
  const config = await AutoConfig.from_pretrained("owner/demo", { cache: false, cache_dir });
  assert.is(config.vocab_size, (await AutoConfig.from_pretrained(demo)).vocab_size);
  assert.not(existsSync(cache_dir));
});

test("wrong bytes are refused as on the disk, and so is download", async () => {
  hub.commit("owner/model", { "m.gguf": largeBytes() });
  hub.fault(({ host }, answer) => {
    if (host !== "cdn" || answer.body === undefined) return undefined;
    const body = Uint8Array.from(answer.body as Uint8Array);
    body[5] ^= 1;
    return { ...answer, body };
  });
  await failure(() => hash("owner/model", { cache: false }), HubError, /the bytes that came are not those of sha256/);
  await failure(() => download("owner/model", { cache: false }), InputError, /cache: expected true/);
  await failure(() => hash("owner/model", { cache: "opfs" }), InputError, /cache: expected true or false/);
});

for (const in_page of [false, true])
  test(`a file in memory is written in any order, read while it is written, cut${in_page ? ", as Blobs" : ""}`, async () => {
    const content = newContent(in_page);
    content.truncate(LARGE);
    const expected = largeBytes();
    const step = 3 * 2 ** 20 + 17;
    const starts = Array.from({ length: Math.ceil(LARGE / step) }, (_, i) => i * step);
    // From both ends.
    starts.sort((a, b) => Math.abs(b - LARGE / 2) - Math.abs(a - LARGE / 2));
    for (const at of starts) await content.write(at, expected.subarray(at, at + step));
    await content.write(5, expected.subarray(5, 50));
    const read = new Uint8Array(LARGE + 10);
    assert.is(await content.read(0, read), LARGE);
    assert.equal(Buffer.compare(read.subarray(0, LARGE), expected), 0);
    assert.is(await content.read(LARGE, new Uint8Array(3)), 0);
    const file = await content.open("memory:/m");
    assert.is(file.size, LARGE);
    const part = new Uint8Array(100);
    await file.read(2 ** 24 - 50, part);
    assert.equal(part, expected.slice(2 ** 24 - 50, 2 ** 24 + 50));
    const growing = newContent(in_page);
    for (let at = 0; at < 40; at += 10) await growing.write(at, pattern(40).subarray(at, at + 10));
    growing.truncate(35);
    const all = new Uint8Array(35);
    await (await growing.open("memory:/g")).read(0, all);
    assert.equal(all, pattern(35));
  });

test.run();
