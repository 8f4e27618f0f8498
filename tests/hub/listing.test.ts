// Listings, ETags and paths as servers give them: what is not as it must be is refused, whatever it is.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HubError } from "../../src/errors.ts";
import { addPage, blobName, isCommit, isPlainPath, readTree, type TreeEntry, treeText } from "../../src/hub/listing.ts";
import { failure } from "../contract/disk.ts";

const sha = "0".repeat(64);

test("a page of the hub's becomes the Python client's tree, and is read again", () => {
  const listing = new Map<string, TreeEntry>();
  const page = [
    { type: "directory", path: "original", oid: "d" },
    {
      type: "file",
      path: "b.bin",
      size: 134,
      oid: "p",
      lfs: { oid: sha, size: 5_000_000_000, pointerSize: 134 },
      xetHash: "x",
    },
    { type: "file", path: "a.json", size: 3, oid: "a" },
  ];
  addPage(listing, page, "here");
  assert.equal(JSON.parse(treeText(listing)), {
    format_version: 1,
    files: {
      "a.json": { size: 3, blob_id: "a" },
      "b.bin": { size: 134, blob_id: "p", lfs_sha256: sha, lfs_size: 5_000_000_000, xet_hash: "x" },
    },
  });
  assert.equal(readTree(treeText(listing)), new Map([...listing].sort()));
});

test("pages that are none", async () => {
  const file = { type: "file", path: "a", size: 1, oid: "x" };
  const wrong = [null, {}, "x", 7, [{ ...file, size: -1 }], [{ ...file, size: 1.5 }], [{ ...file, size: "1" }]];
  wrong.push(
    [{ ...file, oid: 1 }],
    [{ ...file, path: 1 }],
    [{ ...file, lfs: { oid: "x", size: 1 } }],
    [{ ...file, lfs: { oid: sha } }],
  );
  for (const page of wrong) await failure(() => addPage(new Map(), page, "here"), HubError, /here: expected/);
  addPage(new Map(), [null, 7, {}, { type: "symlink" }], "what is no file is passed over");
  const many = Array.from({ length: 100_001 }, (_, i) => ({ ...file, path: String(i) }));
  await failure(() => addPage(new Map(), many, "here"), HubError, /at most 100000 files/);
});

test("trees that are none, or of another version", () => {
  for (const text of [
    undefined,
    "",
    "null",
    "7",
    "[]",
    "{}",
    '{"format_version":2,"files":{}}',
    '{"format_version":1}',
  ])
    assert.is(readTree(text), undefined, String(text));
  assert.is(readTree('{"format_version":1,"files":{"a":{"size":1}}}'), undefined);
  assert.is(readTree('{"format_version":1,"files":{"a":null}}'), undefined);
  assert.equal(
    readTree('{"format_version":1,"files":{"__proto__":{"size":1,"blob_id":"x"}}}')?.get("__proto__")?.size,
    1,
  );
});

test("ETags that name a blob, and others", async () => {
  for (const [etag, name] of [
    [`"${sha}"`, sha],
    ['W/"abc"', "abc"],
    ["abc-7.x_", "abc-7.x_"],
  ])
    assert.is(blobName(etag, "here"), name);
  for (const etag of [null, undefined, "", '""', "a/b", "..", ".x", "a b", "a\\b", "a:b", "x".repeat(201)])
    await failure(() => blobName(etag, "here"), HubError, /here: expected an ETag/);
});

test("paths that lead below a folder on every system, and others", () => {
  for (const path of ["a", "a/b.c", ".gitattributes", "a b/ü", "..a", "refs/pr/1"]) assert.ok(isPlainPath(path), path);
  for (const path of [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a\\b",
    "c:",
    "c:/a",
    "a*",
    "a?",
    "a\0",
    "a\n",
    "a.",
    "a ",
    "a|b",
    '"',
    "x".repeat(201),
    "a/".repeat(600),
  ])
    assert.not(isPlainPath(path), JSON.stringify(path));
  assert.ok(isCommit("0123456789abcdef0123456789abcdef01234567"));
  for (const revision of ["main", "0123", "0123456789ABCDEF0123456789ABCDEF01234567"]) assert.not(isCommit(revision));
});

test.run();
