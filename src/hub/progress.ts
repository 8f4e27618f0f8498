// What a download tells of itself, as transformers.js does it: of each file, and of all of them together. What is told never
// falls, whatever has to be fetched again.
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
}

export class Progress {
  private readonly name: string;
  private readonly callback: (info: DownloadProgress) => unknown;
  private readonly told: CallerPromises;
  private readonly files = new Map<string, { loaded: number; total: number }>();

  /** @param callback - what it returns is waited for by `settled` */
  constructor(name: string, callback: ((info: DownloadProgress) => unknown) | undefined) {
    this.name = name;
    this.callback = callback ?? (() => {});
    this.told = new CallerPromises();
  }

  /** Tells of the files that will come. @param total - 0 where it is not known */
  expect(file: string, total = 0): void {
    this.files.set(file, { loaded: 0, total });
    this.tell("initiate", file);
  }

  begin(file: string): void {
    this.tell("download", file);
  }

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
    const loaded = all.reduce((sum, one) => sum + one.loaded, 0);
    const total = all.reduce((sum, one) => sum + one.total, 0);
    const progress = total > 0 ? (100 * loaded) / total : status === "done" ? 100 : 0;
    this.told.add(this.callback({ status, name: this.name, file, loaded, total, progress }));
  }
}
