// Servers that misbehave: the file is whole and right in the end, or it is said what is wrong; nothing wrong is ever left in
// the cache's places.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError, WriteError } from "../../src/errors.ts";
import { choose } from "../../src/hub/choose.ts";
import { download } from "../../src/hub/download.ts";
import { fetchSnapshot } from "../../src/hub/snapshot.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { failure } from "../contract/disk.ts";
import type { Fault, Seen } from "./fake_hub.ts";
import type { Response } from "./http_server.ts";
import { configs, freshCache, hub, LARGE, largeBytes, PATIENCE } from "./setup.ts";

const files = () => ({ ...configs, "model.safetensors": largeBytes() });
const isBytes = ({ host, method }: Seen) => host === "cdn" && method === "GET";

/** A fault of the first `times` requests for the large file's bytes. */
const first =
  (times: number, fault: (answer: Response) => Response | "cut"): Fault =>
  (seen, answer) =>
    isBytes(seen) && times-- > 0 ? fault(answer) : undefined;

/** Downloads the model anew, and checks all that there is. */
async function whole(fault: Fault, cache_dir = freshCache()): Promise<Seen[]> {
  hub.commit("owner/model", files());
  hub.fault(fault);
  const folder = await download("owner/model", { cache_dir });
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
  assert.is(readdirSync(join(folder, "..", "..", "blobs")).length, 3);
  return hub.seen.filter(isBytes);
}

const everyKind: [string, Fault, (seen: Seen[]) => unknown][] = [
  [
    "cuts in the middle",
    first(3, (answer) => ({ ...answer, cut: 2 ** 20 + 7 })),
    (seen) => {
      assert.is(seen.length, 5); // the third range is shorter
      assert.ok(
        seen.some(({ range }) => Number(/=(\d+)/.exec(range!)![1]) % 2 ** 24 > 0),
        "what came is not asked for again",
      );
    },
  ],
  ["cuts before an answer", first(3, () => "cut"), (seen) => assert.is(seen.length, 6)],
  [
    "ranges are ignored",
    (seen) => (isBytes(seen) ? { status: 200, body: largeBytes() } : undefined),
    (seen) => assert.is(seen.at(-1)?.range, undefined),
  ],
  ["ranges are ignored now and then", first(1, () => ({ status: 200, body: largeBytes() })), () => {}],
  [
    "500, 502, 503, 429, 408",
    (() => {
      const statuses = [500, 502, 503, 429, 408];
      return (seen) => (isBytes(seen) && statuses.length > 0 ? { status: statuses.pop()! } : undefined);
    })(),
    (seen) => assert.is(seen.length, 8),
  ],
  [
    "429 with Retry-After",
    first(1, () => ({ status: 429, headers: { "retry-after": "1" } })),
    (seen) => assert.is(seen.length, 4),
  ],
  [
    "an address that has expired",
    first(1, () => ({ status: 403 })),
    () => {
      const heads = hub.seen.filter(({ method, path }) => method === "HEAD" && path.endsWith("model.safetensors"));
      assert.is(heads.length, 2, "it is asked for again");
    },
  ],
  ["416 though the range is there", first(1, () => ({ status: 416 })), () => {}],
  [
    "servers that do not agree on the ETag",
    (seen, answer) => {
      if (!isBytes(seen)) return;
      return { ...answer, headers: { ...answer.headers, etag: `"${seen.range}"` } };
    },
    () => {},
  ],
  [
    "no ETag",
    (seen, answer) => {
      if (!isBytes(seen)) return;
      const { etag: _, ...headers } = answer.headers as Record<string, string>;
      return { ...answer, headers };
    },
    (seen) => assert.is(seen.length, 3),
  ],
  [
    "an answer shorter than it says",
    first(1, (answer) => ({
      ...answer,
      headers: { ...answer.headers, "content-length": "1000" },
    })),
    () => {},
  ],
];

for (const [name, fault, check] of everyKind)
  test(`whole in the end: ${name}`, async () => {
    await check(await whole(fault));
  });

/** Runs something that waits a second for a byte, not longer. */
async function hastily<T>(run: () => Promise<T>): Promise<T> {
  process.env["HF_HUB_DOWNLOAD_TIMEOUT"] = "1";
  try {
    return await run();
  } finally {
    process.env["HF_HUB_DOWNLOAD_TIMEOUT"] = PATIENCE;
  }
}

test("whole in the end: nothing more comes", async () => {
  const seen = await hastily(() => whole(first(1, (answer) => ({ ...answer, stall: 2 ** 20 }))));
  assert.ok(seen.length >= 4);
});

test("the hub's own answers may fail, too", async () => {
  const failed = new Set<string>();
  await whole(({ host, method, path }) => {
    const key = `${method} ${path}`;
    if (host !== "hub" || failed.has(key)) return undefined;
    failed.add(key);
    return failed.size % 2 ? "cut" : ({ status: 503 } as Response);
  });
  assert.ok(failed.size >= 5);
});

/** A download that must fail; of the large file nothing is in its place. */
async function refused(
  words: RegExp,
  fault: Fault,
  kind: new (...args: never[]) => HubError = HubError,
): Promise<string> {
  const cache_dir = freshCache();
  hub.reset();
  hub.commit("owner/model", files());
  hub.fault(fault);
  await failure(() => download("owner/model", { cache_dir }), kind, words);
  const blob = join(cache_dir, "models--owner--model", "blobs", hub.etag("owner/model", "model.safetensors"));
  assert.not(existsSync(blob));
  return blob;
}

test("wrong bytes are found, and nothing of them is kept", async () => {
  const blob = await refused(
    /model.safetensors: the bytes that came are not those of sha256 [0-9a-f]{64}/,
    (seen, answer) => {
      if (!isBytes(seen)) return;
      const body = Uint8Array.from(answer.body as Uint8Array);
      body[1000] ^= 1;
      return { ...answer, body };
    },
  );
  assert.not(existsSync(`${blob}.tramontane.incomplete`));
});

test("wrong bytes of a small file are found by git's hash", async () => {
  hub.commit("owner/model", files());
  hub.fault(({ method, path }, answer) =>
    method === "GET" && path.startsWith("/api/resolve-cache")
      ? { ...answer, body: "{ }", headers: { etag: '"x"' } }
      : undefined,
  );
  await failure(
    () => download("owner/model", { cache_dir: freshCache() }),
    HubError,
    /config.json: .*|tokenizer.json: .*/,
  );
});

test("more bytes than there are", async () => {
  await refused(/expected \d+ bytes from \d+ on, found more/, (seen, answer) => {
    if (!isBytes(seen)) return;
    const body = new Uint8Array((answer.body as Uint8Array).length + 1);
    return { ...answer, body, headers: { ...answer.headers, "content-length": String(body.length) } };
  });
});

test("a server that never answers rightly is given up, and what came is kept", async () => {
  const never: Fault = (seen, answer) =>
    isBytes(seen) ? (seen.range?.startsWith("bytes=0-") ? { ...answer, cut: 2 ** 20 } : "cut") : undefined;
  const words = /owner\/model: .* cannot be reached: .*try again: what has come is kept/;
  const blob = await hastily(() => refused(words, never));
  assert.ok(existsSync(`${blob}.tramontane.incomplete`));
  hub.reset();
  hub.commit("owner/model", files());
  await download("owner/model", { cache_dir: join(blob, "..", "..", "..") });
  assert.ok(existsSync(blob));
  assert.ok(
    hub.seen.filter(isBytes).every(({ range }) => !range?.startsWith("bytes=0-")),
    "the first MiB is not asked for again",
  );
});

test("servers that are in trouble are given up in the end, with their status", async () => {
  await refused(/owner\/model: the server is in trouble: try again later.*answered 503/s, () => ({ status: 503 }));
});

test("a server that asks for an hour is not waited for", async () => {
  await refused(/too many requests: try again later, or pass a token/, () => ({
    status: 429,
    headers: { "retry-after": "3600" },
  }));
  assert.is(hub.seen.length, 1);
});

test("redirects without an end, to no URL, and to what is no web server", async () => {
  const to =
    (location: string): Fault =>
    () => ({ status: 302, headers: { location } });
  await refused(/more than 10 redirects/, to("/api/models/owner/model/revision/main"));
  await refused(/redirects to "http:\/\/\[", which is no URL/, to("http://["));
  await refused(/expected an https: URL/, to("file:///etc/passwd"));
});

test("answers that are no hub's", async () => {
  await refused(/expected JSON, found something else/, () => ({ status: 200, body: "<html>" }));
  await refused(/expected the commit of main, found .*: is .* a hub\?/, () => ({ status: 200, body: "{}" }));
  await refused(/expected a list of files/, ({ path }) =>
    path.includes("/tree/") ? { status: 200, body: "{}" } : undefined,
  );
});

test("paths that lead out of the cache", async () => {
  for (const path of ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "config.json/", "a\0b", "nul."]) {
    hub.reset();
    hub.commit("owner/model", files());
    const page = JSON.stringify([{ type: "file", path, size: 1, oid: "x" }]);
    hub.fault((seen) => (seen.path.includes("/tree/") ? { status: 200, body: page } : undefined));
    await failure(
      () => download("owner/model", { cache_dir: freshCache(), files: "*" }),
      HubError,
      /expected a plain path/,
    );
  }
});

test("an ETag that could be a path names no blob", async () => {
  await refused(/expected an ETag, by which the file is kept, found "\.\.\/x"/, ({ method }, answer) =>
    method === "HEAD" ? { ...answer, headers: { ...answer.headers, "x-linked-etag": '"../x"' } } : undefined,
  );
});

/** The platform with a disk on which there is only so much room. */
async function small(room: number, free: number | undefined): Promise<Platform> {
  const platform = await currentPlatform();
  return {
    ...platform,
    free_space: async () => free,
    async patch(path) {
      const file = await platform.patch(path);
      return {
        ...file,
        async write(offset, bytes) {
          room -= bytes.length;
          if (room < 0) throw new WriteError(`${path}: cannot be written: ENOSPC: no space left on device, write`);
          await file.write(offset, bytes);
        },
      };
    },
  };
}

const fetchOn = (platform: Platform, cache_dir: string) =>
  fetchSnapshot(platform, { id: "owner/model" }, (name, listing, file) => choose(name, listing, "model", file), {
    cache_dir,
  });

test("free space is looked at before", async () => {
  hub.commit("owner/model", files());
  const words = /owner\/model: 0\.03 GB are to be downloaded, 0\.01 GB are free where .*HF_HUB_CACHE/;
  const cache_dir = freshCache();
  const platform = await small(LARGE, 10_000_000);
  await failure(() => fetchOn(platform, cache_dir), WriteError, words);
  assert.is(hub.seen.filter(isBytes).length, 0);
});

test("a disk that fills: what came is kept, and gone on with when there is room", async () => {
  hub.commit("owner/model", files());
  const cache_dir = freshCache();
  const platform = await small(LARGE / 2, undefined);
  await failure(() => fetchOn(platform, cache_dir), WriteError, /no space left/);
  hub.reset();
  const { folder } = await fetchOn(await currentPlatform(), cache_dir);
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
  const again = hub.seen.filter(isBytes).map(({ range }) => /bytes=(\d+)-(\d+)/.exec(range!)!.slice(1).map(Number));
  const bytes = again.reduce((sum, [from, to]) => sum + to + 1 - from, 0);
  assert.ok(bytes < 0.6 * LARGE, `${bytes} bytes came a second time`);
});

test.run();
