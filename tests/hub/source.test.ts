// What the texts and URLs mean that are given in the place of a path.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import { parseId, parseURL, urlOf } from "../../src/hub/source.ts";
import { failure } from "../contract/disk.ts";

const hub = "https://huggingface.co";

test("ids of models, with a file or a type of one", () => {
  assert.equal(parseId("mistralai/Mixtral-8x7B-v0.1"), { id: "mistralai/Mixtral-8x7B-v0.1" });
  assert.equal(parseId("o/n:Q4_K_M"), { id: "o/n", file: "Q4_K_M" });
  assert.equal(parseId("o/n:folder/m.gguf"), { id: "o/n", file: "folder/m.gguf" });
  for (const path of [
    "n",
    "./o/n",
    "../n",
    "/o/n",
    "o/n/m",
    "o/n/",
    "models/m.gguf",
    "o\\n",
    "c:/n",
    "o/n.git",
    "o--x/n",
    "o/-n",
    "o/n.",
    "o/n:",
    "",
    "~/n",
    "a..b/n",
    `o/${"n".repeat(100)}`,
  ])
    assert.is(parseId(path), undefined, path);
});

test("URLs of the hub's pages, and of others' files and folders", () => {
  const meant = (url: string) => parseURL(new URL(url), hub);
  assert.equal(meant(`${hub}/o/n`), { id: "o/n", revision: undefined, file: undefined });
  assert.equal(meant(`${hub}/o/n/tree/v1`), { id: "o/n", revision: "v1", file: undefined });
  assert.equal(meant(`${hub}/o/n/blob/main/a/m%20x.gguf?download=true#x`), {
    id: "o/n",
    revision: "main",
    file: "a/m x.gguf",
  });
  assert.equal(meant(`${hub}/o/n/resolve/refs%2Fpr%2F1/m.gguf`), { id: "o/n", revision: "refs/pr/1", file: "m.gguf" });
  const other = (url: string) => {
    const remote = meant(url);
    assert.ok("url" in remote);
    return [remote.url.href, remote.file];
  };
  assert.equal(other("https://x.y/a/m.gguf"), ["https://x.y/a/", "m.gguf"]);
  assert.equal(other("https://x.y/a/"), ["https://x.y/a/", undefined]);
  assert.equal(other("https://x.y/a/m%20x.gguf?sig=1#f"), ["https://x.y/a/?sig=1", "m x.gguf"]);
  assert.equal(other(`${hub}/datasets/o/n`), [`${hub}/datasets/o/`, "n"]);
  assert.equal(other(`${hub}.evil.example/o/n`), ["https://huggingface.co.evil.example/o/", "n"]);
  assert.is(urlOf(new URL("https://x.y/a/?sig=1"), "b/m x.gguf").href, "https://x.y/a/b/m%20x.gguf?sig=1");
});

test("URLs that cannot be fetched", async () => {
  await failure(() => parseURL(new URL("ftp://x.y/z"), hub), InputError, /expected an https:, http: or file: URL/);
  await failure(
    () => parseURL(new URL("https://me:secret@x.y/z"), hub),
    InputError,
    /^(?!.*secret).*none with a password in it/,
  );
  await failure(() => parseURL(new URL("https://x.y/%zz"), hub), InputError, /percent signs/);
});

test.run();
