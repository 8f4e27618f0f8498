// What takes a while, in figures and in words.

export interface Progress {
  readonly doing: "download" | "load";
  readonly loaded: number;
  /** 0 where it is not known. */
  readonly total: number;
  /** Bytes a second. */
  readonly rate?: number | undefined;
  /** Seconds that remain. */
  readonly remaining?: number | undefined;
}

const units = ["B", "kB", "MB", "GB", "TB"];

/** Bytes in words: `4.4 GB`. */
export function bytes(count: number): string {
  let i = 0;
  for (; count >= 1000 && i < units.length - 1; i++) count /= 1000;
  return `${count.toFixed(i > 0 && count < 100 ? 1 : 0)} ${units[i]}`;
}

/** Seconds in words: `40 s`, `3 min`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `1.2 GB of 4.4 GB · 12.0 MB/s · 4 min left` */
export function progressLine({ loaded, total, rate, remaining }: Progress): string {
  if (loaded === 0 && total === 0) return "";
  const parts = [total > 0 ? `${bytes(loaded)} of ${bytes(total)}` : bytes(loaded)];
  if (rate !== undefined) parts.push(`${bytes(rate)}/s`);
  if (remaining !== undefined) parts.push(`${duration(remaining)} left`);
  return parts.join(" · ");
}

/** The rate over the last seconds of what is loaded bit by bit. */
export class Rate {
  private readonly samples: [ms: number, bytes: number][] = [];

  /** @returns bytes a second; undefined in the first second */
  add(loaded: number, now = performance.now()): number | undefined {
    const { samples } = this;
    if (samples.length === 0 || now - samples[samples.length - 1][0] > 200) samples.push([now, loaded]);
    while (samples.length > 2 && now - samples[1][0] > 5000) samples.shift();
    const [since, before] = samples[0];
    return now - since > 1000 && loaded > before ? (1000 * (loaded - before)) / (now - since) : undefined;
  }
}
