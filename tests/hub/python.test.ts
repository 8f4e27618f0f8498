// The cache is the Python client's own: huggingface_hub uses what was downloaded here, and the other way round, each against the
// same fake hub. HUB_PYTHON names a Python that has the package; without one the tests pass over themselves.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CheckpointError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import { models } from "../../src/hub/models.ts";
import { readSettings } from "../../src/hub/settings.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../contract/disk.ts";
import { root } from "../fixtures.ts";
import { configs, freshCache, hub, largeBytes, temporary } from "./setup.ts";

const python = process.env["HUB_PYTHON"] || "python3";
const version = spawnSync(python, ["-c", "import huggingface_hub; print(huggingface_hub.__version__)"], {
  encoding: "utf8",
});
const has = version.status === 0;
console.log(has ? `# huggingface_hub ${version.stdout.trim()}` : "# passed over: no Python with huggingface_hub");

/** The answers to calls, each in turn. @param variables - of the environment, beside the tests' own */
async function client(
  calls: object[],
  variables: Record<string, string> = {},
): Promise<{ value?: any; error?: string }[]> {
  const env = { ...process.env, HF_HUB_DISABLE_TELEMETRY: "1", HF_HUB_DISABLE_PROGRESS_BARS: "1", ...variables };
  const child = spawn(python, [join(root, "tests", "hub", "client.py")], { env });
  let [out, errors] = ["", ""];
  child.stdout.on("data", (part) => (out += part));
  child.stderr.on("data", (part) => (errors += part));
  const ended = new Promise((resolve) => child.on("close", resolve));
  child.stdin.end(calls.map((call) => `${JSON.stringify(call)}\n`).join(""));
  await ended;
  const answers = out
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  assert.is(answers.length, calls.length, errors);
  return answers;
}

const id = "owner/model";
const files = () => ({ ...configs, "model.safetensors": largeBytes(), "onnx/model.onnx": "not wanted" });
const wanted = [...Object.keys(configs), "model.safetensors"];

/** A test that needs the package. */
const both = (name: string, run: () => Promise<void>) => test(name, async () => void (has && (await run())));

both("what was downloaded here, Python takes without asking for it again", async () => {
  const cache_dir = freshCache();
  const { commit } = hub.commit(id, files());
  const folder = await download(id, { cache_dir });
  await failure(() => download(id, { cache_dir, file: "lost.json" }), CheckpointError, /expected lost.json/);
  hub.reset();
  const [snapshot, file, offline, scanned, lost] = await client([
    { call: "snapshot", repo_id: id, cache_dir, allow_patterns: wanted },
    { call: "file", repo_id: id, filename: "model.safetensors", cache_dir },
    { call: "file", repo_id: id, filename: "config.json", cache_dir, local_files_only: true },
    { call: "scan", cache_dir },
    { call: "known", repo_id: id, filename: "lost.json", cache_dir },
  ]);
  assert.is(snapshot.value, folder, snapshot.error);
  assert.is(file.value, join(folder, "model.safetensors"), file.error);
  assert.is(offline.value, join(folder, "config.json"), offline.error);
  assert.is(hub.seen.filter(({ method, path }) => method === "GET" && !path.startsWith("/api/models")).length, 0);
  assert.not(
    hub.seen.some(({ path }) => path.includes("/tree/")),
    "nor for the list of files",
  );
  assert.equal(scanned.value.warnings, []);
  const [{ bytes }] = await models.list({ cache_dir });
  const [repository, ...others] = scanned.value.repos;
  assert.equal(others, []);
  assert.equal(repository, { id, bytes, revisions: { [commit]: [...wanted].sort() }, refs: { main: commit } });
  assert.is(lost.value, "known to be absent");
});

both("what Python downloaded is used here, and what lacks is added", async () => {
  const cache_dir = freshCache();
  const { commit } = hub.commit(id, files());
  const [snapshot] = await client([{ call: "snapshot", repo_id: id, cache_dir, allow_patterns: wanted }]);
  hub.reset();
  assert.is(await download(id, { cache_dir, local_files_only: true }), snapshot.value, snapshot.error);
  assert.is(await download(id, { cache_dir }), snapshot.value);
  assert.equal(
    hub.seen.map(({ path }) => path),
    [`/api/models/${id}/revision/main`],
  );
  assert.equal((await models.list({ cache_dir }))[0].complete, true);
  // File by file, as transformers does it: there is no list then.
  const other = freshCache();
  await client(Object.keys(configs).map((filename) => ({ call: "file", repo_id: id, filename, cache_dir: other })));
  hub.reset();
  const folder = await download(id, { cache_dir: other });
  assert.ok(folder.endsWith(commit));
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
  assert.not(
    hub.seen.some(({ method, path }) => method === "GET" && path.startsWith("/api/resolve-cache")),
    "the small files are there",
  );
});

both("a cache without links goes both ways, too", async () => {
  const variables = { HF_HUB_DISABLE_SYMLINKS: "1" };
  Object.assign(process.env, variables);
  try {
    hub.commit(id, files());
    const [ours, theirs] = [freshCache(), freshCache()];
    const folder = await download(id, { cache_dir: ours });
    const [snapshot, own] = await client(
      [
        { call: "snapshot", repo_id: id, cache_dir: ours, allow_patterns: wanted },
        { call: "snapshot", repo_id: id, cache_dir: theirs, allow_patterns: wanted },
      ],
      variables,
    );
    assert.is(snapshot.value, folder, snapshot.error);
    assert.is(await download(id, { cache_dir: theirs, local_files_only: true }), own.value, own.error);
  } finally {
    delete process.env["HF_HUB_DISABLE_SYMLINKS"];
  }
});

both("both at once: each is whole", async () => {
  const cache_dir = freshCache();
  hub.commit(id, files());
  hub.fault(({ host }, answer) => (host === "cdn" ? { ...answer, drip: { bytes: 2 ** 20, ms: 20 } } : undefined));
  const [folder, [snapshot]] = await Promise.all([
    download(id, { cache_dir }),
    client([{ call: "snapshot", repo_id: id, cache_dir, allow_patterns: wanted }]),
  ]);
  assert.is(snapshot.value, folder, snapshot.error);
  assert.equal(Uint8Array.from(readFileSync(join(folder, "model.safetensors"))), largeBytes());
});

both("the environment means the same to both", async () => {
  const home = join(temporary, "home");
  const environments: Record<string, string>[] = [
    {},
    { HF_HOME: join(temporary, "other") },
    { HF_HUB_CACHE: "~/x" },
    { HF_HUB_CACHE: "$HF_HOME/x" },
    { HF_TOKEN: " hf_x\n" },
    { HF_ENDPOINT: "https://mirror.example" },
    { HF_ENDPOINT: "https://mirror.example/" },
    { HF_TOKEN: "", HF_TOKEN_PATH: join(home, "none") },
  ];
  const platform = await currentPlatform();
  for (const variables of environments) {
    const before = { ...process.env };
    Object.assign(process.env, variables);
    const { cache, endpoint, token } = await readSettings(platform, {});
    for (const name of Object.keys(variables)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    const [{ value, error }] = await client([{ call: "settings" }], variables);
    assert.equal({ cache, endpoint, token: token ?? null }, value, `${JSON.stringify(variables)} ${error}`);
  }
});

test.after(() => rmSync(join(temporary, "home"), { recursive: true, force: true }));
test.run();
