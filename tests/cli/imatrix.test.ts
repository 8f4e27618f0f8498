// tramontane imatrix: the file is what the library makes, and quantize takes it.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM, AutoTokenizer, imatrix } from "../../src/index.ts";
import { demo } from "../fixtures.ts";
import { Command, tramontane } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
const at = (name: string) => join(folder, name);
const text = "Pesto is made of basil, pine nuts, garlic and olive oil.\n".repeat(6);
writeFileSync(at("text.txt"), text);
test.after(() => rmSync(folder, { recursive: true }));

const flags = ["imatrix", "-m", "models/demo", "-f", at("text.txt"), "--context", "16", "--threads", "2"];

test("the file is the library's; standard input is a file, too; quantize takes it", async () => {
  await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
  const tokenizer = await AutoTokenizer.from_pretrained(demo);
  const options = { context: 16, dataset: "text.txt" };
  const expected = await imatrix(model, tokenizer, text, at("library.gguf"), options);
  const { status, stdout, stderr } = await tramontane([...flags, "-o", at("made.gguf"), "--json"]);
  assert.is(status, 0, stderr);
  assert.equal(JSON.parse(stdout), { ...expected, file: at("made.gguf") });
  assert.equal(readFileSync(at("made.gguf")), readFileSync(at("library.gguf")));

  const lists = ["--chunks", "2", "--process-output", "--output-format", "dat", "--quiet", "-o", at("made.dat")];
  const piped = await tramontane([...flags.with(4, "-"), ...lists], text);
  assert.is(piped.status, 0, piped.stderr);
  assert.is(piped.stderr, "");
  assert.match(piped.stdout, /made\.dat: .*, 49 entries of 2 chunks, 32 tokens\n$/);

  const made = await tramontane([
    ...["quantize", "models/demo", at("small.gguf"), "--type", "iq3_xxs", "--imatrix", at("made.gguf"), "--json"],
  ]);
  assert.is(made.status, 0, made.stderr);
  const types = new Set(JSON.parse(made.stdout).tensors.map(({ to }: { to: string }) => to));
  assert.ok(types.has("IQ3_XXS"), [...types].join());
});

test("what is wrong is said, with the status of its kind, and leaves nothing", async () => {
  const before = readdirSync(folder);
  const refused = async (status: number, pattern: RegExp, ...args: string[]) => {
    const found = await tramontane([...flags, "-o", at("no.gguf"), ...args]);
    assert.match(found.stderr, pattern);
    assert.is(found.status, status, found.stderr);
    assert.is(found.stdout, "");
  };
  await refused(1, /expected two chunks of 200 tokens or more/, "--context", "200");
  await refused(1, /text\.txt: it is there already: give another name, or --force/, "-o", at("text.txt"));
  await refused(1, /no\/such\.gguf: cannot be written/, "-o", at("no/such.gguf"));
  await refused(2, /--output-format.*gguf, dat/s, "--output-format", "json");
  await refused(2, /expected a whole number above 0/, "--chunks", "0");
  assert.equal(readdirSync(folder), before);
});

test("interrupted, it leaves nothing", async () => {
  writeFileSync(at("long.txt"), text.repeat(200));
  const command = new Command([...flags.with(4, at("long.txt")), "-o", at("cut.gguf")]);
  await command.until(() => readdirSync(folder).some((name) => name.startsWith("cut.gguf")), "the file to be begun");
  command.interrupt();
  assert.is((await command.ended).status, 130);
  assert.equal(
    readdirSync(folder).filter((name) => name.startsWith("cut.gguf")),
    [],
  );
});

test.run();
