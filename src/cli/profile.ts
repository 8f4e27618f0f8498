// --profile, --profile-file: where the time went, by operation and by layer, and a trace for a browser's performance panel.
import { writeFile } from "node:fs/promises";
import type { Profile, ProfileRow, StepKind } from "../model/profile.ts";
import type { ExpertsInfo } from "../paging/readers.ts";
import { say } from "./io.ts";
import { bytes } from "./report.ts";

/**
 * Prints the tables on standard error, and writes the trace where a file is named.
 * @param experts - where they come when they are needed
 */
export async function reportProfile(profile: Profile, file: string | boolean, experts?: ExpertsInfo): Promise<void> {
  for (const kind of ["prefill", "decode"] as StepKind[]) {
    const { steps, rows } = profile.count(kind);
    if (steps === 0) continue;
    say(`\n${kind}: ${steps} steps, ${rows} tokens, ${profile.threads} threads (mean of the threads' times)`);
    table(profile.byPhase(kind), steps);
    table(profile.byLayer(kind), steps);
  }
  if (experts) {
    const { hits, misses, read_bytes, resident_bytes, wait_ms } = experts;
    const share = ((100 * hits) / Math.max(1, hits + misses)).toFixed(1);
    say(
      `\nexperts: ${share} % of ${hits + misses} were there when they were wanted; ${bytes(read_bytes)} read, for which each thread waited ${(wait_ms / profile.threads / 1000).toFixed(1)} s; ${bytes(resident_bytes)} are there now`,
    );
  }
  if (typeof file !== "string") return;
  await writeFile(file, JSON.stringify(profile.trace()));
  say(`trace of the first steps written to ${file}: open it in a browser's performance panel`);
}

function table(rows: readonly ProfileRow[], steps: number): void {
  const total = rows.reduce((sum, { busy_ms, waited_ms }) => sum + busy_ms + waited_ms, 0);
  const cell = (text: string) => text.padStart(10);
  say(`${"".padEnd(16)}${["ms/step", "waiting", "share", "GB/s", "G MAC/s"].map(cell).join("")}`);
  for (const { name, busy_ms, waited_ms, gb_per_s, gmac_per_s } of rows) {
    const whole = busy_ms + waited_ms;
    const figures = [
      (whole / steps).toFixed(3),
      (waited_ms / steps).toFixed(3),
      `${((100 * whole) / total).toFixed(1)} %`,
      gb_per_s ? gb_per_s.toFixed(1) : "",
      gmac_per_s ? gmac_per_s.toFixed(1) : "",
    ];
    say(`${name.padEnd(16)}${figures.map(cell).join("")}`);
  }
}
