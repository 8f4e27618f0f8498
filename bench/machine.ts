// What a figure has to be read with: the machine, the runtime and the commit.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import process from "node:process";
import { root } from "../tests/fixtures.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** Instruction sets that matter to the kernels, as Linux names them. */
  readonly features: readonly string[];
  readonly memory_bytes: number;
  readonly system: string;
  readonly runtime: string;
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  /** Runnable processes over the last minute when the bench began: a busy machine gives lower figures. */
  readonly load: number;
}

const interesting = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "f16c", "asimd", "asimddp", "i8mm"];

export function describeMachine(): Machine {
  const info = read("/proc/cpuinfo");
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1].trim().split(/\s+/));
  const cpu = os.cpus()[0]?.model ?? "unknown";
  const model = ["cpu family", "model"].map((field) => new RegExp(`^${field}\\s*: (\\d+)$`, "m").exec(info)?.[1]);
  return {
    cpu: model[0] ? `${cpu} (family ${model[0]}, model ${model[1]})` : cpu,
    cores: os.availableParallelism(),
    features: interesting.filter((name) => flags.has(name)),
    memory_bytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    runtime: `${process.release.name} ${process.version}`,
    commit: commit(),
    date: new Date().toISOString(),
    load: os.loadavg()[0],
  };
}

/** The commit that is checked out, with a star where files differ from it. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", root, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "-uno") ? "*" : "");
  } catch {
    return "unknown";
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
