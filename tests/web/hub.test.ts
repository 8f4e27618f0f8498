// Downloads into a page's own files, and models from there, from URLs and from what was picked: against a hub on this machine that
// lets pages ask as the real one does. Tabs are closed and reloaded in the middle.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoTokenizer, MixtralForCausalLM } from "../../src/index.ts";
import { pattern } from "../contract/disk.ts";
import { demo, fixture } from "../fixtures.ts";
import { FakeHub } from "../hub/fake_hub.ts";
import { hashOf } from "../runtimes/logits.ts";
import { launchChromium } from "./browser.ts";
import { startServer } from "./server.ts";

const hub = await FakeHub.start();
const { endpoint } = hub;
const server = await startServer({
  csp: "default-src 'self'; connect-src *; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
});
const chromium = await launchChromium();
let context: BrowserContext;

/** Three ranges and a bit. */
const LARGE = 3 * 2 ** 24 + 12345;
const large = pattern(LARGE);
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const gguf = fixture("fixtures/gguf/models/Q4_K_M.gguf");
const base = fixture("fixtures/hf/base");
const configs = { "config.json": '{"model_type":"mixtral"}', "tokenizer.json": "{}" };
const CACHE = "opfs:/.cache/huggingface/hub";

async function nodeHash(path: string): Promise<string> {
  await using model = await MixtralForCausalLM.from_pretrained(path, { threads: 2 });
  return await hashOf(model);
}
const expected = { gguf: await nodeHash(gguf), base: await nodeHash(base) };

test.before.each(async () => {
  hub.reset();
  hub.cors = true;
  context = await chromium.newContext();
});
test.after.each(() => context.close());
test.after(async () => {
  await chromium.close();
  await server.close();
  await hub.close();
});

type Call = (name: string, ...args: unknown[]) => Promise<any>;

/** Starts the worker in a page. */
async function start(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const scope = window as any;
    const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
    const worker = new Worker("/web/hub.thread.js", { type: "module" });
    let count = 0;
    scope.call = (name: string, ...args: unknown[]) =>
      new Promise((resolve, reject) => {
        waiting.set(++count, { resolve, reject });
        worker.postMessage([count, name, args]);
      });
    await new Promise((resolve) => {
      worker.onmessage = ({ data }) => {
        if (data === "ready") return resolve(undefined);
        const [id, value, error] = data;
        if (error) waiting.get(id)!.reject(new Error(error));
        else waiting.get(id)!.resolve(value);
      };
    });
  });
}

/** A tab with the worker in it. What a call that was broken off says is nobody's matter. */
async function openTab(): Promise<{ page: Page; call: Call }> {
  const page = await context.newPage();
  await page.goto(server.url);
  await start(page);
  const call: Call = (name, ...args) =>
    page.evaluate(([name, args]) => (window as any).call(name, ...(args as unknown[])), [name, args] as const);
  return { page, call };
}

async function refused(promise: Promise<unknown>, words: RegExp): Promise<void> {
  const error = await promise.then(
    () => assert.unreachable("expected a failure"),
    (error) => error,
  );
  assert.match(error.message, words, error.message);
}

const bytesAsked = () =>
  hub.seen
    .filter(({ host, method, path }) => host === "cdn" && method === "GET" && path.length > 60)
    .map(({ range }) => /^bytes=(\d+)-(\d+)$/.exec(range ?? "")!)
    .reduce((sum, [, from, to]) => sum + Number(to) + 1 - Number(from), 0);

const commit = () => hub.commit("owner/model", { ...configs, "model.safetensors": large });
/** Answers of large files come slowly from now on. */
const slow = (bytes = 2 ** 18, ms = 100) =>
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, drip: { bytes, ms } } : undefined));

/** Waits until something is noted of a file that is under way, and tells how much. */
async function noted(call: Call): Promise<number> {
  for (let tries = 0; tries < 200; tries++) {
    const [model] = await call("list");
    if (model?.bytes > 0 && !model.complete && model.bytes > 4_000_000) return model.bytes;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("nothing was noted");
}

test("a model comes into the page's files: what was asked, what is there, listed, measured, removed", async () => {
  const { commit: sha1 } = commit();
  const { call } = await openTab();
  await context.addCookies([{ name: "secret", value: "1", url: endpoint }]);
  const folder = await call("download", "owner/model", { endpoint });
  assert.is(folder, `${CACHE}/models--owner--model/snapshots/${sha1}`);
  assert.is(await call("read", `${folder}/model.safetensors`), sha(large));
  assert.equal(await call("tree", `${CACHE}/models--owner--model`), [
    "refs/main",
    ...["config.json", "model.safetensors", "tokenizer.json"].map((name) => `snapshots/${sha1}/${name}`),
    `trees/${sha1}.json`,
  ]);
  assert.equal(
    await call("tree", CACHE).then((names: string[]) => names.filter((name) => /lock|partial|incomplete/.test(name))),
    [],
  );
  assert.is(bytesAsked(), LARGE);
  assert.is(hub.seen.filter(({ method }) => method !== "GET").length, 0, "neither HEAD nor a preflight");
  assert.not(hub.seen.some(({ headers }) => headers["cookie"] || headers["authorization"]));
  const told: { status: string; loaded: number; total: number }[] = await call("told");
  const all = told.filter(({ status }) => status === "progress_total").map(({ loaded }) => loaded);
  assert.ok(all.every((loaded, i) => i === 0 || loaded >= all[i - 1]));
  assert.is(all.at(-1), LARGE + 26 + 2 - (26 - configs["config.json"].length));
  const [model] = await call("list");
  assert.equal({ name: model.name, complete: model.complete }, { name: "owner/model", complete: true });
  const usage = await call("usage");
  assert.is(usage.bytes, model.bytes);
  assert.ok(usage.bytes >= LARGE && usage.quota > usage.bytes);
  assert.is(usage.persisted, false);
  hub.reset();
  assert.is(await call("download", "owner/model", { endpoint }), folder);
  assert.equal(
    hub.seen.map(({ path }) => path),
    ["/api/models/owner/model/revision/main"],
  );
  hub.fault(() => "cut");
  assert.is(await call("download", "owner/model", { endpoint }), folder, "without a hub what is there has to do");
  await call("remove", "owner/model");
  assert.equal(await call("list"), []);
  await refused(call("remove", "owner/model"), /InputError.*expected a model in opfs:/);
});

test("a tab that is closed in the middle: another goes on from what is there", async () => {
  commit();
  slow();
  const { page, call } = await openTab();
  const watcher = await openTab();
  call("download", "owner/model", { endpoint }).catch(() => {});
  const there = await noted(watcher.call);
  await page.close();
  hub.reset();
  const folder = await watcher.call("download", "owner/model", { endpoint });
  assert.is(await watcher.call("read", `${folder}/model.safetensors`), sha(large));
  const asked = bytesAsked();
  console.log(`# closed with ${there} bytes noted; asked for ${asked} of ${LARGE} again`);
  assert.ok(asked < LARGE && asked >= LARGE / 20, String(asked));
});

test("a reload in the middle goes on", async () => {
  commit();
  slow();
  const { page, call } = await openTab();
  call("download", "owner/model", { endpoint }).catch(() => {});
  await noted(call);
  await page.reload();
  hub.reset();
  await start(page);
  const folder = await call("download", "owner/model", { endpoint });
  assert.is(await call("read", `${folder}/model.safetensors`), sha(large));
  assert.ok(bytesAsked() < LARGE, String(bytesAsked()));
});

test("of two tabs one fetches a model, and the other waits for it, or goes on where it is closed", async () => {
  commit();
  slow(2 ** 20, 20);
  const [one, two] = [await openTab(), await openTab()];
  const folders = await Promise.all([one, two].map(({ call }) => call("download", "owner/model", { endpoint })));
  assert.is(folders[0], folders[1]);
  assert.is(bytesAsked(), LARGE);
  assert.is(await two.call("read", `${folders[0]}/model.safetensors`), sha(large));
  await one.call("remove", "owner/model");

  hub.reset();
  slow();
  one.call("download", "owner/model", { endpoint }).catch(() => {});
  await noted(two.call);
  const waiting = two.call("download", "owner/model", { endpoint });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await one.page.close();
  hub.reset();
  assert.is(await two.call("read", `${await waiting}/model.safetensors`), sha(large));
  assert.ok(bytesAsked() < LARGE, String(bytesAsked()));
});

test("connections that are cut are gone on with, and wrong bytes are refused", async () => {
  commit();
  let cuts = 0;
  hub.fault(({ host }, answer) => (host === "cdn" && cuts++ < 3 ? { ...answer, cut: 2 ** 22 } : undefined));
  const { call } = await openTab();
  const folder = await call("download", "owner/model", { endpoint });
  assert.is(await call("read", `${folder}/model.safetensors`), sha(large));
  assert.is(cuts > 3, true);
  assert.ok(bytesAsked() < LARGE + 3 * 2 ** 24);

  hub.commit("owner/wrong", { ...configs, "model.safetensors": large });
  hub.fault(({ host }, answer) => {
    if (host !== "cdn") return undefined;
    const body = Uint8Array.from(answer.body as Uint8Array);
    body[9] ^= 1;
    return { ...answer, body };
  });
  await refused(
    call("download", "owner/wrong", { endpoint }),
    /HubError: .*the bytes that came are not those of sha256 [0-9a-f]{64}.*nothing of them was kept/,
  );
  const names: string[] = await call("tree", CACHE);
  assert.not(
    names.some((name) => /wrong.*(incomplete|safetensors)/.test(name)),
    names.join("\n"),
  );
});

test("an abort ends it with the signal's reason, and what came is kept", async () => {
  commit();
  slow();
  const { call } = await openTab();
  const download = call("download", "owner/model", { endpoint });
  download.catch(() => {});
  await noted(call);
  await call("abort", "enough");
  await refused(download, /Error: enough/);
  hub.reset();
  await call("download", "owner/model", { endpoint });
  assert.ok(bytesAsked() < LARGE, String(bytesAsked()));
});

test("what the browser lets the page keep is looked at first, and said", async () => {
  commit();
  const { page, call } = await openTab();
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: server.url, quotaSize: 2e7 });
  await refused(
    call("download", "owner/model", { endpoint }),
    /WriteError: owner\/model: 0\.05 GB are to be downloaded, 0\.0[12] GB more may be kept by this page: .*models\.remove.*persist.*cache: false/,
  );
  assert.is(bytesAsked(), 0);
  assert.match(
    await call("logits", "owner/model", { endpoint, cache: false }).catch((error: Error) => error.message),
    /safetensors/,
  );
  await session.send("Storage.overrideQuotaForOrigin", { origin: server.url });
  await call("download", "owner/model", { endpoint });
});

test("the token goes to the endpoint's own host alone", async () => {
  const { repository } = commit();
  repository.private_to = "hf_secret";
  const { call } = await openTab();
  await refused(call("download", "owner/model", { endpoint }), /HubError.*private.*answered 401/);
  hub.reset();
  await call("download", "owner/model", { endpoint, token: "hf_secret" });
  const asked = hub.seen.filter(({ method }) => method === "GET");
  assert.ok(
    asked.filter(({ host }) => host === "hub").every(({ headers }) => headers["authorization"] === "Bearer hf_secret"),
  );
  assert.ok(asked.some(({ host }) => host === "cdn"));
  assert.not(asked.some(({ host, headers }) => host === "cdn" && headers["authorization"]));
});

test("a server that lets no page read it is told apart from one that is not there", async () => {
  commit();
  hub.cors = false;
  const { call } = await openTab();
  await refused(
    call("download", "owner/model", { endpoint }),
    new RegExp(`HubError: owner/model: .* cannot be reached: .*${server.url}.*CORS`),
  );
  await refused(
    call("logits", "http://127.0.0.1:9/m.gguf"),
    /HubError: .*127\.0\.0\.1:9 cannot be reached: .*the network or the server is down; or it lets no page.*CORS.*connect-src/,
  );
});

test("the same bits as in Node: by hub id, by URL, by a folder's URL, kept and not, whole and by a quarter", async () => {
  hub.commit("owner/gguf", { "m-Q4_K_M.gguf": readFileSync(gguf), "README.md": "x" });
  const { call } = await openTab();
  for (const options of [
    {},
    { cache: false },
    { memory_budget: 0.75, threads: 2 },
    { cache: false, memory_budget: 0.75 },
  ]) {
    const said = JSON.stringify(options);
    assert.is(await call("logits", "owner/gguf:Q4_K_M", { endpoint, ...options }), expected.gguf, said);
    assert.is(
      await call("logits", `${server.url}/fixture/fixtures/gguf/models/Q4_K_M.gguf`, options),
      expected.gguf,
      said,
    );
  }
  const split = `${server.url}/fixture/fixtures/gguf/forms/split/tiny-00001-of-00003.gguf`;
  assert.is(await call("logits", split), await nodeHash(fixture("fixtures/gguf/forms/split/tiny-00001-of-00003.gguf")));
  for (const cache of [true, false])
    assert.is(await call("logits", `${server.url}/fixture/fixtures/hf/base/`, { cache }), expected.base);
  const names = (await call("list")).map(({ name }: { name: string }) => name);
  assert.equal(names.sort(), [
    `${server.url}/fixture/fixtures/gguf/forms/split/tiny-00001-of-00003.gguf`,
    `${server.url}/fixture/fixtures/gguf/models/Q4_K_M.gguf`,
    `${server.url}/fixture/fixtures/hf/base/`,
    "owner/gguf",
  ]);
  const ids = (await AutoTokenizer.from_pretrained(demo)).encode("Hello world");
  assert.equal(await call("encode", `${server.url}/models/demo/`, "Hello world"), ids);
  await refused(call("logits", `${server.url}/nothing/`), /HubError.*found none of config\.json/);
});

test("picked files and folders are read in place", async () => {
  const { page, call } = await openTab();
  await page.evaluate(() => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", multiple: true });
    document.body.append(input);
  });
  const picked = async (files: string[], list: boolean, options = {}) => {
    await page.setInputFiles("input", files);
    return page.evaluate(
      ([list, options]) => {
        const { files } = document.querySelector("input")!;
        return (window as any).call("logits", list ? files : files![0], options);
      },
      [list, options] as const,
    );
  };
  assert.is(await picked([gguf], false), expected.gguf);
  assert.is(await picked([gguf], false, { memory_budget: 0.75, threads: 2 }), expected.gguf);
  const files = readdirSync(base).map((name) => join(base, name));
  assert.is(await picked(files, true), expected.base);
  await refused(picked([join(base, "config.json")], false), /CheckpointError: config\.json: expected a folder/);
  const folder = await call("download", `${server.url}/fixture/fixtures/hf/base/`);
  assert.is(await call("logitsOfHandle", folder), expected.base);
  await refused(
    call("logitsOfHandle", "opfs:/.cache"),
    /CheckpointError: \.cache: expected the files of a model, found none/,
  );
});

test("a page passes what was picked to its engine, and asks that it is kept", async () => {
  const { page } = await openTab();
  await page.evaluate(() => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", multiple: true });
    document.body.append(input);
  });
  await page.setInputFiles(
    "input",
    readdirSync(base).map((name) => join(base, name)),
  );
  // As text: tsc would write another import.
  await page.evaluate("import('/web/index.js').then((library) => void Object.assign(globalThis, { library }))");
  const found = await page.evaluate(
    async ([folder, ids]) => {
      const { library } = globalThis as unknown as { library: typeof import("../../src/web/index.ts") };
      const files = document.querySelector("input")!.files!;
      const values: number[][] = [];
      const url = new URL(folder, location.href);
      for (const source of [files, [...files], url, url.href] as const) {
        const model = await library.MixtralForCausalLM.from_pretrained(source as FileList, { threads: 1 });
        const { logits } = await model({ input_ids: ids });
        values.push(Array.from(logits.data as Float32Array));
        await model.dispose();
      }
      const error = await library.MixtralForCausalLM.from_pretrained([new File(["x"], "a.png")]).catch(
        (cause) => cause,
      );
      return {
        values,
        error: `${error instanceof library.CheckpointError} ${error.message}`,
        asked: await library.request_persistence(),
        usage: await library.models.usage(),
        list: await library.models.list(),
      };
    },
    ["/fixture/fixtures/hf/base/", [1, 5, 9, 33]] as const,
  );
  await using model = await MixtralForCausalLM.from_pretrained(base, { threads: 1 });
  const { logits } = await model({ input_ids: [1, 5, 9, 33] });
  for (const values of found.values) assert.equal(values, Array.from(logits.data as Float32Array));
  assert.match(found.error, /^true a\.png: /);
  assert.type(found.asked, "boolean");
  assert.is(found.usage.persisted, found.asked);
  assert.equal(
    found.list.map(({ name, complete }) => [name, complete]),
    [[`${server.url}/fixture/fixtures/hf/base/`, true]],
  );
});

test.run();
