// tramontane perplexity: what it prints is what the library finds; the file is taken as it stands.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AutoModelForCausalLM, AutoTokenizer, perplexity } from "../../src/index.ts";
import { demo } from "../fixtures.ts";
import { Command, tramontane } from "./command.ts";

const folder = mkdtempSync(join(tmpdir(), "tramontane-"));
const path = join(folder, "text.txt");
const text = "\ufeffPesto is made of basil,\r\npine nuts, garlic and olive oil.\n\n";
writeFileSync(path, text);
test.after(() => rmSync(folder, { recursive: true }));

test("--json prints one object; without it one line; standard input is a file, too", async () => {
  const options = { context: 16, stride: 5 };
  await using model = await AutoModelForCausalLM.from_pretrained(demo, { threads: 2 });
  const expected = await perplexity(model, await AutoTokenizer.from_pretrained(demo), text, options);
  const flags = ["perplexity", "-m", "models/demo", "--context", "16", "--stride", "5", "--threads", "2"];
  const { status, stdout, stderr } = await tramontane([...flags, "-f", path, "--json"]);
  assert.is(status, 0, stderr);
  assert.equal(JSON.parse(stdout), expected);
  assert.is(stdout.trimEnd().split("\n").length, 1);
  const piped = await tramontane([...flags, "--file", "-", "--quiet"], text);
  const [shown, nll] = [expected.perplexity, expected.nll].map((value) => value.toFixed(4));
  assert.equal(piped, {
    status: 0,
    stdout: `perplexity ${shown}, nll ${nll}, ${expected.tokens} tokens\n`,
    stderr: "",
  });
});

test("llama.cpp's way of counting", async () => {
  const flags = [
    "perplexity",
    "-m",
    "models/demo",
    "-f",
    path,
    "--context",
    "8",
    "--convention",
    "llama.cpp",
    "--json",
  ];
  const { status, stdout, stderr } = await tramontane(flags);
  assert.is(status, 0, stderr);
  const { tokens } = JSON.parse(stdout);
  assert.ok(tokens > 0 && tokens % 3 === 0, `${tokens} tokens`);
});

test("what is wrong is said, with the status of its kind", async () => {
  const refused = async (status: number, pattern: RegExp, ...args: string[]) => {
    const found = await tramontane(["perplexity", "-m", "models/demo", ...args]);
    assert.match(found.stderr, pattern);
    assert.is(found.status, status, found.stderr);
    assert.is(found.stdout, "");
  };
  await refused(2, /required option '-f, --file <path>'/);
  await refused(2, /expected a whole number above 0, found "0"/, "-f", path, "--stride", "0");
  await refused(2, /Allowed choices are huggingface, llama.cpp/, "-f", path, "--convention", "gguf");
  await refused(1, /none: expected a checkpoint.s folder/, "-f", path, "--lora", join(folder, "none"));
  await refused(1, /no such file/, "-f", join(folder, "none"));
  await refused(
    1,
    /stride: expected a whole number from 1 to 8 \(context\), found 9/,
    "-f",
    path,
    "--context",
    "8",
    "--stride",
    "9",
  );
  await refused(1, /context: expected a whole number from 2 to 2048/, "-f", path, "--context", "2049");
  const odd = join(folder, "odd.txt");
  writeFileSync(odd, Uint8Array.of(97, 0xff, 98));
  await refused(1, /odd\.txt: expected text in UTF-8/, "-f", odd);
  writeFileSync(odd, "");
  await refused(1, /text: expected at least two tokens/, "-f", odd);
});

test("Ctrl-C ends it", async () => {
  const command = new Command(["perplexity", "-m", "models/demo", "-f", "-"]);
  // More than a pipe holds: when it is gone the command runs, and reads.
  const text = "Pesto is made of basil, pine nuts, garlic and olive oil. ".repeat(4000);
  await new Promise<void>((resolve) => command.process.stdin.end(text, resolve));
  setTimeout(() => command.interrupt(), 500);
  const { status, stdout, stderr } = await command.ended;
  assert.is(status, 130, stderr);
  assert.is(stdout, "");
});

test.run();
