// What a download tells of itself, as transformers.js does it: of each file, and of all of them together, with the rate and the
// time that remains. What is told never falls, whatever has to be fetched again.
import { CallerPromises } from "../callbacks.ts";

/** What `progress_callback` is told. `progress` is a percentage; `loaded` and `total` are bytes. */
export interface DownloadProgress {
  /** `progress_total` is of all files together. */
  status: "initiate" | "download" | "progress" | "progress_total" | "done";
  /** The model's id or URL. */
  name: string;
  /** The file's path in the repository; empty where all are meant. */
  file: string;
  loaded: number;
  total: number;
  progress: number;
  /** Of all files: bytes a second that have come in over the last ten seconds; absent in the first two. */
  rate?: number;
  /** Of all files: seconds that remain at this rate, where it is known how much is still to come. */
  remaining?: number;
}

/** Over how long a rate is taken, and how often it is looked at, in milliseconds. */
const WINDOW_MS = 10_000;
const SAMPLE_MS = 200;
/** Before that it says nothing: small files come first, and wait more than they are read. */
const FIRST_MS = 2_000;

interface FileProgress {
  loaded: number;
  total: number;
  /** Bytes that were there before: they make no rate. */
  readonly kept: number;
  readonly sized: boolean;
}

export class Progress {
  private readonly name: string;
  private readonly callback: (info: DownloadProgress) => unknown;
  private readonly now: () => number;
  private readonly told: CallerPromises;
  private readonly files = new Map<string, FileProgress>();
  /** When how many bytes had come in, the oldest first. */
  private readonly samples: (readonly [ms: number, bytes: number])[] = [];

  /**
   * @param callback - what it returns is waited for by `settled`
   * @param now - a clock, in milliseconds
   */
  constructor(
    name: string,
    callback: ((info: DownloadProgress) => unknown) | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.name = name;
    this.callback = callback ?? (() => {});
    this.now = now;
    this.told = new CallerPromises();
    this.samples.push([now(), 0]);
  }

  /**
   * Tells of the files that will come.
   * @param kept - bytes that are there already
   * @param total - absent where it is not known
   */
  expect(file: string, kept: number, total?: number): void {
    this.files.set(file, { loaded: kept, kept, total: total ?? kept, sized: total !== undefined });
    this.tell("initiate", file);
  }

  begin(file: string): void {
    this.tell("download", file);
  }

  /** Tells of the bytes that there are of a file. */
  loaded(file: string, bytes: number): void {
    const known = this.files.get(file)!;
    if (bytes <= known.loaded) return;
    known.loaded = bytes;
    known.total = Math.max(known.total, bytes);
    this.tell("progress", file);
    this.tell("progress_total", "");
  }

  done(file: string): void {
    this.loaded(file, this.files.get(file)!.total);
    this.tell("done", file);
  }

  settled(): Promise<void> {
    return this.told.settled();
  }

  private tell(status: DownloadProgress["status"], file: string): void {
    const all = status === "progress_total" ? [...this.files.values()] : [this.files.get(file)!];
    const loaded = sum(all, (one) => one.loaded);
    const total = sum(all, (one) => one.total);
    const progress = total > 0 ? (100 * loaded) / total : status === "done" ? 100 : 0;
    const speed = status === "progress_total" ? this.speed(total - loaded) : {};
    this.told.add(this.callback({ status, name: this.name, file, loaded, total, progress, ...speed }));
  }

  private speed(missing: number): { rate?: number; remaining?: number } {
    const all = [...this.files.values()];
    const [now, fresh] = [this.now(), sum(all, (one) => one.loaded - one.kept)];
    const { samples } = this;
    if (now - samples[samples.length - 1][0] >= SAMPLE_MS) samples.push([now, fresh]);
    while (samples.length > 2 && now - samples[1][0] >= WINDOW_MS) samples.shift();
    const [since, before] = samples[0];
    const rate = (1000 * (fresh - before)) / (now - since);
    if (!(now - since >= FIRST_MS && rate > 0)) return {};
    return { rate, ...(all.every((one) => one.sized) ? { remaining: missing / rate } : {}) };
  }
}

const sum = <T>(all: readonly T[], of: (one: T) => number): number => all.reduce((total, one) => total + of(one), 0);
