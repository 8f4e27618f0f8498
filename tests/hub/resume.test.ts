// Downloads that were cut short, by an abort or by the end of the process, and are gone on with: what came is not asked for
// again, and nothing is taken for what it is not.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { download } from "../../src/hub/download.ts";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import { partialNames } from "../../src/hub/transfer.ts";
import { runtime } from "../cli/command.ts";
import { configs, freshCache, hub, LARGE, largeBytes } from "./setup.ts";

const isBytes = ({ host, method }: (typeof hub.seen)[number]) => host === "cdn" && method === "GET";

/** Bytes of the large file that were asked for. */
const askedFor = (): number =>
  hub.seen.filter(isBytes).reduce((sum, { range }) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    return sum + (from === undefined ? LARGE : Number(to) + 1 - Number(from));
  }, 0);

const program = fileURLToPath(new URL("download_child.js", import.meta.url));
const exit = (child: ChildProcess) => new Promise((resolve) => child.on("close", resolve));

const commit = () => hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
const slow = () =>
  hub.fault((seen, answer) => (isBytes(seen) ? { ...answer, drip: { bytes: 2 ** 18, ms: 60 } } : undefined));
const partial = (cache_dir: string) =>
  partialNames(join(cache_dir, "models--owner--model", "blobs", hub.etag("owner/model", "model.safetensors")));

async function whole(cache_dir: string, told: DownloadProgress[] = []): Promise<void> {
  const folder = await download("owner/model", { cache_dir, progress_callback: (info) => told.push(info) });
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
  for (const path of partial(cache_dir)) assert.not(existsSync(path));
}

/** Downloads about a half, and stops. */
async function half(cache_dir: string): Promise<void> {
  commit();
  slow();
  const controller = new AbortController();
  const progress_callback = ({ status, progress }: DownloadProgress) => {
    if (status === "progress_total" && progress > 40) controller.abort();
  };
  const error = await download("owner/model", { cache_dir, signal: controller.signal, progress_callback }).catch(
    (e) => e,
  );
  assert.is(error.name, "AbortError");
  hub.reset();
}

test("after an abort only what lacks is asked for, and progress begins where it was", async () => {
  const cache_dir = freshCache();
  await half(cache_dir);
  const told: DownloadProgress[] = [];
  await whole(cache_dir, told);
  assert.ok(askedFor() < 0.65 * LARGE, `${askedFor()} of ${LARGE}`);
  assert.ok(told.find(({ status }) => status === "progress_total")!.progress > 35);
});

test("after the process was killed, what was noted is not asked for again, and its lock holds nobody", async () => {
  const cache_dir = freshCache();
  commit();
  slow();
  const child = spawn(process.execPath, [program, cache_dir]);
  const ended = exit(child);
  const [, note] = partial(cache_dir);
  while (!existsSync(note) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill("SIGKILL");
  await ended;
  const { ranges } = JSON.parse(readFileSync(note, "utf8")) as { ranges: [number, number][] };
  const noted = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
  assert.ok(noted > 0);
  hub.reset();
  await whole(cache_dir);
  assert.is(askedFor(), LARGE - noted);
});

test("of two processes one fetches a file, the other waits for it", async () => {
  const cache_dir = freshCache();
  commit();
  slow();
  const children = [1, 2].map(() => exit(spawn(process.execPath, [program, cache_dir])));
  while (!hub.seen.some(isBytes)) await new Promise((resolve) => setTimeout(resolve, 20));
  const told: DownloadProgress[] = [];
  await whole(cache_dir, told);
  assert.equal(await Promise.all(children), [0, 0]);
  assert.is(askedFor(), LARGE);
  const own = told.filter(({ status, file }) => status === "progress" && file === "model.safetensors");
  assert.ok(
    own.some(({ loaded }) => loaded > 0 && loaded < LARGE),
    "who waits tells what the other has",
  );
});

test("a file that the system lets grow no longer is an error, and nothing wrong is left", async () => {
  if (process.platform !== "linux" || "Deno" in globalThis) return; // Deno is ended by the signal
  const cache_dir = freshCache();
  commit();
  const limited = spawn("bash", [
    "-c",
    'trap "" XFSZ; ulimit -f 20000; exec "$0" "$@"',
    ...runtime,
    program,
    cache_dir,
  ]);
  let errors = "";
  limited.stderr.on("data", (part) => (errors += part));
  assert.is.not(await exit(limited), 0);
  assert.match(errors, /cannot be written/);
  for (const path of partial(cache_dir)) assert.not(existsSync(path));
  await whole(cache_dir);
});

test("bytes that were changed meanwhile are found by the hash, and it is begun anew", async () => {
  const cache_dir = freshCache();
  await half(cache_dir);
  const [path] = partial(cache_dir);
  const bytes = readFileSync(path);
  bytes[5] ^= 1;
  writeFileSync(path, bytes);
  await whole(cache_dir);
  assert.ok(askedFor() > LARGE);
});

for (const [what, damage] of [
  ["a note that is none", ([, note]) => writeFileSync(note, "{")],
  ["a note of more than there is", ([, note]) => writeFileSync(note, JSON.stringify({ ranges: [[0, 2 * LARGE]] }))],
  ["a file that was cut", ([file]) => truncateSync(file, 1000)],
] as [string, (paths: [string, string]) => void][])
  test(`begun anew: ${what}`, async () => {
    const cache_dir = freshCache();
    await half(cache_dir);
    damage(partial(cache_dir));
    await whole(cache_dir);
    assert.is(askedFor(), LARGE);
  });

test("a blob that was cut is fetched anew", async () => {
  const cache_dir = freshCache();
  commit();
  await whole(cache_dir);
  truncateSync(join(cache_dir, "models--owner--model", "blobs", hub.etag("owner/model", "model.safetensors")), 1000);
  hub.reset();
  await whole(cache_dir);
  assert.is(askedFor(), LARGE);
});

test.run();
