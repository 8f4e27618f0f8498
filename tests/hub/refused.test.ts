// What the hub refuses, in words that say what helps; where the token goes, and where not; models under another name.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError, InputError } from "../../src/errors.ts";
import { download } from "../../src/hub/download.ts";
import { failure } from "../contract/disk.ts";
import { serve } from "./http_server.ts";
import { configs, freshCache, hub, largeBytes, temporary } from "./setup.ts";

const files = { ...configs, "model.safetensors": "weights" };
const { repository } = hub.commit("owner/private", files);
repository.private_to = "hf_right";
hub.commit("owner/gated", files).repository.gated_to = "hf_right";
hub.commit("owner/model", files);

const authorizations = () => hub.seen.map(({ host, headers }) => [host, headers["authorization"]]);

const refusals: [string, string, object, RegExp][] = [
  [
    "missing",
    "owner/none",
    {},
    /^owner\/none: no model of this name may be seen: it is misspelt, or it is private, and needs a token .*option token.*HF_TOKEN.*hf auth login/,
  ],
  ["private", "owner/private", {}, /no model of this name may be seen: it is misspelt, or it is private/],
  [
    "private to others",
    "owner/private",
    { token: "hf_wrong" },
    /may be seen with this token: it is misspelt, or private to others/,
  ],
  [
    "gated",
    "owner/gated",
    {},
    /^owner\/gated: is gated: accept its terms at http:\/\/127.*\/owner\/gated, and pass a token/,
  ],
  [
    "gated to others",
    "owner/gated",
    { token: "hf_wrong" },
    /is gated, and the account of this token has no access yet.*accept the terms at http/,
  ],
  [
    "revision",
    "owner/model",
    { revision: "v9" },
    /^owner\/model: has no revision v9: its branches and tags are listed at http.*\/tree\/main .*answered 404/,
  ],
];

for (const [name, id, options, words] of refusals)
  test(`refused: ${name}`, () => failure(() => download(id, { cache_dir: freshCache(), ...options }), HubError, words));

test("a file that is not there: what there is", async () => {
  const { CheckpointError } = await import("../../src/errors.ts");
  const cache_dir = freshCache();
  await failure(
    () => download("owner/model:lost.gguf", { cache_dir }),
    CheckpointError,
    /owner\/model: expected lost.gguf, found config.json, model.safetensors, tokenizer.json/,
  );
});

test("a token that is not valid; a server that is none", async () => {
  hub.fault(() => ({ status: 401, headers: { "x-error-message": "Invalid credentials" } }));
  await failure(
    () => download("owner/model", { cache_dir: freshCache(), token: "hf_old" }),
    HubError,
    /the token was refused: it is not valid.*Invalid credentials/,
  );
  await failure(
    () => download("owner/model", { cache_dir: freshCache(), endpoint: "http://127.0.0.1:9" }),
    HubError,
    /127\.0\.0\.1:9 cannot be reached/,
  );
});

test("what a server says cannot command a terminal", async () => {
  hub.fault(() => ({ status: 418, headers: { "x-error-message": "a\u009b2Jb" } }));
  const error = await download("owner/model", { cache_dir: freshCache() }).catch((error) => error);
  assert.instance(error, HubError);
  assert.is(error.status, 418);
  assert.not.match(error.message, /\p{Cc}/u);
});

test("the token goes to the hub, and never to the host that it redirects to", async () => {
  hub.commit("owner/private", { ...files, "model.safetensors": largeBytes() });
  await download("owner/private", { cache_dir: freshCache(), token: "hf_right" });
  const all = authorizations();
  assert.ok(all.some(([host]) => host === "cdn"));
  for (const [host, authorization] of all) assert.is(authorization, host === "hub" ? "Bearer hf_right" : undefined);
  // Nor to a hub that the hub redirects to.
  const seen: unknown[] = [];
  const other = await serve(({ headers }) => {
    seen.push(headers["authorization"]);
    return { status: 404 };
  });
  hub.fault(({ path }) => ({ status: 302, headers: { location: `${other.origin}${path}` } }));
  await failure(() => download("owner/model", { cache_dir: freshCache(), token: "hf_right" }), HubError, /no model/);
  await other.close();
  assert.equal(seen, [undefined]);
});

test("where a token comes from: the option, the environment, the file of `hf auth login`", async () => {
  const sent = async (token?: string | boolean) => {
    hub.reset();
    await download("owner/model", { cache_dir: freshCache(), token });
    const all = new Set(authorizations().map(([, authorization]) => authorization));
    assert.is(all.size, 1);
    return [...all][0];
  };
  assert.is(await sent(), undefined);
  await failure(
    () => download("owner/model", { cache_dir: freshCache(), token: true }),
    HubError,
    /token: expected one in HF_TOKEN or in .*token, found none/,
  );
  const home = join(temporary, "home");
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, "token"), "hf_file\n");
  try {
    assert.is(await sent(), "Bearer hf_file");
    process.env["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1";
    assert.is(await sent(), undefined);
    assert.is(await sent(true), "Bearer hf_file");
    delete process.env["HF_HUB_DISABLE_IMPLICIT_TOKEN"];
    process.env["HF_TOKEN"] = " hf_variable\n";
    assert.is(await sent(), "Bearer hf_variable");
    assert.is(await sent("hf_option"), "Bearer hf_option");
    assert.is(await sent(false), undefined);
    process.env["HF_TOKEN"] = "two\nlines";
    await failure(
      () => download("owner/model", { cache_dir: freshCache() }),
      InputError,
      /HF_TOKEN: expected an access token of printable/,
    );
    process.env["HF_TOKEN_PATH"] = join(temporary, "other-token");
    writeFileSync(process.env["HF_TOKEN_PATH"], "hf_other");
    delete process.env["HF_TOKEN"];
    assert.is(await sent(), "Bearer hf_other");
  } finally {
    for (const name of ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN"]) delete process.env[name];
    rmSync(join(home, "token"));
  }
});

test("a model that is called otherwise now comes all the same, and it is said", async () => {
  const old = hub.commit("owner/old", files).repository;
  hub.commit("other/new", files);
  old.renamed = "other/new";
  let text = "";
  process.on("warning", (warning) => (text += warning.message));
  const cache_dir = freshCache();
  const folder = await download("owner/old", { cache_dir });
  assert.ok(folder.startsWith(join(cache_dir, "models--owner--old")));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.match(text, /owner\/old is called "other\/new" now/);
});

test.run();
