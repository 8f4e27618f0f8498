// An answer while it grows. It is no signal: its pieces go to whoever shows it, and nothing is drawn anew.
import { type Signal, signal } from "@preact/signals";
import type { LoadedModel } from "../engine.ts";
import { Trace } from "./trace.ts";

export class Answer {
  readonly id: string;
  readonly conversation: string;
  readonly controller = new AbortController();
  text = "";
  /** What it does, in words; empty once it writes. */
  readonly doing: Signal<string> = signal("");
  readonly tokens: Signal<number> = signal(0);
  readonly rate: Signal<number | undefined> = signal(undefined);
  trace: Trace | undefined;
  /** Grows with the trace, so that what shows it hears of it. */
  readonly traced: Signal<number> = signal(0);
  first_ms: number | undefined;
  private readonly began = performance.now();
  private first = 0;
  private last = 0;
  private listeners = new Set<(piece: string) => void>();
  private count = 0;
  private frame = 0;

  constructor(id: string, conversation: string) {
    this.id = id;
    this.conversation = conversation;
  }

  /** @returns ends it */
  listen(listener: (piece: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  push(piece: string): void {
    this.text += piece;
    for (const listener of this.listeners) listener(piece);
  }

  token(): void {
    this.last = performance.now();
    if (this.count++ === 0) {
      this.first = this.last;
      this.first_ms = this.first - this.began;
      this.doing.value = "";
    }
    this.show();
  }

  experts(loaded: LoadedModel, choices: Parameters<Trace["add"]>[0]): void {
    if (!loaded.experts) return;
    this.trace ??= new Trace(this.id, loaded.experts);
    this.trace.add(choices, loaded.piece(choices.token));
    this.show();
  }

  /** Figures are shown once a frame, however fast tokens come. */
  private show(): void {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.tokens.value = this.count;
      this.rate.value = this.tokensPerSecond;
      this.traced.value = this.trace?.length ?? 0;
    });
  }

  get generated(): number {
    return this.count;
  }

  get tokensPerSecond(): number | undefined {
    return this.count > 1 ? (1000 * (this.count - 1)) / (this.last - this.first) : undefined;
  }
}
