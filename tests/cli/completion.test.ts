// tramontane completion: the scripts, run by the shells themselves where they are installed.
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { tramontane } from "./command.ts";

const script = async (shell: string) => (await tramontane(["completion", shell])).stdout;
const has = (shell: string) => spawnSync(shell, ["-c", "exit 0"]).status === 0;

/** What bash completes a line to. */
function bash(source: string, words: readonly string[]): string[] {
  const run = `${source}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_tramontane; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", run], { encoding: "utf8" });
  assert.is(stderr, "");
  return stdout.split("\n").filter(Boolean);
}

test("bash: commands, flags, values of flags, files", async () => {
  if (!has("bash")) return;
  const source = await script("bash");
  assert.equal(bash(source, ["tramontane", "ch"]), ["chat"]);
  assert.equal(bash(source, ["tramontane", "generate", "--te"]), ["--temp", "--temperature"]);
  assert.equal(bash(source, ["tramontane", "generate", "--kv-dtype", "q"]), ["q8_0"]);
  assert.equal(bash(source, ["tramontane", "chat", "-m", "x"]), []);
  assert.ok(!bash(source, ["tramontane", "info", "--"]).includes("--temp"));
});

test("fish: the same", async () => {
  if (!has("fish")) return;
  const run = (line: string, source: string) => {
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", `${source}\ncomplete -C '${line}'`], {
      encoding: "utf8",
    });
    assert.is(stderr, "");
    return stdout.split("\n").map((found) => found.split("\t")[0]);
  };
  const source = await script("fish");
  assert.equal(run("tramontane ch", source).filter(Boolean), ["chat"]);
  assert.equal(run("tramontane generate --te", source).filter(Boolean), ["--temp", "--temperature"]);
  assert.ok(run("tramontane generate --kv-dtype ", source).includes("q8_0"));
});

test("zsh: the script is one, and knows every command", async () => {
  if (!has("zsh")) return;
  const source = await script("zsh");
  const run = `autoload -Uz compinit; compinit -D -u\n${source}\nprint -- $_comps[tramontane]`;
  const { stdout, stderr } = spawnSync("zsh", ["-f", "-c", run], { encoding: "utf8" });
  assert.equal([stdout, stderr], ["_tramontane\n", ""]);
  for (const command of ["generate", "chat", "tokenize", "quantize", "completion"])
    assert.match(source, new RegExp(`^    ${command}\\) _arguments`, "m"));
});

test.run();
