// Exit statuses and messages: 2 for wrong usage, 1 for what failed, each with the thing and what was expected of it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { visible } from "../../src/cli/io.ts";
import { changedDemo, tramontane } from "./command.ts";

const model = ["-m", "models/demo"];

const usage: [string[], RegExp][] = [
  [["frobnicate"], /unknown command 'frobnicate'/],
  [["generate", "hello"], /no model is named, and the demo model is not installed: npm install tramontane-demo/],
  [["info"], /no model is named, and the demo model is not installed/],
  [["chat", "-m", "demo"], /demo: nothing of this name is there, .*: npm install tramontane-demo/],
  [["generate", ...model], /missing prompt: give it as an argument, by --prompt, --file, or on standard input/],
  [["generate", ...model, "hello", "--frob"], /unknown option '--frob'/],
  [["generate", ...model, "hello", "--threads", "0"], /expected a whole number above 0, found "0"/],
  [["generate", ...model, "hello", "-n", "many"], /expected a whole number above 0, found "many"/],
  [["generate", ...model, "hello", "--top-p", "1.5"], /expected a number from 0 to 1, found "1\.5"/],
  [["generate", ...model, "hello", "--temperature", "-1"], /expected a number of at least 0, found "-1"/],
  [["generate", ...model, "hello", "--kv-dtype", "q8"], /Allowed choices are f32, f16/],
  [["logits", ...model, "--ids", "1,x"], /expected token ids separated by commas, found "x"/],
  [["logits", ...model], /expected a text or --ids, found neither/],
  [["logits", ...model, "--ids", "1", "text"], /expected a text or --ids, found both/],
  [["generate", ...model, "hello", "--dtype", "q9"], /expected one of auto, .*q4_k_m.*, found "q9"/],
  [["generate", ...model, "hello", "-p", "again"], /the prompt is given twice: by argument and --prompt/],
  [["generate", ...model, "hello", "--repetition-penalty", "0"], /expected a number above 0, found "0"/],
  [["generate", ...model, "hello", "--stop", ""], /expected a text, found ""/],
  // What was meant is said, where it can be known.
  [["generate", ...model, "hello", "--tempp", "1"], /unknown option '--tempp': did you mean --temp\?/],
  [["generate", ...model, "hello", "--top_k", "1"], /unknown option '--top_k': did you mean --top-k\?/],
  [["generate", ...model, "hello", "--ctx-size=9"], /unknown option '--ctx-size=9': did you mean --context\?/],
  [
    ["generate", ...model, "hello", "--n-predict", "9"],
    /unknown option '--n-predict': did you mean --max-new-tokens\?/,
  ],
  [["generate", ...model, "hello", "--system-prompt", "9"], /did you mean --system\?/],
  [["generate", ...model, "hello", "--frobnicate"], /unknown option '--frobnicate'\n/],
  [["generate", ...model, "hello", "--sys", "x"], /unknown option '--sys': did you mean --system\?/],
  [["genrate"], /unknown command 'genrate': did you mean generate\?/],
  [["completion", "csh"], /Allowed choices are bash, zsh, fish/],
];
for (const [args, message] of usage) {
  test(`usage: tramontane ${args.join(" ")}`, async () => {
    const { status, stdout, stderr } = await tramontane(args);
    assert.is(status, 2, stderr);
    assert.is(stdout, "");
    assert.match(stderr, message);
    assert.match(stderr, /--help tells the options/);
  });
}

test("tramontane alone says what to do first", async () => {
  const { status, stdout, stderr } = await tramontane([]);
  assert.equal([status, stderr], [0, ""]);
  assert.match(stdout, /npm install tramontane-demo\n.*generate --chat .*\n.*chat\n/);
});

const folder = mkdtempSync(join(tmpdir(), "tramontane-cli-"));
writeFileSync(join(folder, "broken.gguf"), "GGUF");

const failures: [string[], RegExp][] = [
  [
    ["info", "no/such/model"],
    /^tramontane: no\/such\/model: expected a checkpoint's folder or a \.gguf file, found nothing\n$/,
  ],
  [["generate", "-m", "no/such/model", "hello"], /^tramontane: no\/such\/model: expected .*, found nothing\n$/],
  [["generate", ...model, "-f", "no/file"], /^tramontane: no\/file: expected a text file, found no such file\n$/],
  [["chat", "-m", "no/such/model"], /^tramontane: no\/such\/model: expected .*\n$/],
  [["info", join(folder, "broken.gguf")], /^tramontane: .*broken\.gguf: .*\n$/],
  [
    ["logits", ...model, "--ids", "1,99999"],
    /^tramontane: input_ids\[0\]\[1\]: expected a token id in \[0, 1536\), found 99999\n$/,
  ],
  [
    ["generate", ...model, "hello", "--chunk-size", "5000"],
    /^tramontane: chunk_size: expected an integer from 1 to 4096, found 5000\n$/,
  ],
];
for (const [args, message] of failures) {
  test(`failure: tramontane ${args.join(" ").replace(folder, "…")}`, async () => {
    const { status, stdout, stderr } = await tramontane(args);
    assert.equal([status, stdout], [1, ""]);
    assert.match(stderr, message);
  });
}

test("--help and --version", async () => {
  for (const args of [
    ["--help"],
    ["generate", "--help"],
    ["chat", "--help"],
    ["info", "--help"],
    ["logits", "--help"],
  ]) {
    const { status, stdout, stderr } = await tramontane(args);
    assert.equal([status, stderr], [0, ""]);
    assert.match(stdout, /Usage: tramontane/);
  }
  assert.match((await tramontane(["--version"])).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("what a file or a model says does not command the terminal", async () => {
  const hostile = "\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e\r\0";
  assert.is(
    visible(`a\tb\n${hostile}🦩 é`),
    "a\tb\n\\u001b]0;owned\\u0007\\u001b[2J\\u009b31m\\u202e\\u000d\\u0000🦩 é",
  );
  assert.equal(JSON.parse(visible(JSON.stringify({ text: `\u009b\u202e` }))), { text: "\u009b\u202e" });
  const folder = changedDemo({ "chat_template.jinja": `{{ raise_exception(${JSON.stringify(hostile)}) }}` });
  const { status, stderr } = await tramontane(["generate", "-m", folder, "--chat", "hello", "-n", "1"]);
  rmSync(folder, { recursive: true });
  assert.is(status, 1);
  assert.match(stderr, /owned/);
  assert.ok(!/(?!\n)[\p{Cc}\u202e]/u.test(stderr), JSON.stringify(stderr));
});

test.run();
