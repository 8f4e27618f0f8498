// tramontane download and models, and other commands with a model of a hub.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { duration } from "../../src/cli/local_model.ts";
import { demo, root } from "../fixtures.ts";
import { configs, freshCache, hub, LARGE, largeBytes, tree } from "../hub/setup.ts";
import { Command, shellWords, tramontane } from "./command.ts";

const demoFiles = Object.fromEntries(
  readdirSync(demo, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => [name, readFileSync(join(demo, name))]),
);

/** A cache of the test's own, by the environment. */
function ownCache(): string {
  process.env["HF_HUB_CACHE"] = freshCache();
  return process.env["HF_HUB_CACHE"];
}

test("download prints the path alone; what it does goes to standard error", async () => {
  const cache = ownCache();
  const { commit } = hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes(), "notes.txt": "n" });
  const folder = join(cache, "models--owner--model", "snapshots", commit);
  assert.equal(await tramontane(["download", "owner/model"]), {
    status: 0,
    stdout: `${folder}\n`,
    stderr: "downloading owner/model: 33.6 MB\n",
  });
  assert.equal(await tramontane(["download", "owner/model"]), { status: 0, stdout: `${folder}\n`, stderr: "" });
  const other = freshCache();
  const some = await tramontane([
    "download",
    "owner/model",
    "--include",
    "*.txt",
    "--include",
    "config.json",
    "--cache-dir",
    other,
    "--quiet",
  ]);
  assert.is(some.stderr, "");
  assert.equal(
    tree(some.stdout.trim()).map((path) => path.split(" ")[0]),
    ["config.json", "notes.txt"],
  );
  const named = await tramontane([
    "download",
    "owner/model:notes.txt",
    "--revision",
    "main",
    "--token",
    "hf_x",
    "--quiet",
  ]);
  assert.is(named.stdout, `${join(folder, "notes.txt")}\n`);
  assert.is(hub.seen.at(-1)?.headers["authorization"], "Bearer hf_x");
});

test("what cannot be had is one line, and status 1; wrong usage is 2", async () => {
  ownCache();
  const none = await tramontane(["download", "owner/none"]);
  assert.is(none.status, 1);
  assert.match(none.stderr, /^tramontane: owner\/none: no model of this name may be seen.*\n$/);
  assert.is((await tramontane(["download", "./here"])).status, 1);
  assert.is((await tramontane(["download"])).status, 2);
});

test("Ctrl-C ends it with 130, and the next run goes on", async () => {
  const cache = ownCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, drip: { bytes: 2 ** 18, ms: 100 } } : undefined));
  const command = new Command(["download", "owner/model"]);
  await command.until(() => hub.seen.some(({ host }) => host === "cdn"), "the first range");
  const blobs = join(cache, "models--owner--model", "blobs");
  await command.until(() => tree(blobs).some((name) => name.endsWith(".json")), "a note of what has come");
  command.interrupt();
  assert.is((await command.ended).status, 130);
  hub.reset();
  const { status, stderr } = await tramontane(["download", "owner/model"]);
  assert.is(status, 0);
  assert.match(stderr, /^downloading owner\/model: [\d.]+ MB of 33.6 MB\n$/);
});

test("models lists them, with their sizes, and removes one", async () => {
  ownCache();
  assert.equal(await tramontane(["models", "--json"]).then(({ stdout }) => JSON.parse(stdout).models), []);
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  const path = (await tramontane(["download", "owner/model", "--quiet"])).stdout.trim();
  const { stdout, stderr } = await tramontane(["models"]);
  assert.is(stdout, `owner/model  33.6 MB  ${path}\n`);
  assert.match(stderr, /^1 models, 33.6 MB/);
  const json = JSON.parse((await tramontane(["models", "--json"])).stdout);
  const bytes = LARGE + configs["config.json"].length + configs["tokenizer.json"].length;
  assert.equal(json.models, [{ name: "owner/model", path, bytes, complete: true }]);
  assert.is(json.usage.bytes, bytes);
  assert.equal(await tramontane(["models", "--remove", "owner/model"]), {
    status: 0,
    stdout: "",
    stderr: "owner/model was removed\n",
  });
  assert.is((await tramontane(["models"])).stdout, "");
  assert.is((await tramontane(["models", "--remove", "owner/model"])).status, 1);
});

test("commands take a model of a hub, and ask for its commit once", async () => {
  ownCache();
  hub.commit("owner/demo", demoFiles);
  const info = await tramontane(["info", "owner/demo"]);
  assert.is(info.status, 1);
  assert.match(info.stderr, /not all of it is in .*`tramontane download` fetches it/);
  const args = ["generate", "-m", "owner/demo", "My favourite condiment is", "-n", "4", "--threads", "1", "--quiet"];
  const answer = await tramontane(args);
  const local = await tramontane(args.map((word) => (word === "owner/demo" ? "models/demo" : word)));
  assert.equal(answer, local);
  assert.is(answer.status, 0);
  hub.reset();
  await tramontane(args);
  assert.is(hub.seen.length, 1);
  assert.match((await tramontane(["info", "owner/demo"])).stdout, /: Mixtral, safetensors, 1 file/);
  hub.fault(() => ({ status: 503 }));
  const offline = await tramontane(args);
  assert.is(offline.stdout, answer.stdout);
  assert.match(offline.stderr, /^owner\/demo: the server is in trouble.*what was downloaded before is used\n$/);
});

test("in a terminal a bar tells what has come, how fast, and what remains", async () => {
  if (!/util-linux/.test(spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "")) return;
  ownCache();
  hub.commit("owner/model", { ...configs, "model.safetensors": largeBytes() });
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, drip: { bytes: 2 ** 19, ms: 100 } } : undefined));
  const command = ["--command", shellWords("download", "owner/model")];
  const child = spawn("script", ["--quiet", "--flush", "--return", ...command, "/dev/null"], { cwd: root });
  let shown = "";
  child.stdout.on("data", (part) => (shown += part));
  assert.is(await new Promise((resolve) => child.on("close", resolve)), 0);
  assert.match(shown, /█+░* [\d.]+ MB of 33\.6 MB, [\d.]+ MB\/s, \d+ s left/);
});

test("times are said as people say them", () => {
  const said = [0, 0.4, 59, 61, 3599, 3600, 7384].map(duration);
  assert.equal(said, ["0 s", "1 s", "59 s", "1 min 1 s", "59 min 59 s", "1 h 0 min", "2 h 3 min"]);
});

test.run();
