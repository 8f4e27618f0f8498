// The library as the page uses it: everything that is asked of tramontane/web is asked here.
import { turnEnds } from "../../generation/turn_ends.ts";
import type * as Library from "../../index.ts";
import type {
  CachedModel,
  CausalLM,
  ExpertChoices,
  GenerateInputs,
  ModelInfo,
  Tokenizer,
  TurnEnd,
} from "../../index.ts";
import { demoFile } from "./demo_file.ts";
import type { Progress } from "./progress.ts";
import { type Sampling, samplingOptions } from "./sampling.ts";

/** How many experts there are, and how many of them a token passes in each layer. */
export interface ExpertShape {
  readonly layers: number;
  readonly experts: number;
  readonly chosen: number;
}

/** Where a model comes from. */
export type Source =
  | { readonly kind: "demo" }
  | { readonly kind: "files"; readonly files: readonly File[] }
  | { readonly kind: "stored"; readonly name: string };

/** What was said, as the library has it. */
export interface Said {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** One message to answer. */
export interface Turn {
  /** What was said before it, the system prompt first. */
  readonly before: readonly Said[];
  readonly content: string;
  readonly sampling: Sampling;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** How much of the prompt is read. */
  readonly onPrompt: (loaded: number, total: number) => void;
  readonly onToken: (id: number) => void;
  readonly onExperts: (choices: ExpertChoices) => void;
}

/** How a turn went. */
export interface TurnResult {
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  /** Messages that the model is shown no more. */
  readonly dropped: number;
  readonly end: TurnEnd | undefined;
}

export interface LoadedModel {
  /** Absent where the model has no experts. */
  readonly experts: ExpertShape | undefined;
  /** Whether the likeliest token is always taken, as the page's settings stand. */
  greedy(sampling: Sampling): boolean;
  info(): Promise<ModelInfo>;
  /** Streams the answer's text. */
  answer(turn: Turn): AsyncGenerator<string, TurnResult, void>;
  /** A token by itself, as text. */
  piece(id: number): string;
  dispose(): Promise<void>;
}

interface Watched {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export interface Storage {
  readonly models: readonly CachedModel[];
  readonly bytes: number;
  readonly quota: number | undefined;
}

export interface Engine {
  load(source: Source, watched: Watched): Promise<LoadedModel>;
  /** @param name - a hub's id, or a URL */
  download(name: string, watched: Watched): Promise<void>;
  stored(): Promise<Storage>;
  remove(name: string): Promise<void>;
  /** What the library has against settings, by their names. */
  faults(sampling: Sampling): Promise<ReadonlyMap<keyof Sampling, string>>;
}

/** What the page is built with stands beside it. */
const library = () => import("../index.ts");

const total =
  (onProgress: Watched["onProgress"], doing: Progress["doing"]) =>
  ({ status, loaded, total, rate, remaining }: Library.DownloadProgress | Library.ProgressInfo): void => {
    if (status === "progress_total") onProgress({ doing: "download", loaded, total, rate, remaining });
    else if (status === "progress" && doing === "load") onProgress({ doing, loaded, total });
  };

async function load(source: Source, { signal, onProgress }: Watched): Promise<LoadedModel> {
  const { AutoModelForCausalLM, AutoTokenizer } = await library();
  const from =
    source.kind === "demo"
      ? await demoFile({ signal, onProgress })
      : source.kind === "stored"
        ? source.name
        : source.files.length === 1
          ? source.files[0]
          : source.files;
  onProgress({ doing: "load", loaded: 0, total: 0 });
  const tokenizer = await AutoTokenizer.from_pretrained(from as string);
  const model = await AutoModelForCausalLM.from_pretrained(from as string, {
    signal,
    progress_callback: total(onProgress, "load"),
  });
  return new Loaded(await library(), model, tokenizer);
}

class Loaded implements LoadedModel {
  readonly experts: ExpertShape | undefined;
  private readonly model: CausalLM;
  private readonly tokenizer: Tokenizer;
  private readonly session: Library.ChatSession;

  constructor(library: typeof Library, model: CausalLM, tokenizer: Tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.session = new library.ChatSession(model, tokenizer);
    const { num_hidden_layers, num_local_experts, num_experts_per_tok } = model.config as Library.MixtralConfig;
    if (num_local_experts > 1)
      this.experts = { layers: num_hidden_layers, experts: num_local_experts, chosen: num_experts_per_tok };
  }

  greedy(sampling: Sampling): boolean {
    return !(samplingOptions(sampling).do_sample ?? this.model.generation_config.do_sample);
  }

  async info(): Promise<ModelInfo> {
    return this.model.info();
  }

  async *answer(turn: Turn): AsyncGenerator<string, TurnResult, void> {
    const { session } = this;
    const { before, content, sampling, seed, signal, onPrompt, onToken, onExperts } = turn;
    // The same conversation goes on as it is, so that what its beginning had no room for stays left out.
    const same = ({ role, content }: Said, i: number) =>
      session.messages[i]?.role === role && session.messages[i].content === content;
    if (session.messages.length !== before.length || !before.every(same)) session.load(before);
    const options: GenerateInputs = {
      ...samplingOptions(sampling),
      eos_token_id: turnEnds(this.model, this.tokenizer),
      seed,
      signal,
      streamer: new TokenStreamer(onToken),
      progress_callback: ({ loaded, total }) => onPrompt(loaded, total),
      ...(this.experts ? { experts_callback: onExperts } : {}),
    };
    yield* session.send(content, options);
    const { prompt_tokens, cached_tokens, dropped, finish_reason: end } = session;
    return { prompt_tokens, cached_tokens, dropped, end };
  }

  piece(id: number): string {
    return this.tokenizer.decode([id]);
  }

  async dispose(): Promise<void> {
    this.session.dispose();
    await this.model.dispose();
  }
}

/** Tells each new token; what comes first is the prompt. */
class TokenStreamer {
  private prompt = true;
  private readonly tell: (id: number) => void;

  constructor(tell: (id: number) => void) {
    this.tell = tell;
  }

  put([row]: readonly ArrayLike<number>[]): void {
    if (!this.prompt) this.tell(row[0]);
    this.prompt = false;
  }

  end(): void {}
}

async function faults(sampling: Sampling): Promise<ReadonlyMap<keyof Sampling, string>> {
  const { GenerationConfig } = await library();
  const found = new Map<keyof Sampling, string>();
  for (const [name, value] of Object.entries(sampling) as [keyof Sampling, number | null][]) {
    if (name === "seed") {
      if (value !== null && !Number.isSafeInteger(value)) found.set(name, `seed: expected an integer, found ${value}`);
      continue;
    }
    try {
      new GenerationConfig({ [name]: value });
    } catch (error) {
      found.set(name, (error as Error).message);
    }
  }
  return found;
}

export const engine: Engine = {
  load,
  faults,
  async download(name, { signal, onProgress }) {
    const { download } = await library();
    // Without it, too, the model is stored; the browser may remove it when the disk fills.
    void navigator.storage?.persist?.().catch(() => {});
    await download(name, { signal, progress_callback: total(onProgress, "download") });
  },
  async stored() {
    const { models } = await library();
    const [list, { bytes, quota }] = await Promise.all([models.list(), models.usage()]);
    return { models: list, bytes, quota };
  },
  async remove(name) {
    await (await library()).models.remove(name);
  },
};
