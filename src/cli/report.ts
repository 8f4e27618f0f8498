// What commands say on standard error: a progress bar while loading, one line at the end.
import process from "node:process";
import type { PromptProgress } from "../generation/prompt_progress.ts";
import { BaseStreamer } from "../generation/streamers.ts";
import type { ProgressInfo } from "../model/options.ts";
import { visible } from "./io.ts";

const WIDTH = 30;

/** A progress bar for `progress_callback`: only on a terminal, and only for loads that take a while. */
export const progressBar = (quiet: boolean | undefined, what = "loading"): ((info: ProgressInfo) => void) | undefined =>
  progressLine(quiet, () => what, "ready");

/** The same for whatever tells `loaded` of `total` bytes. @param ended - the status that comes last */
export function progressLine<T extends { status: string; loaded: number; total: number }>(
  quiet: boolean | undefined,
  what: (info: T) => string,
  ended = "done",
): ((info: T) => void) | undefined {
  if (quiet || !process.stderr.isTTY) return undefined;
  const start = performance.now();
  let shown = false;
  return (info) => {
    const { status, loaded, total } = info;
    if (status === "progress" && performance.now() - start > 300) {
      drawBar(visible(what(info)), loaded / total, `${bytes(loaded)} of ${bytes(total)}`);
      shown = true;
    } else if (status === ended && shown) eraseLine();
  };
}

/** How much of a prompt is read, on a terminal, where that takes a while. */
export class ReadingLine {
  private readonly start = performance.now();
  private readonly hidden: boolean;
  private shown = false;

  constructor(quiet: boolean | undefined) {
    this.hidden = quiet || !process.stderr.isTTY;
  }

  /** The `progress_callback` of `generate`. */
  readonly tell = ({ loaded, total }: PromptProgress): void => {
    if (this.hidden || (!this.shown && performance.now() - this.start < 500)) return;
    if (loaded < total) drawBar("reading the prompt", loaded / total, `${loaded} of ${total} tokens`);
    else eraseLine();
    this.shown = loaded < total;
  };

  end(): void {
    if (this.shown) eraseLine();
    this.shown = false;
  }
}

/** Draws a bar over the line that the cursor is in. @param share - 0 to 1 */
export function drawBar(doing: string, share: number, figures: string): void {
  const filled = Math.round(WIDTH * share);
  process.stderr.write(`\r${doing} ${"█".repeat(filled)}${"░".repeat(WIDTH - filled)} ${figures}\x1b[K`);
}

export const eraseLine = (): void => void process.stderr.write("\r\x1b[K");

export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${n.toFixed(i && n < 100 ? 1 : 0)} ${units[i]}`;
}

/** Times a generation from the outside: a streamer that counts. */
export class Stopwatch extends BaseStreamer {
  generated = 0;
  private readonly start = performance.now();
  private first = 0;
  private last = 0;
  private prompt = true;
  private promptTokens = 0;

  put(value: readonly ArrayLike<number>[]): void {
    if (this.prompt) {
      this.prompt = false;
      this.promptTokens = value[0].length;
      return;
    }
    this.last = performance.now();
    if (this.generated++ === 0) this.first = this.last;
  }

  end(): void {}

  /** Figures of a generation whose prompt had `cached` tokens in the cache already. Rates are tokens a second. */
  figures(cached = 0) {
    const seconds = (ms: number) => ms / 1000;
    const fed = this.promptTokens - cached;
    return {
      prompt_tokens: this.promptTokens,
      cached_tokens: cached,
      generated_tokens: this.generated,
      first_token_ms: this.generated ? this.first - this.start : null,
      prompt_rate: this.generated ? fed / seconds(this.first - this.start) : null,
      generated_rate: this.generated > 1 ? (this.generated - 1) / seconds(this.last - this.first) : null,
    };
  }

  line(cached = 0): string {
    const { prompt_tokens, generated_tokens, first_token_ms, prompt_rate, generated_rate } = this.figures(cached);
    const rate = (value: number | null) => (value === null ? "" : ` at ${value.toFixed(1)} tokens/s`);
    const known = cached ? ` (${cached} known)` : "";
    const first = first_token_ms === null ? "" : `; first token after ${first_token_ms.toFixed(0)} ms`;
    return `prompt ${prompt_tokens} tokens${known}${rate(prompt_rate)}; generated ${generated_tokens}${rate(generated_rate)}${first}`;
  }
}
