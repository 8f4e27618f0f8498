// Where caches, tokens and hubs are looked for: by the Python client's variables. Against what that client itself says, see
// python.test.ts.
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import { env, readSettings } from "../../src/hub/settings.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { failure } from "../contract/disk.ts";

const platform = await currentPlatform();
const names = ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"];
names.push(
  "TRANSFORMERS_OFFLINE",
  "HF_HUB_DISABLE_SYMLINKS",
  "HF_HUB_ETAG_TIMEOUT",
  "HF_HUB_DOWNLOAD_TIMEOUT",
  "HF_TOKEN",
);

/** What is set where these variables are, and no others. */
async function settings(variables: Record<string, string>, options = {}) {
  for (const name of names) delete process.env[name];
  Object.assign(process.env, variables);
  return readSettings(platform, { token: false, ...options });
}

test("the cache", async () => {
  const cache = async (variables: Record<string, string>, options = {}) => (await settings(variables, options)).cache;
  assert.is(await cache({}), join(homedir(), ".cache", "huggingface", "hub"));
  assert.is(await cache({ XDG_CACHE_HOME: "/x" }), join("/x", "huggingface", "hub"));
  assert.is(await cache({ HF_HOME: "/h", XDG_CACHE_HOME: "/x" }), join("/h", "hub"));
  assert.is(await cache({ HF_HUB_CACHE: "~/c", HF_HOME: "/h" }), `${homedir()}/c`);
  assert.is(await cache({ HF_HUB_CACHE: "$XDG_CACHE_HOME/c", XDG_CACHE_HOME: "/x" }), "/x/c");
  assert.is(await cache({ HF_HUB_CACHE: "/c" }, { cache_dir: "/own" }), "/own");
  env.cacheDir = "/env";
  assert.is(await cache({ HF_HUB_CACHE: "/c" }), "/env");
  delete env.cacheDir;
});

test("the hub, and whether it may be asked", async () => {
  assert.is((await settings({})).endpoint, "https://huggingface.co");
  assert.is((await settings({ HF_ENDPOINT: "https://mirror.example/hub/" })).endpoint, "https://mirror.example/hub");
  assert.is((await settings({ HF_ENDPOINT: "https://x.y" }, { endpoint: "http://a.b" })).endpoint, "http://a.b");
  await failure(
    () => settings({ HF_ENDPOINT: "mirror" }),
    InputError,
    /^HF_ENDPOINT: expected the https: URL of a hub, found "mirror"/,
  );
  assert.is((await settings({})).offline, undefined);
  assert.is((await settings({ HF_HUB_OFFLINE: "0" })).offline, undefined);
  for (const yes of ["1", "ON", "yes", "True"])
    assert.is((await settings({ HF_HUB_OFFLINE: yes })).offline, "HF_HUB_OFFLINE is set");
  assert.is((await settings({ TRANSFORMERS_OFFLINE: "1" })).offline, "TRANSFORMERS_OFFLINE is set");
  assert.is((await settings({}, { local_files_only: true })).offline, "local_files_only is set");
  env.allowRemoteModels = false;
  assert.is((await settings({})).offline, "env.allowRemoteModels is false");
  env.allowRemoteModels = true;
});

test("how long is waited", async () => {
  const { answer_ms, stall_ms } = await settings({});
  assert.equal([answer_ms, stall_ms], [10_000, 10_000]);
  assert.is((await settings({ HF_HUB_ETAG_TIMEOUT: "30" })).answer_ms, 30_000);
  assert.is((await settings({ HF_HUB_DOWNLOAD_TIMEOUT: "x" })).stall_ms, 10_000);
});

test.run();
