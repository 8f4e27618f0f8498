// tramontane convert: what it says it did, and how it ends.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fixture } from "../fixtures.ts";
import { tramontane } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
test.after(() => rmSync(folder, { recursive: true }));
const pooled = fixture("small/pooled");

test("it says what it did; --json prints one object; --quiet nothing", async () => {
  const [first, second, third] = ["first", "second", "third"].map((name) => join(folder, name));
  const said = await tramontane(["convert", pooled, first, "--kv-heads", "2"]);
  assert.equal(said, {
    status: 0,
    stdout: "",
    stderr: `6 heads of keys and values became 2, each the mean of 3\n${first}: 3 files, 23.9 kB of weights\n`,
  });
  assert.is(JSON.parse(readFileSync(join(first, "config.json"), "utf8")).num_key_value_heads, 2);
  const flags = ["--kv-heads", "3", "--max-shard-size", "10KB"];
  const json = await tramontane(["convert", pooled, second, ...flags, "--json"]);
  assert.is(json.status, 0, json.stderr);
  const { changes, files, bytes } = JSON.parse(json.stdout);
  assert.is(changes.length, 1);
  assert.equal(files, readdirSync(second).sort());
  assert.ok(bytes > 0 && files.includes("model.safetensors.index.json"));
  assert.equal(await tramontane(["convert", fixture("fixtures/hf/fused"), third, "--quiet"]), {
    status: 0,
    stdout: "",
    stderr: "",
  });
});

test("what is wrong is said, with the status of its kind", async () => {
  const out = join(folder, "never");
  const refused = async (status: number, pattern: RegExp, ...args: string[]) => {
    const found = await tramontane(["convert", ...args]);
    assert.match(found.stderr, pattern);
    assert.is(found.status, status, found.stderr);
    assert.not.ok(existsSync(out));
  };
  await refused(2, /missing required argument 'out'/, pooled);
  await refused(2, /expected a whole number above 0, found "none"/, pooled, out, "--kv-heads", "none");
  await refused(1, /num_key_value_heads: expected a divisor of 6/, pooled, out, "--kv-heads", "4");
  await refused(1, /expected something to convert/, pooled, out);
  await refused(1, /expected nothing, where a folder is to be made/, pooled, folder, "--kv-heads", "1");
});

test.run();
