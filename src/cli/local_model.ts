// The model that a command was given, on this machine: downloaded first where it is on a hub or at a URL. What has come so far
// is said on standard error.
import process from "node:process";
import type { Purpose } from "../hub/choose.ts";
import { localPath } from "../hub/find.ts";
import type { DownloadProgress } from "../hub/progress.ts";
import type { SnapshotOptions } from "../hub/snapshot.ts";
import { currentPlatform } from "../platform/index.ts";
import { interruptible, say } from "./io.ts";
import { bytes, drawBar, eraseLine } from "./report.ts";

/** @returns its path */
export function localModel(
  source: string,
  quiet: boolean | undefined,
  purpose: Purpose = "model",
  options: SnapshotOptions = {},
): Promise<string> {
  return interruptible((signal) =>
    withDownloadLine(quiet, async (progress_callback) =>
      localPath(await currentPlatform(), source, purpose, { ...options, signal, progress_callback }),
    ),
  );
}

/** How often a bar is drawn, in milliseconds. */
const DRAW_MS = 100;

/** Runs a download that says what has come: on a terminal with a bar, else in one line at its beginning. */
export async function withDownloadLine<T>(
  quiet: boolean | undefined,
  run: (progress_callback: ((info: DownloadProgress) => void) | undefined) => Promise<T>,
): Promise<T> {
  if (quiet) return run(undefined);
  let [begun, drawn] = [false, 0];
  try {
    return await run(({ status, name, loaded, total, rate, remaining }) => {
      if (status !== "progress_total") return;
      if (!begun) say(`downloading ${name}: ${amount(total - loaded, total)}`);
      begun = true;
      if (!process.stderr.isTTY || performance.now() - drawn < DRAW_MS) return;
      drawn = performance.now();
      const speed = rate === undefined ? "" : `, ${bytes(rate)}/s`;
      const left = remaining === undefined ? "" : `, ${duration(remaining)} left`;
      drawBar("", loaded / total, `${bytes(loaded)} of ${bytes(total)}${speed}${left}`);
    });
  } finally {
    if (drawn > 0) eraseLine();
  }
}

/** Bytes of a total, which is left out where it is the same as they are shown. */
const amount = (some: number, total: number): string =>
  bytes(some) === bytes(total) ? bytes(total) : `${bytes(some)} of ${bytes(total)}`;

/** Seconds as people say them. `200` is 3 min 20 s. */
export function duration(seconds: number): string {
  const all = Math.ceil(seconds);
  if (all < 60) return `${all} s`;
  return all < 3600
    ? `${Math.floor(all / 60)} min ${all % 60} s`
    : `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
}
