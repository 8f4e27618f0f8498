// A call of generate from what it was given to its result. The rows are sequences of the scheduler's; a subclass chooses
// their tokens; what remains is here: ids, companions of guidance, streamers, when to stop, caches, what is given back.
import { abortedWith, onAbort } from "../abort.ts";
import { CallerPromises, proceed, type Waiter, type Waiting } from "../callbacks.ts";
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { InputError, MemoryError } from "../errors.ts";
import { PAGE_POSITIONS } from "../memory/kv_pool.ts";
import type { AdapterSet } from "../model/adapter_set.ts";
import type { KeyValueCache, RowMark } from "../model/cache.ts";
import type { Engine } from "../model/engine.ts";
import type { InputRow } from "../model/inputs.ts";
import type { HeadWants, Wants } from "../model/outputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import type { Sequence } from "../model/sequence.ts";
import { Tensor } from "../tensor.ts";
import { Answer, type AnswerOwner } from "./answer.ts";
import { ChoiceRecorder } from "./expert_choices.ts";
import { type GenerateInputs, negativePromptOf, type Prompt, promptOf, resolveLength } from "./generate_inputs.ts";
import type { GenerateOutput, GenerationTimings } from "./generate_output.ts";
import { IdRow } from "./id_row.ts";
import { idleSettings } from "./idle_settings.ts";
import { type LogProbs, logProbsOf } from "./log_probs.ts";
import { idList } from "./logits_rules.ts";
import { build_logits_processors, type LogitsProcessorList } from "./processors.ts";
import { tellProgress } from "./prompt_progress.ts";
import { buildCriteria, type FinishReason, type StepScores, type StoppingCriteriaList } from "./stopping.ts";
import type { StepTensors } from "./strategy.ts";

/** A row, as a sequence of the scheduler's. */
export interface RowSequence extends Sequence {
  readonly row: number;
  /** The tokens chosen so far. */
  readonly tokens: number[];
  /** Rows that were computed, of the prompt and the tokens. */
  readonly computed: number;
  /** Nothing more is wanted. */
  stop(): void;
}

export abstract class Generation implements AnswerOwner {
  protected readonly engine: Engine;
  protected readonly inputs: GenerateInputs;
  protected readonly config: ResolvedGenerationConfig;
  protected readonly eos: readonly number[];
  protected readonly pad: number;
  protected readonly prompt: Prompt;
  /** Prompt and new tokens of each row, then pads. */
  protected readonly ids: readonly IdRow[];
  protected readonly prompt_length: number;
  /** How many rows begin with each prompt. */
  protected readonly copies: number;
  /** Sequences: prompts, times the copies of each. */
  protected readonly rows: number;
  protected readonly max_length: number;
  protected readonly processors: LogitsProcessorList;
  protected readonly criteria: StoppingCriteriaList;
  protected readonly finished: (FinishReason | undefined)[];
  /** New tokens of each row, pads included, that were told of. */
  protected shown = 0;
  protected answers: readonly RowSequence[] = [];
  /** (row) what guidance keeps away from: the same tokens after another prompt. */
  protected companions: readonly Answer[] = [];
  protected over = false;
  protected readonly timings: GenerationTimings = { prompt_tokens: 0, prompt_ms: 0, new_tokens: 0, generate_ms: 0 };
  private readonly choices: ChoiceRecorder | undefined;
  private readonly kept: { scores: Tensor[]; logits: Tensor[] } = { scores: [], logits: [] };
  private readonly logprobs: LogProbs[][];
  /** (prompt) */
  private readonly adapters: readonly AdapterSet[];
  private readonly negative: readonly InputRow[] | undefined;
  /** What streamers have returned: a generation ends when all of it is settled. */
  private readonly told = new CallerPromises((error) => this.fail(error));
  /** Whether a function of the caller's is asked, and has not answered yet. */
  private waits = false;
  private readonly waiter: Waiter = {
    wanted: () => !this.over,
    waits: (waiting) => {
      this.waits = waiting;
    },
    failed: (error) => this.fail(error),
  };
  private began = 0;
  private promptRead: (complete: boolean) => void = () => {};
  private settle = { resolve: () => {}, reject: (_error: unknown) => {} };

  /** @param copies - rows that begin with each prompt */
  constructor(model: PreTrainedModel, inputs: GenerateInputs, config: ResolvedGenerationConfig, copies: number) {
    this.engine = model.engine;
    this.inputs = inputs;
    this.config = config;
    this.copies = copies;
    this.eos = idList(config.eos_token_id);
    this.pad = config.pad_token_id ?? this.eos[0] ?? 0;
    const prompt = promptOf(model, inputs, config, this.eos);
    this.prompt = prompt;
    this.rows = prompt.checked.rows.length * copies;
    this.prompt_length = prompt.ids?.[0].length ?? 0;
    const cached = prompt.ids ? 0 : prompt.checked.length;
    this.max_length = resolveLength(model, inputs, config, this.prompt_length, cached);
    this.adapters = model.engine.adapters.choose(inputs, prompt.checked.rows.length);
    this.negative = negativePromptOf(model, inputs, config, prompt);
    const sequences = this.negative ? 2 * this.rows : this.rows;
    if (sequences > this.engine.max_sequences)
      throw new InputError(
        `${sequences} sequences at once were asked for, max_sequences allows ${this.engine.max_sequences}`,
      );
    // Embeddings count; and what new tokens there must be replaces it.
    const min_length = config.min_new_tokens !== null ? 0 : Math.max(0, config.min_length - cached);
    this.ids = Array.from({ length: this.rows }, (_, row) => {
      const ids = new IdRow(this.max_length, this.pad);
      if (prompt.ids) ids.set(prompt.ids[Math.floor(row / copies)], 0);
      return ids;
    });
    this.finished = this.ids.map(() => undefined);
    if (inputs.experts_callback)
      this.choices = new ChoiceRecorder(inputs.experts_callback, this.engine.shape, this.rows);
    this.logprobs = this.ids.map(() => []);
    if (inputs.streamer && copies > 1)
      throw new InputError(`streamer: expected one row for each prompt, found ${copies}`);
    if (inputs.past_key_values && copies > 1)
      throw new InputError("past_key_values: expected num_return_sequences 1 and num_beams 1 with a cache");
    this.processors = build_logits_processors(
      {
        ...config,
        max_length: this.max_length,
        min_length,
        frequency_penalty: inputs.frequency_penalty,
        presence_penalty: inputs.presence_penalty,
      },
      {
        vocab_size: this.engine.shape.vocab,
        prompt_length: this.prompt_length,
        padding_lengths: prompt.padding.flatMap((length) => Array.from({ length: copies }, () => length)),
        prefix_allowed_tokens_fn: inputs.prefix_allowed_tokens_fn,
        logits_processor: inputs.logits_processor,
      },
    );
    this.criteria = buildCriteria(config, inputs, this.max_length, this.eos);
  }

  /** What is wanted of a row's last row, to choose token `index`. */
  protected abstract head(row: number, index: number): Omit<HeadWants, "rows">;

  /** Whether each row goes on by itself; else all are needed at once. */
  protected abstract get apart(): boolean;

  abstract placeholder(answer: Answer): number | undefined;

  /** Called when results of a row are there, unless what was called before still waits. */
  protected abstract advance(answer: RowSequence): Waiting<void>;

  /** Takes memory that steps write to. */
  protected abstract open(prompts: readonly Int32Array[]): void;

  /** Gives it back, once no step that is on its way uses it. */
  protected abstract close(): void | Promise<void>;

  /** What was asked for of the step in which token `index` of all rows was chosen. */
  protected abstract tensors(index: number): StepTensors;

  /** The processed scores of the step, for criteria that look at them. */
  protected abstract get step_scores(): StepScores;

  /** How far push guidance goes, where it is asked for. */
  protected get guidance(): number | undefined {
    return this.negative && this.config.guidance_scale!;
  }

  /** Whether the model's own scores are wanted of each step. */
  protected get wants_logits(): boolean {
    return this.config.output_logits || this.inputs.top_logprobs != null;
  }

  async run(): Promise<GenerateOutput> {
    const { inputs, engine } = this;
    const { streamer, signal, past_key_values: given } = inputs;
    this.checkMemory();
    const cache = given ?? engine.emptyCache(this.rows);
    const adapters = Array.from({ length: this.rows }, (_, row) => this.adapters[Math.floor(row / this.copies)]);
    cache.adapt(adapters);
    const prompts = this.ids.map((row) => row.first(this.prompt_length));
    this.open(prompts);
    const starts = cache.mark();
    const release = engine.adapters.hold(this.adapters);
    for (const [row, pages] of cache.rows.entries()) pages.hide(this.promptRow(row).hides);
    this.answers = cache.rows.map((_, row) => this.makeAnswer(cache, row, starts[row].length === 0));
    const others = this.negative ? engine.emptyCache(this.rows) : undefined;
    others?.adapt(adapters);
    this.companions = others?.rows.map((pages, row) => this.makeCompanion(pages, row)) ?? [];
    let forget = () => {};
    const aborted = new Promise<never>((_, reject) => {
      forget = onAbort(signal, () => {
        this.fail(signal!.reason);
        reject(signal!.reason);
      });
    });
    aborted.catch(() => {}); // heard of above
    this.began = performance.now();
    let complete = false;
    try {
      this.told.add(streamer?.put(prompts.slice(0, this.prompt.checked.rows.length)));
      this.tellPrompt();
      signal?.throwIfAborted();
      await new Promise<void>((resolve, reject) => {
        this.settle = { resolve, reject };
        engine.scheduler.add([...this.answers, ...this.companions]);
      });
      this.told.add(streamer?.end());
      await Promise.race([this.told.settled(), aborted]);
      complete = true;
    } catch (error) {
      throw signal?.aborted && error === signal.reason ? abortedWith(error, this.sequences()) : error;
    } finally {
      forget();
      this.promptRead(false);
      this.over = true;
      // Until no step writes to their pages or slots any more.
      await Promise.all([...this.answers, ...this.companions].map((answer) => engine.scheduler.remove(answer)));
      release();
      await this.close();
      others?.dispose();
      this.keepCache(cache, starts, complete);
    }
    this.timings.generate_ms = performance.now() - this.began - this.timings.prompt_ms;
    this.timings.prompt_tokens = this.prompt.checked.rows.reduce((sum, { columns }) => sum + columns.length, 0);
    return this.output(cache);
  }

  /** Has the caller told how much of the prompts is read. */
  private tellPrompt(): void {
    const { progress_callback } = this.inputs;
    if (!progress_callback) return;
    const { scheduler } = this.engine;
    const readers = this.answers.filter(({ row }) => row % this.copies === 0);
    const total = readers.reduce((sum, { row }) => sum + this.promptRow(row).columns.length, 0);
    const loaded = () => readers.reduce((sum, reader) => sum + reader.computed + scheduler.underway(reader), 0);
    this.promptRead = tellProgress(total, loaded, (progress) => this.told.add(progress_callback(progress)));
  }

  /** What the call has set in vain. */
  get idle_settings(): ReadonlyMap<string, string> {
    return idleSettings(this.inputs, this.config, this.max_length - this.prompt_length);
  }

  protected promptRow(row: number): InputRow {
    return this.prompt.checked.rows[Math.floor(row / this.copies)];
  }

  /** New tokens of a row at most. */
  protected get most_tokens(): number {
    return this.max_length - this.prompt_length;
  }

  /** @param fresh - whether the prompt is all that its pages will hold */
  protected makeAnswer(cache: KeyValueCache, row: number, fresh: boolean): RowSequence {
    const chunk = this.config.prefill_chunk_size ?? Infinity;
    const leads = row % this.copies === 0;
    return new Answer(this, row, cache.rows[row], this.promptRow(row), this.most_tokens, chunk, fresh, leads);
  }

  private makeCompanion(pages: KeyValueCache["rows"][number], row: number): Answer {
    const prompt = this.negative![Math.floor(row / this.copies)];
    return new Answer(this, this.rows + row, pages, prompt, this.most_tokens, Infinity, true, row % this.copies === 0);
  }

  /**
   * Whether the caches can hold what is asked for.
   * @throws {@link MemoryError}
   */
  private checkMemory(): void {
    const { engine, copies, inputs } = this;
    const past = inputs.past_key_values;
    const counted = ({ columns }: InputRow, before: number) => {
      const prompt = before + columns.length;
      const pages = engine.pages(prompt + this.most_tokens - 1);
      // Copies refer to the prompt's whole pages, as long as no window gives them back.
      const shared = engine.shape.window ? 0 : Math.floor(prompt / PAGE_POSITIONS);
      return { ...pages, copied: pages.needed * copies - shared * (copies - 1) };
    };
    const pages = this.prompt.checked.rows.map((row, b) => counted(row, past?.rows[b].length ?? 0));
    const others = this.negative?.map((row) => counted(row, 0)) ?? [];
    const alone = this.apart && !this.keepsCache;
    const needed = alone
      ? Math.max(...pages.map((each) => each.needed))
      : [...pages, ...others].reduce((sum, each) => sum + each.copied, 0);
    const [{ all, bytes }] = pages;
    if (needed > all)
      throw new MemoryError(
        `kv_bytes: ${alone ? "a sequence" : `${this.rows} sequences at once`} of up to ${this.max_length} tokens may take ${needed * bytes} bytes of cache, ${all * bytes} are allowed`,
        needed * bytes,
        all * bytes,
      );
  }

  wants(answer: Answer, index: number, row: number): Wants {
    // Where a prompt has several answers, its last row serves each of them.
    const copies = index === 0 ? this.copies : 1;
    return {
      heads: Array.from({ length: copies }, (_, copy) => ({
        rows: Uint32Array.of(row),
        ...this.head(answer.row + copy, index),
      })),
      ...(this.choices && index > 0 && answer.row < this.rows
        ? { picked: this.choices.wants(answer.row, index, row) }
        : {}),
    };
  }

  ready(answer: Answer): void {
    if (this.over) return;
    if (answer.results === 1 && answer.row % this.copies === 0) {
      const all = [...this.answers, ...this.companions] as Answer[];
      for (let copy = 1; copy < this.copies; copy++) all[answer.row + copy].follow(answer);
    }
    if (!this.waits) this.guarded(this.advance(this.answers[answer.row % this.rows]));
  }

  /** Runs what chooses tokens; where it throws, the call fails. */
  protected guarded(choosing: Waiting<void>): void {
    proceed(choosing, this.waiter);
  }

  fail(error: unknown): void {
    if (this.over) return;
    this.over = true;
    this.settle.reject(error);
  }

  /** All rows are finished. */
  protected succeed(): void {
    this.over = true;
    this.settle.resolve();
  }

  protected get going(): readonly RowSequence[] {
    return this.answers.filter(({ row }) => !this.finished[row]);
  }

  /** Whether the results for the next token of some rows are there. */
  protected isReady(rows: readonly RowSequence[]): boolean {
    const waits = (answer: Answer | undefined) => answer && answer.results <= answer.tokens.length;
    const unready = ({ row }: RowSequence) =>
      this.finished[row] || waits(this.answers[row] as Answer) || waits(this.companions[row]);
    return !this.over && rows.length > 0 && !rows.some(unready);
  }

  /** Gives rows that have as many tokens each their next ones. */
  protected *accept(rows: readonly RowSequence[], tokens: Int32Array): Waiting<void> {
    const length = this.prompt_length + rows[0].tokens.length;
    for (const [i, { row, tokens: chosen }] of rows.entries()) {
      this.ids[row].set(tokens.subarray(i, i + 1), length);
      chosen.push(tokens[i]);
      const before = chosen.length - 2;
      if (this.choices && before >= 0) this.told.add(this.choices.chosen(row, before + 1, length - 1, chosen[before]));
      this.companions[row]?.tokens.push(tokens[i]);
    }
    this.count(rows.length);
    this.show();
    if (this.over) return; // the streamer has aborted the call
    yield* this.stop(rows);
    this.show();
    if (this.finished.every(Boolean)) this.succeed();
    else this.engine.scheduler.wake();
  }

  /** Counts new tokens. */
  protected count(tokens: number): void {
    this.timings.prompt_ms ||= performance.now() - this.began;
    this.promptRead(true);
    this.timings.new_tokens += tokens;
  }

  /** Tells of the tokens that all rows have, and of pads where a row has ended before. */
  private show(): void {
    const { answers, finished, ids, prompt_length, inputs } = this;
    while (!this.over) {
      const index = this.shown;
      if (answers.some(({ row, tokens }) => tokens.length <= index && !finished[row])) return;
      if (answers.every(({ tokens }) => tokens.length <= index)) return;
      const tensors = this.tensors(index);
      this.keep(tensors);
      if (inputs.top_logprobs != null) this.addLogProbs(index, tensors.logits!, inputs.top_logprobs);
      this.shown++;
      const at = prompt_length + index;
      this.told.add(inputs.streamer?.put(ids.map((row) => row.first(at + 1).subarray(at))));
    }
  }

  private addLogProbs(index: number, logits: Tensor, count: number): void {
    for (const { row, tokens } of this.answers) {
      if (index < tokens.length)
        this.logprobs[row].push(
          logProbsOf(this.engine.logits.exports, logits.row(row).data as Float32Array, tokens[index], count),
        );
    }
  }

  /** Asks the criteria of some rows, of all together where functions of the caller are among them. */
  private *stop(rows: readonly RowSequence[]): Waiting<void> {
    const length = this.prompt_length + rows[0].tokens.length;
    const asked = this.apart ? rows : this.answers;
    const reasons = yield* this.criteria.asking(
      asked.map(({ row }) => this.ids[row].first(length)),
      this.step_scores,
    );
    for (const [i, answer] of asked.entries()) {
      if (!reasons[i] || this.finished[answer.row]) continue;
      this.finished[answer.row] = reasons[i];
      answer.stop();
      this.companions[answer.row]?.stop();
      if (!this.keepsCache) void this.makeRoom(answer);
    }
  }

  /** Gives the pages of a row that is finished to others, which may wait for them. */
  private async makeRoom(answer: RowSequence): Promise<void> {
    const { scheduler } = this.engine;
    await scheduler.remove(answer);
    answer.pages.release();
    scheduler.wake();
  }

  /** Whether somebody goes on with the cache when all rows are finished. */
  protected get keepsCache(): boolean {
    return this.inputs.past_key_values !== undefined || this.givesCache;
  }

  /** Whether the caller gets the cache. Without `use_cache` it is the engine's own affair: the tokens are the same. */
  private get givesCache(): boolean {
    return this.config.return_dict_in_generate && this.config.use_cache;
  }

  /** Has the cache hold what was fed of each row and counts, and gives it back where the caller does not get it. */
  private keepCache(cache: KeyValueCache, starts: readonly RowMark[], complete: boolean): void {
    const { past_key_values: given } = this.inputs;
    if (this.shown === 0) cache.restore(starts);
    else if (given || (complete && this.givesCache)) {
      const length = (row: number, tokens: number) =>
        starts[row].length + this.promptRow(row).columns.length + tokens - 1;
      cache.keep(this.answers.map(({ tokens, row }) => length(row, Math.min(tokens.length, this.shown))));
      try {
        // Rows that ended before others have padding behind them.
        for (const [row, pages] of cache.rows.entries()) pages.skip(length(row, this.shown) - pages.length);
      } catch (error) {
        cache.restore(starts);
        throw error;
      }
      cache.advance(this.prompt.checked.length + this.shown - 1);
    }
    if (given) return;
    if (complete && this.givesCache) cache.disposeWhenForgotten();
    else cache.dispose();
  }

  /** What there is so far: int32 (rows, length). */
  protected sequences(): Tensor {
    const length = this.prompt_length + this.shown;
    const data = new Int32Array(this.rows * length);
    for (const [i, row] of this.ids.entries()) data.set(row.first(length), i * length);
    return new Tensor("int32", data, [this.rows, length]);
  }

  protected get finish_reasons(): FinishReason[] {
    return this.finished.map((reason) => reason ?? "length");
  }

  protected keep({ logits, scores }: StepTensors): void {
    if (this.config.output_logits) this.kept.logits.push(logits!);
    if (this.config.output_scores) this.kept.scores.push(scores!);
  }

  protected output(cache: KeyValueCache): GenerateOutput {
    const { config, kept } = this;
    return {
      sequences: this.sequences(),
      ...(config.output_scores ? { scores: kept.scores } : {}),
      ...(config.output_logits ? { logits: kept.logits } : {}),
      ...(this.inputs.top_logprobs != null ? { logprobs: this.logprobs } : {}),
      finish_reasons: this.finish_reasons,
      timings: this.timings,
      ...(this.keepsCache ? { past_key_values: cache } : {}),
    };
  }
}
