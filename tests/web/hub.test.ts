// Downloads from a hub on another site into the page's own files: whole, cut and gone on with, in two tabs, without room.
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { pattern } from "../contract/disk.ts";
import { Stage, type Tab } from "./pages.ts";

const stage = await Stage.set();
const { hub } = stage;
test.before.each(() => stage.reset());
test.after(() => stage.close());

const ID = "owner/model";
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
/** Three ranges. */
const large = pattern(2 * 2 ** 24 + 12345);
const small = { "config.json": '{"model_type":"mixtral"}', "tokenizer.json": "{}", "README.md": "# A model" };
const { commit } = hub.commit(ID, { ...small, "model.safetensors": large });
const folder = `opfs:/.cache/huggingface/hub/models--owner--model`;
const snapshot = `${folder}/snapshots/${commit}`;
const etag = hub.etag(ID, "model.safetensors");

/** Bytes of a file that the hub was asked for. */
const sent = () =>
  hub.seen
    .filter(({ method, path }) => method === "GET" && path === `/${etag}`)
    .map(({ range }) => /^bytes=(\d+)-(\d+)$/.exec(range ?? "")!)
    .reduce((sum, [, from, to]) => sum + Number(to) - Number(from) + 1, 0);

const isWhole = async (tab: Tab) =>
  assert.is(await tab.call("sha256", { source: `${snapshot}/model.safetensors` }), sha(large));

test("a model is downloaded in ranges, from where the hub leads, and is there then", async () => {
  const tab = await stage.tab();
  assert.is(await tab.call("download", { source: ID, watch: true }), snapshot);
  await isWhole(tab);
  assert.is(sent(), large.length);
  const told = await tab.call<{ status: string; progress?: number }[]>("told");
  const totals = told.filter(({ status }) => status === "progress_total").map(({ progress }) => progress!);
  assert.is(totals.at(-1), 100);
  assert.equal(
    totals,
    totals.toSorted((a, b) => a - b),
  );
  assert.equal(
    (await tab.call<[string, number][]>("tree")).map(([path]) => path.slice(path.indexOf("models--"))),
    [
      `models--owner--model/refs/main`,
      ...["config.json", "model.safetensors", "tokenizer.json"].map(
        (name) => `models--owner--model/snapshots/${commit}/${name}`,
      ),
      `models--owner--model/trees/${commit}.json`,
    ],
  );
  hub.seen.length = 0;
  assert.is(await tab.call("download", { source: ID }), snapshot);
  assert.is(sent(), 0);
  await tab.load(stage.server.url, stage.env);
  hub.fault(() => "cut");
  assert.is(await tab.call("download", { source: ID }), snapshot);
  assert.match((await tab.call<string[]>("warnings"))[0], /cannot be reached: .*; what was downloaded before is used/);
});

test("models: what there is, how much, and away with it", async () => {
  const tab = await stage.tab();
  await tab.call("download", { source: ID });
  const bytes = large.length + small["config.json"].length + small["tokenizer.json"].length;
  assert.equal(await tab.call("list"), [{ name: ID, path: snapshot, bytes, complete: true }]);
  const usage = await tab.call<{ bytes: number; quota: number; persisted: boolean }>("usage");
  assert.is(usage.bytes, bytes);
  assert.ok(usage.quota > bytes);
  assert.is(usage.persisted, false);
  assert.match(
    await tab.failure("remove", { source: "owner/modle" }),
    /expected a model in .* the nearest is "?owner\/model/,
  );
  await tab.call("remove", { source: ID });
  assert.equal(await tab.call("list"), []);
  assert.equal(await tab.call("tree"), []);
});

test("what the server cuts is gone on with, in the same call and in a later one", async () => {
  const tab = await stage.tab();
  let cuts = 0;
  hub.fault(({ path, method }, answer) =>
    path === `/${etag}` && method === "GET" && cuts++ < 2 ? { ...answer, cut: 3_000_000 } : undefined,
  );
  await tab.call("download", { source: ID });
  await isWhole(tab);
  assert.is(cuts, 5);
  // What came before a cut was not asked for again; what the browser lost of it was.
  assert.ok(sent() >= 2 * large.length - 2 * 2 ** 24 - 6_000_000 && sent() <= large.length + 2 * 2 ** 24, `${sent()}`);
});

/** Waits until so much of a download is noted that it shows when it is gone on with. */
async function untilNoted(tab: Tab): Promise<void> {
  for (let bytes = 0; bytes < 4_500_000; ) {
    bytes = (await tab.call<{ bytes: number }[]>("list"))[0]?.bytes ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a page that is loaded anew goes on from what is there", async () => {
  const tab = await stage.tab();
  let slow = true;
  hub.fault(({ path }, answer) =>
    slow && path === `/${etag}` && answer.body ? { ...answer, drip: { bytes: 2 ** 18, ms: 200 } } : undefined,
  );
  tab.call("download", { source: ID }).catch(() => {});
  await untilNoted(tab);
  await tab.load(stage.server.url, stage.env);
  slow = false;
  const [model] = await tab.call<{ complete: boolean; bytes: number }[]>("list");
  assert.is(model.complete, false);
  assert.ok(model.bytes > 4_000_000, `${model.bytes} bytes were kept`);
  hub.seen.length = 0;
  await tab.call("download", { source: ID });
  await isWhole(tab);
  assert.ok(sent() < large.length - 4_000_000, `${sent()} bytes were asked for again`);
});

test("a call that is stopped ends at once, and the next goes on", async () => {
  const tab = await stage.tab();
  hub.fault(({ path }, answer) =>
    path === `/${etag}` && answer.body ? { ...answer, drip: { bytes: 2 ** 20, ms: 100 } } : undefined,
  );
  const failure = tab.failure("download", { source: ID, watch: true, abortable: true });
  for (let at = 0; at < 8_000_000; ) {
    const told = await tab.call<{ status: string; loaded: number }[]>("told");
    at = told.findLast(({ status }) => status === "progress_total")?.loaded ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await tab.call("abort");
  assert.match(await failure, /the test stopped it/);
  hub.seen.length = 0;
  await tab.call("download", { source: ID });
  await isWhole(tab);
  assert.ok(sent() < large.length - 6_000_000);
});

test("bytes that are not the hub's are told, and not kept", async () => {
  const tab = await stage.tab();
  hub.fault(({ path }, answer) =>
    path === `/${etag}` && answer.body
      ? { ...answer, body: (answer.body as Uint8Array).map((byte, i) => (i === 100 ? byte ^ 1 : byte)) }
      : undefined,
  );
  assert.match(
    await tab.failure("download", { source: ID }),
    /HubError: .*the bytes that came are not those of sha256/,
  );
  assert.not.ok((await tab.call<[string, number][]>("tree")).some(([path]) => /incomplete|blobs/.test(path)));
});

test("two tabs download a model once", async () => {
  const context = await stage.context();
  const [one, two] = [await stage.tab(context), await stage.tab(context)];
  hub.fault(({ path }, answer) =>
    path === `/${etag}` && answer.body ? { ...answer, drip: { bytes: 2 ** 20, ms: 20 } } : undefined,
  );
  await Promise.all([one.call("download", { source: ID }), two.call("download", { source: ID })]);
  assert.is(sent(), large.length);
  await isWhole(two);
});

test("where the tab that downloads is closed, the other goes on", async () => {
  const context = await stage.context();
  const [one, two] = [await stage.tab(context), await stage.tab(context)];
  hub.fault(({ path }, answer) =>
    path === `/${etag}` && answer.body ? { ...answer, drip: { bytes: 2 ** 18, ms: 200 } } : undefined,
  );
  one.call("download", { source: ID }).catch(() => {});
  await untilNoted(two);
  const second = two.call("download", { source: ID });
  await new Promise((resolve) => setTimeout(resolve, 300));
  hub.seen.length = 0;
  await one.page.close();
  await second;
  await isWhole(two);
  assert.ok(sent() < large.length - 4_000_000, `${sent()} bytes were asked for again`);
});

test("without room for it nothing is downloaded, and what would be needed is said", async () => {
  const tab = await stage.tab();
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: stage.server.url, quotaSize: 20_000_000 });
  assert.match(
    await tab.failure("download", { source: ID }),
    /WriteError: owner\/model: 0\.03 GB are to be downloaded, 0\.02 GB are free .* remove other models .*cache: false/,
  );
  assert.is(sent(), 0);
});

test("what keeps a page from a server is said", async () => {
  const tab = await stage.tab();
  hub.reset();
  // An isolated page cannot look whether a server is there that names no page.
  const closed = await tab.failure("download", { source: ID });
  assert.match(closed, /cannot be reached: .*the server is not there, or does not let pages of .* \(CORS\)/);
  const other = await Stage.set(false);
  const refused = await (await other.tab()).failure("download", { source: ID });
  await other.close();
  assert.match(refused, /cannot be reached: .*the server is there, but does not let pages of .* \(CORS\)/);
  const gone = await tab.failure("download", { source: ID, options: { endpoint: "http://127.0.0.1:9" } });
  assert.match(gone, /127\.0\.0\.1:9 cannot be reached: .*the server is not there, or .*connect-src/);
});

test("a token goes to the hub alone", async () => {
  const tab = await stage.tab();
  hub.commit("owner/private", { ...small, "model.safetensors": large }).repository.private_to = "hf_secret";
  assert.match(await tab.failure("download", { source: "owner/private" }), /private, and needs a token/);
  hub.seen.length = 0;
  await tab.call("download", { source: "owner/private", options: { token: "hf_secret" } });
  const got = hub.seen.filter(({ method }) => method === "GET");
  assert.ok(got.some(({ host }) => host === "cdn"));
  for (const { host, headers } of got)
    assert.is(headers["authorization"], host === "hub" ? "Bearer hf_secret" : undefined);
});

test.run();
