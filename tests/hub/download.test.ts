// Downloads where all goes well: what is asked, what is in the cache then, what is told meanwhile; and the cache without a hub.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError, InputError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import { failure } from "../contract/disk.ts";
import { configs, freshCache, hub, LARGE, largeBytes, tree } from "./setup.ts";

const asked = (method: string, path: RegExp) =>
  hub.seen.filter((seen) => seen.method === method && path.test(seen.path));

test("a model: the layout of the Python client's cache, the bytes, and what was asked", async () => {
  const cache_dir = freshCache();
  const { commit } = hub.commit("owner/model", {
    ...configs,
    "model.safetensors": largeBytes(),
    "README.md": "# Hello",
  });
  const folder = await download("owner/model", { cache_dir });
  const repository = join(cache_dir, "models--owner--model");
  assert.is(folder, join(repository, "snapshots", commit));
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
  assert.is(readFileSync(join(folder, "config.json"), "utf8"), configs["config.json"]);
  assert.is(readFileSync(join(repository, "refs", "main"), "utf8"), commit);
  const all = tree(repository).filter((path) => !path.startsWith("blobs/"));
  assert.equal(all, [
    "refs/main",
    ...["config.json", "model.safetensors", "tokenizer.json"].map((name) => {
      const etag = hub.etag("owner/model", name);
      return `snapshots/${commit}/${name} -> ../../blobs/${etag}`;
    }),
    `trees/${commit}.json`,
  ]);
  assert.is(tree(join(repository, "blobs")).length, 3, "and nothing beside");
  assert.equal(tree(join(cache_dir, ".locks")), [], "no lock is left");
  assert.is(asked("GET", /^\/[0-9a-f]{64}$/).length, 3, "three ranges");
  assert.ok(asked("GET", /^\/[0-9a-f]{64}$/).every(({ range }) => /^bytes=\d+-\d+$/.test(range ?? "")));
});

test("a second call asks for the commit alone, and gives the same; a commit that is named asks nothing", async () => {
  const cache_dir = freshCache();
  const { commit } = hub.commit("owner/model", { ...configs, "model.safetensors": "weights" });
  const first = await download("owner/model", { cache_dir });
  hub.reset();
  assert.is(await download("owner/model", { cache_dir }), first);
  assert.equal(
    hub.seen.map(({ path }) => path),
    ["/api/models/owner/model/revision/main"],
  );
  hub.reset();
  assert.is(await download("owner/model", { cache_dir, revision: commit }), first);
  assert.equal(hub.seen, []);
});

test("a new commit takes what it shares with the one before from the cache", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  const before = await download("owner/model", { cache_dir });
  const { commit } = hub.commit("owner/model", { ...configs, "config.json": "{}", "model.safetensors": largeBytes() });
  hub.reset();
  const after = await download("owner/model", { cache_dir });
  assert.is.not(after, before);
  assert.ok(after.endsWith(commit));
  assert.is(hub.seen.filter(({ host }) => host === "cdn").length, 0);
  assert.equal(Uint8Array.from(readFileSync(join(after, "model.safetensors"))), largeBytes());
  assert.is(readFileSync(join(before, "config.json"), "utf8"), configs["config.json"]);
});

test("branches, tags and commits; a branch with a slash in its name", async () => {
  const cache_dir = freshCache();
  const old = hub.commit("owner/model", { ...configs, "model.safetensors": "old" }).commit;
  const { repository, commit } = hub.commit("owner/model", { ...configs, "model.safetensors": "new" });
  repository.revisions.set("v1.0", old).set("refs/pr/1", old);
  for (const [revision, expected] of [
    ["v1.0", old],
    ["refs/pr/1", old],
    [old, old],
    ["main", commit],
  ]) {
    assert.ok((await download("owner/model", { cache_dir, revision })).endsWith(expected), revision);
    if (revision !== old)
      assert.is(readFileSync(join(cache_dir, "models--owner--model", "refs", revision), "utf8"), expected);
  }
});

test("without a hub what is in the cache is used, or it is said what lacks", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": "weights", "other.bin": "1" });
  const folder = await download("owner/model", { cache_dir });
  hub.reset();
  assert.is(await download("owner/model", { cache_dir, local_files_only: true }), folder);
  process.env["HF_HUB_OFFLINE"] = "1";
  try {
    assert.is(await download("owner/model", { cache_dir }), folder);
    await failure(
      () => download("owner/other", { cache_dir }),
      HubError,
      /owner\/other: not all of it .*HF_HUB_OFFLINE is set/,
    );
    await failure(() => download("owner/model", { cache_dir, files: "other.bin" }), HubError, /HF_HUB_OFFLINE/);
  } finally {
    delete process.env["HF_HUB_OFFLINE"];
  }
  assert.equal(hub.seen, []);
  // A hub that does not answer is as good as none, said in a warning.
  const warned = warnings();
  hub.fault(() => ({ status: 503 }));
  assert.is(await download("owner/model", { cache_dir }), folder);
  assert.is(hub.seen.length, 1, "and is not asked again and again");
  hub.fault(() => "cut");
  assert.is(await download("owner/model", { cache_dir }), folder);
  await settle();
  assert.match(
    warned(),
    /answered 503.*what was downloaded before is used.*cannot be reached.*what was downloaded before/s,
  );
});

test("files by name and by pattern; a file that is named gives its path", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": "w", "onnx/model.onnx": "o", "notes.txt": "n" });
  const folder = await download("owner/model", { cache_dir, files: ["*.txt", "onnx/*"] });
  assert.equal(
    tree(folder).map((path) => path.split(" ")[0]),
    ["notes.txt", "onnx/model.onnx"],
  );
  const file = await download("owner/model:notes.txt", { cache_dir });
  assert.is(file, join(folder, "notes.txt"));
  assert.is(await download("owner/model", { cache_dir, file: "onnx/model.onnx" }), join(folder, "onnx", "model.onnx"));
});

test("listings of several pages", async () => {
  hub.page = 2;
  try {
    hub.commit("owner/paged", { a: "1", b: "2", ...configs, "model.safetensors": "w" });
    const folder = await download("owner/paged", { cache_dir: freshCache() });
    assert.is(tree(folder).length, 3);
    assert.is(asked("GET", /\/tree\//).length, 3);
  } finally {
    hub.page = 1000;
  }
});

test("progress: each file, and all together, never falling, with a rate and the time that remains", async () => {
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, drip: { bytes: 2 ** 19, ms: 100 } } : undefined));
  const told: DownloadProgress[] = [];
  await download("owner/model", { cache_dir: freshCache(), progress_callback: (info) => told.push(info) });
  const files = ["config.json", "model.safetensors", "tokenizer.json"];
  for (const status of ["initiate", "download", "done"] as const)
    assert.equal(
      told
        .filter((info) => info.status === status)
        .map(({ file }) => file)
        .sort(),
      files,
      status,
    );
  const total = LARGE + configs["config.json"].length + configs["tokenizer.json"].length;
  const all = told.filter(({ status }) => status === "progress_total");
  assert.ok(all.every((info) => info.total === total && info.name === "owner/model" && info.file === ""));
  for (const [i, { loaded, progress }] of all.entries()) {
    assert.ok(i === 0 || loaded > all[i - 1].loaded);
    assert.is(progress, (100 * loaded) / total);
  }
  assert.is(all.at(-1)?.progress, 100);
  const late = all.filter(({ rate }) => rate !== undefined);
  assert.ok(late.length > 0);
  for (const { rate, remaining, loaded } of late) assert.ok(Math.abs(remaining! - (total - loaded) / rate!) < 1e-6);
});

test("several calls for one model fetch it once", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  const all = await Promise.all([1, 2, 3].map(() => download("owner/model", { cache_dir })));
  assert.is(new Set(all).size, 1);
  const bytes = hub.seen.filter(({ host, method }) => host === "cdn" && method === "GET").length;
  assert.is(bytes, 3, "ranges");
});

test("where links are not wanted the files themselves stand in the snapshot", async () => {
  const cache_dir = freshCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  process.env["HF_HUB_DISABLE_SYMLINKS"] = "1";
  try {
    const folder = await download("owner/model", { cache_dir });
    assert.equal(tree(folder), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert.equal(tree(join(folder, "..", "..", "blobs")), []);
    hub.reset();
    assert.is(await download("owner/model", { cache_dir }), folder);
    assert.is(hub.seen.length, 1);
  } finally {
    delete process.env["HF_HUB_DISABLE_SYMLINKS"];
  }
});

test("an abort ends it with the signal's reason", async () => {
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, stall: 1000 } : undefined));
  const controller = new AbortController();
  const reason = new Error("enough");
  const progress_callback = ({ status, file }: DownloadProgress) => {
    if (status === "download" && file === "model.safetensors") setTimeout(() => controller.abort(reason), 50);
  };
  const options = { cache_dir: freshCache(), signal: controller.signal, progress_callback };
  const error = await download("owner/model", options).catch((error) => error);
  assert.is(error, reason);
});

test("what no call can take is refused before anything is asked", async () => {
  const wrong: [unknown, object, RegExp][] = [
    ["./somewhere", {}, /expected owner\/name of a model on a hub, or an https: URL, found "\.\/somewhere"/],
    [7, {}, /expected owner\/name.* found 7/],
    ["owner/model", { revison: "x" }, /unknown option revison: did you mean revision/],
    ["owner/model", { files: [] }, /files: expected names or patterns/],
    ["owner/model", { token: "a\nb" }, /token: expected an access token of printable characters/],
    ["owner/model", { endpoint: "ftp://x" }, /endpoint: expected the https: URL of a hub/],
    ["owner/model", { local_files_only: "yes" }, /local_files_only: expected true or false/],
    ["owner/model", { progress_callback: 1 }, /progress_callback: expected a function/],
    ["owner/model", { signal: {} }, /signal: expected an AbortSignal/],
    ["ftp://x.y/z", {}, /expected/],
  ];
  for (const [source, options, words] of wrong)
    await failure(() => download(source as string, options), InputError, words);
  assert.equal(hub.seen, []);
});

/** What Node's warnings say from now on. */
function warnings(): () => string {
  let text = "";
  process.on("warning", (warning) => (text += warning.message));
  return () => text;
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

test.run();
