// Stands in for the page's engine in tests of states that a real model reaches rarely: slow, failing, out of memory. What it
// does is set by the test as `double` on the window, before the page's code runs, and may be changed while it runs.
import type { Engine, LoadedModel, Source, Turn } from "../../../src/web/chat/engine.ts";
import type { Double, Failure } from "../double.ts";

const shape = { layers: 4, experts: 8, chosen: 2 };

const state: Double = Object.assign(
  { load_ms: 30, piece_ms: 5, download_ms: 50, answers: {}, turns: [], told: [], loads: [], models: [] },
  (window as { double?: Partial<Double> }).double,
);
(window as { double?: Partial<Double> }).double = state;

const after = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

const error = ({ code, message }: Failure): Error =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

const named = (source: Source): string =>
  source.kind === "demo"
    ? "demo"
    : source.kind === "stored"
      ? source.name
      : source.files.map(({ name }) => name).join();

class Scripted implements LoadedModel {
  readonly experts = shape;
  private position = 0;

  greedy(): boolean {
    return false;
  }

  async info() {
    return {
      ...{
        path: "double",
        threads: 2,
        device: "wasm" as const,
        simd: "relaxed" as const,
        mapped: false,
        weight_bytes: 12e6,
        banks: 1,
      },
      ...{ private_bytes: 25e6, cache_bytes: 1e6, kv_bytes: 8e6, formats: { Q8_0: 40, F32: 13 }, read_ahead: {} },
      adapters: [],
    };
  }

  async *answer({ before, content, seed, sampling, signal, onPrompt, onToken, onExperts }: Turn) {
    state.turns.push({ before: before.map((said) => ({ ...said })), content, seed, sampling: { ...sampling } });
    const text = state.answers[content] ?? `You said: ${content}`;
    const prompt = [...before.map((said) => said.content), content].join(" ").split(/\s+/).length;
    onPrompt(0, prompt);
    const pieces = text.match(/[\s\S]{1,6}/g) ?? [];
    for (let i = 0; i < pieces.length; i++) {
      await after(state.piece_ms, signal);
      const fails = state.answer_fails;
      if (fails && i >= fails.after) {
        state.answer_fails = undefined;
        throw error(fails);
      }
      onToken(i);
      if (i > 0) this.tell(i - 1, onExperts);
      yield pieces[i];
    }
    return { prompt_tokens: prompt, cached_tokens: before.length, dropped: 0, end: "stop" as const };
  }

  private tell(token: number, onExperts: Turn["onExperts"]): void {
    const experts = Int32Array.from({ length: 8 }, (_, i) => (token * 3 + (i >> 1) * 5 + (i & 1) * 2) % 8);
    const weights = Float32Array.from({ length: 8 }, (_, i) => (i & 1 ? 0.25 : 0.75));
    const choices = { row: 0, position: this.position++, token, experts, weights };
    state.told.push(choices);
    onExperts(choices);
  }

  piece(id: number): string {
    return `t${id}`;
  }

  async dispose(): Promise<void> {}
}

export const engine: Engine = {
  async load(source, { signal, onProgress }) {
    state.loads.push(named(source));
    for (let i = 1; i <= 10; i++) {
      onProgress({ doing: "download", loaded: i * 1.2e6, total: 12e6, rate: 4e6, remaining: (10 - i) * 0.3 });
      await after(state.load_ms / 10, signal);
    }
    if (state.load_fails) throw error(state.load_fails);
    return new Scripted();
  },
  async download(name, { signal, onProgress }) {
    for (let i = 1; i <= 20; i++) {
      onProgress({ doing: "download", loaded: i * 200e6, total: 4000e6, rate: 40e6, remaining: (20 - i) * 5 });
      await after(state.download_ms / 20, signal);
    }
    if (state.download_fails) throw error(state.download_fails);
    state.models.push({ name, bytes: 4000e6, complete: true });
  },
  async stored() {
    return {
      models: state.models.map((model) => ({ ...model, path: model.name })),
      bytes: state.models.reduce((sum, { bytes }) => sum + bytes, 0),
      quota: 60e9,
    };
  },
  async remove(name) {
    state.models = state.models.filter((model) => model.name !== name);
  },
  async faults(sampling) {
    const wrong = sampling.top_p !== null && (sampling.top_p < 0 || sampling.top_p > 1);
    return new Map(wrong ? [["top_p", `top_p: expected a number from 0 to 1, found ${sampling.top_p}`]] : []);
  },
};
