// Locks between processes by way of node:fs: a file that only one can make, with who has made it. It is touched while it is
// held: one that is not, or whose process is gone, is nobody's any more. Disks over a network keep it, too, where locks of
// the system's would be ignored.
import { promises as fs } from "node:fs";
import os from "node:os";
import process from "node:process";
import { pause } from "../abort.ts";
import { WriteError } from "../errors.ts";

/** How often a held lock is touched, and after how long without it is nobody's: clocks of two machines differ by less. */
const BEAT_MS = 5_000;
const DEAD_MS = 60_000;
/** How often one who waits looks. */
const LOOK_MS = 200;

/** `lock` of a platform. */
export async function lockFile(path: string, signal?: AbortSignal): Promise<() => Promise<void>> {
  const owner = JSON.stringify({ host: hostName(), pid: process.pid, call: crypto.randomUUID() });
  signal?.throwIfAborted();
  while (!(await make(path, owner))) {
    if (!((await isDead(path)) && (await bury(path)))) await pause(LOOK_MS, signal);
  }
  const beat = setInterval(() => {
    const now = new Date();
    fs.utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  (beat as { unref?: () => void }).unref?.();
  return async () => {
    clearInterval(beat);
    if ((await fs.readFile(path, "utf8").catch(() => "")) === owner) await fs.rm(path, { force: true }).catch(() => {});
  };
}

/** @returns whether there was none */
async function make(path: string, owner: string): Promise<boolean> {
  try {
    await fs.writeFile(path, owner, { flag: "wx" });
    return true;
  } catch (cause) {
    const { code } = cause as { code?: string };
    // Windows says EPERM of a file that is just being removed.
    if (code === "EEXIST" || (code === "EPERM" && (await fs.stat(path).catch(() => null)))) return false;
    throw new WriteError(`${path}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Removes a dead lock. One alone may: a second would remove the lock that the first has made since.
 * @returns whether it was the one
 */
async function bury(path: string): Promise<boolean> {
  const grave = `${path}.dead`;
  if (!(await make(grave, ""))) {
    if (await isOld(grave)) await fs.rm(grave, { force: true });
    return false;
  }
  try {
    if (await isDead(path)) await fs.rm(path, { force: true });
    return true;
  } finally {
    await fs.rm(grave, { force: true });
  }
}

async function isOld(path: string): Promise<boolean> {
  const stat = await fs.stat(path).catch(() => undefined);
  return stat !== undefined && Date.now() - stat.mtimeMs > DEAD_MS;
}

async function isDead(path: string): Promise<boolean> {
  try {
    if (await isOld(path)) return true;
    const { host, pid } = JSON.parse(await fs.readFile(path, "utf8"));
    return host !== "" && host === hostName() && !isRunning(pid);
  } catch {
    return false; // it is gone, or being written
  }
}

/** Empty where it may not be known: Deno asks for --allow-sys. */
function hostName(): string {
  try {
    return os.hostname();
  } catch {
    return "";
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH"; // another user's, or Deno may not ask
  }
}
