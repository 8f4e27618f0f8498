// tramontane generate: what goes to which stream, sampling, stop strings, interruption.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { demo } from "../fixtures.ts";
import { Command, changedDemo, rambling, shellWords, tramontane, windowless } from "./command.ts";

const { greedy } = JSON.parse(readFileSync(join(demo, "expected", "expected.json"), "utf8"));
const given = (name: string) => greedy.find((c: { name: string }) => c.name === name);
const model = ["-m", "models/demo"];
const report =
  /^prompt \d+ tokens at [\d.]+ tokens\/s; generated \d+ at [\d.]+ tokens\/s; first token after \d+ ms; greedy\n$/;

test("a prompt is gone on from, the report goes to standard error", async () => {
  const { prompt, text } = given("prompt_0");
  const { status, stdout, stderr } = await tramontane(["generate", ...model, prompt]);
  assert.is(stdout, `${prompt} ${text}\n`);
  assert.match(stderr, report);
  assert.is(status, 0);
});

test("--chat answers a message, --quiet leaves the report out", async () => {
  const { messages, text } = given("chat_2_0");
  const { status, stdout, stderr } = await tramontane(["generate", ...model, "--quiet", "--chat", messages[0].content]);
  assert.equal([status, stdout, stderr], [0, `${text}\n`, ""]);
});

test("a prompt comes from standard input, from a file, or by --prompt: all are the same", async () => {
  const { prompt, text } = given("prompt_0");
  const folder = mkdtempSync(join(tmpdir(), "tramontane-prompt-"));
  const file = join(folder, "prompt.txt");
  writeFileSync(file, `${prompt}\r\n`);
  for (const [args, input] of [
    [[], `${prompt}\n`],
    [["-"], prompt],
    [["-f", "-"], prompt],
    [["-f", file], "not this"],
    [["--prompt", prompt], "not this"],
  ] as const) {
    const { status, stdout } = await tramontane(["generate", ...model, "--quiet", ...args], input);
    assert.equal([status, stdout], [0, `${prompt} ${text}\n`], args.join(" "));
  }
  rmSync(folder, { recursive: true });
});

test("--no-display-prompt begins with what is new; nothing is shown of a prompt that cannot be answered", async () => {
  const { prompt, text } = given("prompt_0");
  const { stdout } = await tramontane(["generate", ...model, "--quiet", "--no-display-prompt", prompt]);
  assert.is(stdout.trim(), text);
  const refused = await tramontane(["generate", ...model, "--lora", "no/such/adapter", prompt]);
  assert.equal([refused.status, refused.stdout], [1, ""]);
});

test("flags come from the environment where they are not given", async () => {
  const { prompt } = given("prompt_0");
  const env = { TRAMONTANE_MODEL: "models/demo", TRAMONTANE_MAX_NEW_TOKENS: "2", TRAMONTANE_SEED: "7" };
  const first = JSON.parse((await tramontane(["generate", "--json", prompt], "", env)).stdout);
  assert.equal([first.generated_tokens, first.seed], [2, 7]);
  const second = JSON.parse((await tramontane(["generate", "--json", "-n", "3", prompt], "", env)).stdout);
  assert.is(second.generated_tokens, 3);
  const wrong = await tramontane(["generate", prompt], "", { ...env, TRAMONTANE_THREADS: "all" });
  assert.is(wrong.status, 2);
  assert.match(wrong.stderr, /value 'all' from env 'TRAMONTANE_THREADS' is invalid/);
});

test("the checkpoint's own sampling is the default; the seed is told, and repeats it", async () => {
  const settings = { do_sample: true, temperature: 1.5, eos_token_id: 2 };
  const folder = changedDemo({ "generation_config.json": JSON.stringify(settings) });
  const run = (...args: string[]) => tramontane(["generate", "-m", folder, "My favourite", "-n", "12", ...args]);
  const { stdout, stderr } = await run();
  const [, seed] = /sampled \(temperature 1\.5, top_k 50\), seed (\d+)\n$/.exec(stderr)!;
  assert.is((await run("--seed", seed)).stdout, stdout);
  const greedy = await run("--temp", "0");
  assert.match(greedy.stderr, /; greedy\n$/);
  const [a, b] = [JSON.parse((await run("--json")).stdout), JSON.parse((await run("--json")).stdout)];
  assert.is.not(a.seed, b.seed);
  rmSync(folder, { recursive: true });
});

test("--system answers as a chat, with the system prompt before the message", async () => {
  const ask = ["generate", ...model, "--json", "-n", "1"];
  const [plain, told] = [
    JSON.parse((await tramontane([...ask, "--chat", "Hello"])).stdout),
    JSON.parse((await tramontane([...ask, "-sys", "Be brief.", "Hello"])).stdout),
  ];
  const both = JSON.parse((await tramontane([...ask, "--chat", "Be brief.\n\nHello"])).stdout);
  assert.ok(plain.prompt_tokens < told.prompt_tokens);
  assert.is(told.prompt_tokens, both.prompt_tokens);
});

test("--dtype encodes the weights while they load", async () => {
  const { stdout } = await tramontane(["generate", ...model, "--json", "-n", "1", "--dtype", "q8_0", "Hi"]);
  assert.ok(JSON.parse(stdout).info.formats.Q8_0 > 0, stdout);
});

test("- reads the prompt from standard input, --json prints one object", async () => {
  const { prompt, text, input_ids, new_ids } = given("prompt_5"); // characters of several tokens
  const { status, stdout, stderr } = await tramontane(["generate", ...model, "--json", "-"], `${prompt}\n`);
  assert.equal([status, stderr], [0, ""]);
  const answer = JSON.parse(stdout);
  assert.is(answer.text.trim(), text);
  assert.is(answer.prompt_tokens, input_ids.length);
  assert.is(answer.generated_tokens, new_ids.length);
  assert.is(answer.finish_reason, "stop");
  assert.ok(answer.first_token_ms > 0);
  assert.is(answer.info.threads > 0, true);
});

test("line ends of any system are the same prompt, and the last one is no part of it", async () => {
  const answers = new Set<string>();
  for (const end of ["\n", "\r\n", "\r"])
    for (const last of ["", end]) {
      const args = ["generate", ...model, "--json", "-n", "8", "-"];
      const { status, stdout } = await tramontane(args, `My favourite${end}condiment${end}${end}is${last}`);
      const { text, prompt_tokens } = JSON.parse(stdout);
      answers.add(JSON.stringify([status, text, prompt_tokens]));
    }
  assert.is(answers.size, 1, [...answers].join("\n"));
});

test("without -n the context is the bound, and a prompt that fits is answered", async () => {
  const prompt = "My favourite condiment is";
  const folder = windowless();
  try {
    for (const context of [12, 40]) {
      const args = ["generate", "-m", folder, "--json", "--context", `${context}`, prompt, ...rambling.slice(0, -2)];
      const { status, stdout, stderr } = await tramontane(args);
      assert.is(status, 0, stderr);
      const { prompt_tokens, generated_tokens } = JSON.parse(stdout);
      assert.is(prompt_tokens + generated_tokens, context);
    }
    const full = await tramontane(["generate", "-m", folder, "--context", "4", prompt]);
    assert.is(full.status, 1);
    assert.match(full.stderr, /the context holds 4/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("--profile tells the time of operations and layers, and writes a trace", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tramontane-profile-"));
  try {
    const trace = join(folder, "trace.json");
    const args = ["generate", ...model, "-n", "3", "--threads", "2", "--profile-file", trace, "Recipe for pesto"];
    const { status, stderr } = await tramontane(args);
    assert.is(status, 0, stderr);
    for (const row of ["prefill: 1 steps", "decode: 2 steps", "experts w1, w3", "layer 0", "layer 5", "rest"])
      assert.ok(stderr.includes(row), `${row} in ${stderr}`);
    const events: { ph: string; name: string; tid: number; ts: number; dur: number }[] = JSON.parse(
      readFileSync(trace, "utf8"),
    ).traceEvents;
    assert.equal([...new Set(events.map(({ tid }) => tid))].sort(), [0, 1]);
    assert.ok(events.some(({ name }) => name === "attention"));
    for (const { ph, ts, dur } of events) assert.ok(ph === "X" && ts >= 0 && dur >= 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("--profile tells of experts that come when they are needed", async () => {
  const args = ["generate", ...model, "-n", "6", "--threads", "2", "--profile", "--memory-budget", "20%", "Pesto"];
  const { status, stderr } = await tramontane(args);
  assert.is(status, 0, stderr);
  const [, share, wanted, read, waited, now] =
    /^experts: (\d+\.\d) % of (\d+) were there when they were wanted; (\d+\.\d) MB read, for which each thread waited (\d+\.\d) s; (\d+\.\d) MB are there now$/m.exec(
      stderr,
    ) ?? [];
  assert.ok(waited, stderr);
  // Of 48 experts of 393 kB, a fifth are there; each of five tokens wants two in each of six layers.
  assert.ok(Number(share) < 100 && Number(wanted) >= 5 * 6 * 2, stderr);
  assert.ok(Number(now) > 0 && Number(now) <= 0.2 * 48 * 0.394, stderr);
  assert.ok(Number(read) > Number(now), stderr);
  const all = await tramontane(["generate", ...model, "-n", "2", "--profile", "Pesto"]);
  assert.not.match(all.stderr, /^experts: /m);
});

test("-n bounds the answer", async () => {
  const { stdout } = await tramontane(["generate", ...model, "--json", "-n", "3", "Recipe for pesto"]);
  assert.is(JSON.parse(stdout).generated_tokens, 3);
  assert.is(JSON.parse(stdout).finish_reason, "length");
});

test("--stop ends the answer behind one of some texts, and takes no prompt for one", async () => {
  const ask = ["generate", ...model, "--quiet", "--chat"];
  const question = "What is pesto made of?";
  const whole = (await tramontane([...ask, question])).stdout;
  const { stdout } = await tramontane([...ask, "--stop", "never there", "--stop", "garlic", question]);
  assert.ok(whole.includes("garlic") && whole.length > stdout.length);
  assert.is(stdout, `${whole.slice(0, whole.indexOf("garlic"))}garlic\n`);
});

test("a seed gives one text, other seeds others", async () => {
  const run = async (seed: number) =>
    (await tramontane(["generate", ...model, "--quiet", "--temperature", "1.5", "--seed", `${seed}`, "My favourite"]))
      .stdout;
  const texts: string[] = [];
  for (const seed of [1, 2, 3]) texts.push(await run(seed));
  assert.is(new Set(texts).size, 3);
  assert.is(await run(1), texts[0]);
});

test("temperature 0 is greedy, whatever else is given", async () => {
  const { prompt, text } = given("prompt_0");
  const { stdout } = await tramontane(["generate", ...model, "--quiet", "--temperature", "0", "--seed", "5", prompt]);
  assert.is(stdout, `${prompt} ${text}\n`);
});

test("Ctrl-C ends it with status 130, behind what was written", async () => {
  const command = new Command(["generate", ...model, ...rambling, "The"]);
  await command.until(() => command.stdout.length > 40, "the first words");
  command.interrupt();
  const { status, stdout, stderr } = await command.ended;
  assert.is(status, 130);
  assert.ok(stdout.endsWith("\n"));
  assert.is(stderr, "");
});

test("a reader that goes away is no failure", () => {
  const command = shellWords("generate", "-m", demo, ...rambling, "The");
  const script = `${command} | head -c 20; echo " \${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  assert.match(stdout, /^The[\s\S]{17} 0\n$/);
  assert.is(stderr, "");
});

test.run();
