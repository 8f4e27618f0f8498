// Files and folders at URLs, on servers that are no hubs: what tells one version from another, ranges or none, what is kept.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import { failure } from "../contract/disk.ts";
import { rangeOf } from "./fake_hub.ts";
import { type Request, type Response, serve } from "./http_server.ts";
import { freshCache, LARGE, largeBytes, tree } from "./setup.ts";

type Answer = (request: Request) => Response | undefined;
let answer: Answer = () => ({ status: 404 });
const seen: Request[] = [];
const server = await serve((request) => {
  seen.push(request);
  return answer(request);
});
test.before.each(() => void (seen.length = 0));
test.after(() => server.close());

const at = (path: string) => `${server.origin}/${path}`;
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const gets = () => seen.filter(({ method }) => method === "GET");

/** Another content of the same size. */
const other = (): Uint8Array => largeBytes().map((byte) => byte ^ 255);

async function fetched(url: string, expected: Uint8Array, cache_dir = freshCache()): Promise<string> {
  const path = await download(url, { cache_dir });
  assert.is(sha(readFileSync(path)), sha(expected));
  return path;
}

const servers: [string, Answer, number][] = [
  ["ranges and an ETag", ({ headers }) => rangeOf(largeBytes(), headers["range"], { etag: '"1"' }), 3],
  [
    "ranges and a date",
    ({ headers }) => rangeOf(largeBytes(), headers["range"], { "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" }),
    3,
  ],
  ["neither ETag nor date", ({ headers }) => rangeOf(largeBytes(), headers["range"], {}), 3],
  ["no ranges", () => ({ status: 200, headers: { etag: '"1"' }, body: largeBytes() }), 0],
  [
    "no HEAD",
    ({ method, headers }) =>
      method === "HEAD" ? { status: 405 } : rangeOf(largeBytes(), headers["range"], { etag: '"1"' }),
    4,
  ],
  [
    "an ETag of each answer's own",
    ({ headers }) => rangeOf(largeBytes(), headers["range"], { etag: `"${Math.random()}"` }),
    -1,
  ],
  [
    "compressed, though nobody asked for it",
    () => ({ status: 200, headers: { "content-encoding": "gzip" }, body: gzipSync(largeBytes(), { level: 1 }) }),
    1,
  ],
];

for (const [what, its, count] of servers)
  test(`a file: ${what}`, async () => {
    answer = its;
    if (what.startsWith("compressed"))
      return failure(
        () => download(at("m.gguf"), { cache_dir: freshCache() }),
        HubError,
        /m.gguf: comes compressed \(gzip\)/,
      );
    if (count < 0)
      return failure(
        () => download(at("m.gguf"), { cache_dir: freshCache() }),
        HubError,
        /it was changed on the server/,
      );
    assert.ok((await fetched(at("m.gguf"), largeBytes())).endsWith("m.gguf"));
    if (count > 0) assert.is(gets().length, count);
    else assert.is(gets().at(-1)?.headers["range"], undefined);
  });

test("what is no whole file is not taken for one", async () => {
  for (const status of [206, 416]) {
    answer = ({ method, headers }) =>
      method === "HEAD" || headers["range"]
        ? { status: 200, headers: { etag: '"1"' }, body: largeBytes() }
        : { status, headers: { etag: '"1"' }, body: largeBytes() };
    await failure(
      () => download(at("m.gguf"), { cache_dir: freshCache() }),
      HubError,
      new RegExp(`expected the whole file, found the answer ${status}`),
    );
  }
});

test("mirrors that do not agree on the date of one version: it is taken in one piece", async () => {
  let n = 0;
  answer = ({ method, headers }) =>
    rangeOf(largeBytes(), headers["range"], { "last-modified": method === "HEAD" ? "one" : `${n++}` });
  await fetched(at("m.gguf"), largeBytes());
  assert.is(gets().at(-1)?.headers["range"], undefined);
});

test("a file that changes in the middle is begun anew: never a part of each", async () => {
  let gone = 0;
  answer = ({ method, headers }) => {
    if (method === "GET") gone++;
    const [bytes, etag] = gone < 2 ? [largeBytes(), '"1"'] : [other(), '"2"'];
    // If-Range: the whole of the new one.
    const range = headers["if-range"] === undefined || headers["if-range"] === etag ? headers["range"] : undefined;
    return rangeOf(bytes, range, { etag });
  };
  await fetched(at("m.gguf"), other());
});

test("a new version is fetched, an old one used where the server is gone", async () => {
  const cache_dir = freshCache();
  answer = ({ headers }) => rangeOf(largeBytes(), headers["range"], { etag: '"1"' });
  const path = await fetched(at("m.gguf"), largeBytes(), cache_dir);
  seen.length = 0;
  assert.is(await fetched(at("m.gguf"), largeBytes(), cache_dir), path);
  assert.is(gets().length, 0, "a HEAD tells that it is the same");
  answer = ({ headers }) => rangeOf(other(), headers["range"], { etag: '"2"' });
  assert.is.not(await fetched(at("m.gguf"), other(), cache_dir), path);
  answer = () => ({ status: 500 });
  await fetched(at("m.gguf"), other(), cache_dir);
  assert.is(sha(readFileSync(await download(at("m.gguf"), { cache_dir, local_files_only: true }))), sha(other()));
});

test("a folder: what a model's has, with the shards that its index names; a split GGUF by any part", async () => {
  const weight_map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
  const files: Record<string, string> = {
    "config.json": "{}",
    "model.safetensors.index.json": JSON.stringify({ weight_map }),
    ...{ "model-00001-of-00002.safetensors": "1", "model-00002-of-00002.safetensors": "2", "other.txt": "3" },
    ...{ "m-00001-of-00002.gguf": "4", "m-00002-of-00002.gguf": "5" },
  };
  answer = ({ path, headers }) => {
    const content = files[path.slice("/folder/".length)];
    if (content === undefined) return { status: 404 };
    return rangeOf(new TextEncoder().encode(content), headers["range"], { etag: `"${path}"` });
  };
  const names = (folder: string) => tree(folder).map((path) => path.split(" ")[0]);
  assert.equal(names(await download(at("folder/"), { cache_dir: freshCache() })), [
    ...["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
    "model.safetensors.index.json",
  ]);
  const part = await download(at("folder/m-00002-of-00002.gguf"), { cache_dir: freshCache() });
  assert.ok(part.endsWith("m-00001-of-00002.gguf"));
  assert.equal(names(join(part, "..")), ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]);
  await failure(
    () => download(at("nothing/"), { cache_dir: freshCache() }),
    HubError,
    /nothing\/: found none of config.json/,
  );
});

test("a token goes only where it was given for, and refusals are told", async () => {
  answer = () => ({ status: 404 });
  await failure(
    () => download(at("m.gguf"), { cache_dir: freshCache() }),
    HubError,
    /m.gguf: nothing is there \(the server answered 404\)/,
  );
  assert.is(seen[0].headers["authorization"], undefined);
  answer = ({ headers }) =>
    headers["authorization"] ? rangeOf(new Uint8Array(3), headers["range"], {}) : { status: 401 };
  await failure(
    () => download(at("m.gguf"), { cache_dir: freshCache() }),
    HubError,
    /access is refused: .*needs a token/,
  );
  await download(at("m.gguf"), { cache_dir: freshCache(), token: "t" });
});

test("the size that is known from before is held to", async () => {
  answer = ({ method }) =>
    method === "HEAD"
      ? { status: 200, headers: { "content-length": String(LARGE + 1), etag: '"1"' } }
      : rangeOf(largeBytes(), "bytes=0-9", { etag: '"1"' });
  await failure(
    () => download(at("m.gguf"), { cache_dir: freshCache() }),
    HubError,
    /it was changed on the server|expected/,
  );
});

test.run();
