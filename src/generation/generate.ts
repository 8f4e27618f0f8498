// generate: one call from what it was given to its result. The rows are sequences of the scheduler's; a strategy chooses
// their tokens; what remains is here: ids, streamers, when to stop, what is given back.
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { InputError, MemoryError } from "../errors.ts";
import type { KeyValueCache, RowMark } from "../model/cache.ts";
import type { Engine } from "../model/engine.ts";
import type { CheckedInputs, InputRow } from "../model/inputs.ts";
import type { Wants } from "../model/outputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { Tensor } from "../tensor.ts";
import { Answer, type AnswerOwner } from "./answer.ts";
import { type GenerateInputs, promptOf, resolveConfig, resolveLength } from "./generate_inputs.ts";
import { HostSampling } from "./host_sampling.ts";
import { idList } from "./logits_rules.ts";
import { build_logits_processors, type LogitsProcessorList } from "./processors.ts";
import { buildCriteria, lookAtScores, type StoppingCriteriaList } from "./stopping.ts";
import type { SamplingSettings, Strategy } from "./strategy.ts";
import { TeamSampling } from "./team_sampling.ts";

export interface GenerateOutput {
  /** int32 (rows, length), prompt included. */
  sequences: Tensor;
  /** For each step float32 (rows, vocab), processed. */
  scores?: Tensor[];
  /** For each step float32 (rows, vocab), as the model gave them. */
  logits?: Tensor[];
  past_key_values?: KeyValueCache;
}

/** @throws {@link InputError} or ConfigError for what was passed; the signal's reason when aborted, with `partial` on it */
export async function generate(model: PreTrainedModel, inputs: GenerateInputs): Promise<GenerateOutput> {
  inputs.signal?.throwIfAborted();
  model.engine.check();
  const generation = new Generation(model, inputs);
  const leave = inputs.past_key_values?.acquire();
  try {
    return await generation.run();
  } finally {
    leave?.();
  }
}

class Generation implements AnswerOwner {
  private readonly engine: Engine;
  private readonly inputs: GenerateInputs;
  private readonly config: ResolvedGenerationConfig;
  private readonly eos: readonly number[];
  private readonly pad: number;
  private readonly prompt: CheckedInputs;
  /** Prompt and new tokens of each row, then pads. */
  private readonly ids: Int32Array[];
  private readonly prompt_length: number;
  /** Sequences: prompts, times the answers to each. */
  private readonly rows: number;
  private readonly max_length: number;
  private readonly processors: LogitsProcessorList;
  private readonly criteria: StoppingCriteriaList;
  private readonly finished: boolean[];
  /** New tokens of each row, pads included, that were told of. */
  private shown = 0;
  /** Whether rows go on by themselves: the threads draw, and no function of the caller looks at all of them. */
  private apart = false;
  private readonly kept: { scores: Tensor[]; logits: Tensor[] } = { scores: [], logits: [] };
  private strategy!: Strategy;
  private answers: readonly Answer[] = [];
  private settle = { resolve: () => {}, reject: (_error: unknown) => {} };
  private over = false;

  constructor(model: PreTrainedModel, inputs: GenerateInputs) {
    this.engine = model.engine;
    this.inputs = inputs;
    this.config = resolveConfig(model, inputs);
    const { config } = this;
    this.eos = idList(config.eos_token_id);
    this.pad = config.pad_token_id ?? this.eos[0] ?? 0;
    const prompt = promptOf(model, inputs, config, this.eos);
    this.prompt = prompt.checked;
    const copies = config.num_return_sequences;
    this.rows = prompt.checked.rows.length * copies;
    this.prompt_length = prompt.ids?.[0].length ?? 0;
    const cached = prompt.ids ? 0 : prompt.checked.length;
    this.max_length = resolveLength(model, inputs, config, this.prompt_length, cached);
    // Embeddings count; and what new tokens there must be replaces it.
    const min_length = config.min_new_tokens !== null ? 0 : Math.max(0, config.min_length - cached);
    this.ids = Array.from({ length: this.rows }, (_, row) => {
      const ids = new Int32Array(this.max_length).fill(this.pad);
      if (prompt.ids) ids.set(prompt.ids[Math.floor(row / copies)]);
      return ids;
    });
    this.finished = this.ids.map(() => false);
    if (inputs.streamer && copies > 1)
      throw new InputError(`streamer: expected num_return_sequences 1, found ${copies}`);
    if (inputs.past_key_values && copies > 1)
      throw new InputError("past_key_values: expected num_return_sequences 1 with a cache");
    if (this.rows > this.engine.max_sequences)
      throw new InputError(
        `${this.rows} sequences at once were asked for, max_sequences allows ${this.engine.max_sequences}`,
      );

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
        padding_lengths: this.repeat(prompt.padding),
        prefix_allowed_tokens_fn: inputs.prefix_allowed_tokens_fn,
        logits_processor: inputs.logits_processor,
      },
    );
    this.criteria = buildCriteria(config, inputs, this.max_length, this.eos);
  }

  /** Each value as often as a prompt is to be answered. */
  private repeat<T>(values: readonly T[]): T[] {
    return values.flatMap((value) => Array.from({ length: this.config.num_return_sequences }, () => value));
  }

  async run(): Promise<GenerateOutput> {
    const { inputs, engine } = this;
    const { streamer, signal, past_key_values: given } = inputs;
    const settings = this.samplingSettings();
    this.apart = this.processors.operations(0) !== undefined && !lookAtScores(this.criteria);
    this.checkMemory(this.apart && !this.keepsCache);
    const prompts = this.ids.map((row) => row.subarray(0, this.prompt_length));
    this.strategy = this.apart ? new TeamSampling(engine, settings, prompts) : new HostSampling(engine, settings);
    const cache = given ?? engine.emptyCache(this.rows);
    const starts = cache.mark();
    for (const [row, pages] of cache.rows.entries()) pages.hide(this.promptOf(row).hides);
    this.answers = this.makeAnswers(cache, starts);
    const aborted = () => this.fail(signal!.reason);
    let complete = false;
    try {
      streamer?.put(prompts.slice(0, this.prompt.rows.length));
      signal?.throwIfAborted();
      signal?.addEventListener("abort", aborted);
      await new Promise<void>((resolve, reject) => {
        this.settle = { resolve, reject };
        engine.scheduler.add(this.answers);
      });
      streamer?.end();
      complete = true;
    } catch (error) {
      if (signal?.aborted && error === signal.reason && typeof error === "object" && error !== null)
        (error as { partial?: Tensor }).partial = this.sequences();
      throw error;
    } finally {
      signal?.removeEventListener("abort", aborted);
      this.over = true;
      // Until no step writes to their pages or slots any more.
      await Promise.all(this.answers.map((answer) => engine.scheduler.remove(answer)));
      this.strategy.close();
      this.keepCache(cache, starts, complete);
    }
    return this.output(cache);
  }

  private samplingSettings(): SamplingSettings {
    const { rows, max_length, processors, eos, config, inputs } = this;
    const { do_sample, output_logits, output_scores } = config;
    const { vocab } = this.engine.shape;
    return { rows, vocab, max_length, processors, do_sample, seed: inputs.seed, eos, output_logits, output_scores };
  }

  /**
   * Whether the caches can hold what is asked for.
   * @param apart - whether each row goes on by itself; else all rows are needed at once
   * @throws {@link MemoryError}
   */
  private checkMemory(apart: boolean): void {
    const added = this.max_length - this.prompt_length;
    const past = this.inputs.past_key_values;
    const pages = this.prompt.rows.map(({ columns }, row) =>
      this.engine.pages((past?.rows[row].length ?? 0) + columns.length + added - 1),
    );
    const copies = this.config.num_return_sequences;
    const needed = apart
      ? Math.max(...pages.map((each) => each.needed))
      : pages.reduce((sum, each) => sum + each.needed * copies, 0);
    const [{ all, bytes }] = pages;
    if (needed > all)
      throw new MemoryError(
        `kv_bytes: ${apart ? "a sequence" : `${this.rows} sequences at once`} of up to ${this.max_length} tokens may take ${needed * bytes} bytes of cache, ${all * bytes} are allowed`,
        needed * bytes,
        all * bytes,
      );
  }

  private promptOf(row: number): InputRow {
    return this.prompt.rows[Math.floor(row / this.config.num_return_sequences)];
  }

  private makeAnswers(cache: KeyValueCache, starts: readonly RowMark[]): Answer[] {
    const { num_return_sequences: copies, prefill_chunk_size } = this.config;
    const added = this.max_length - this.prompt_length;
    return cache.rows.map((pages, row) => {
      const chunk = prefill_chunk_size ?? Infinity;
      const fresh = starts[row].length === 0;
      return new Answer(this, row, pages, this.promptOf(row), added, chunk, fresh, row % copies === 0);
    });
  }

  wants(answer: Answer, index: number, row: number): Wants {
    // Where a prompt has several answers, its last row is drawn from for each of them.
    const copies = index === 0 ? this.config.num_return_sequences : 1;
    return {
      heads: Array.from({ length: copies }, (_, copy) => ({
        rows: Uint32Array.of(row),
        ...this.strategy.wants(answer.row + copy, index, this.prompt_length + index),
      })),
    };
  }

  placeholder(answer: Answer): number | undefined {
    return this.strategy.placeholder(answer.row);
  }

  ready(answer: Answer): void {
    if (this.over) return;
    const copies = this.config.num_return_sequences;
    if (answer.results === 1 && answer.row % copies === 0) {
      for (let copy = 1; copy < copies; copy++) this.answers[answer.row + copy].follow(answer);
    }
    try {
      if (this.apart) while (this.isReady([answer])) this.choose([answer]);
      else while (this.isReady(this.going)) this.choose(this.going);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    if (this.over) return;
    this.over = true;
    this.settle.reject(error);
  }

  private get going(): readonly Answer[] {
    return this.answers.filter(({ row }) => !this.finished[row]);
  }

  /** Whether the results for the next token of some rows are there. */
  private isReady(rows: readonly Answer[]): boolean {
    const waits = ({ row, results, tokens }: Answer) => this.finished[row] || results <= tokens.length;
    return !this.over && rows.length > 0 && !rows.some(waits);
  }

  /** Chooses the next token of some rows, which have as many each. */
  private choose(rows: readonly Answer[]): void {
    const { strategy, ids } = this;
    const length = this.prompt_length + rows[0].tokens.length;
    const tokens = strategy.choose(
      rows.map(({ row }) => row),
      length,
      ids,
    );
    for (const [i, answer] of rows.entries()) {
      ids[answer.row][length] = tokens[i];
      answer.tokens.push(tokens[i]);
    }
    this.show();
    if (this.over) return; // the streamer has aborted the call
    this.stop(rows);
    this.show();
    if (this.finished.every(Boolean)) {
      this.over = true;
      this.settle.resolve();
    } else this.engine.scheduler.wake();
  }

  /** Tells of the tokens that all rows have, and of pads where a row has ended before. */
  private show(): void {
    const { answers, finished, config, kept, ids, prompt_length, inputs } = this;
    while (!this.over) {
      const index = this.shown;
      if (answers.some(({ row, tokens }) => tokens.length <= index && !finished[row])) return;
      if (answers.every(({ tokens }) => tokens.length <= index)) return;
      const { logits, scores } = this.strategy.tensors(index);
      if (config.output_logits) kept.logits.push(logits!);
      if (config.output_scores) kept.scores.push(scores!);
      this.shown++;
      inputs.streamer?.put(ids.map((row) => row.subarray(prompt_length + index, prompt_length + index + 1)));
    }
  }

  /** Asks the criteria of some rows, of all together where functions of the caller are among them. */
  private stop(rows: readonly Answer[]): void {
    const length = this.prompt_length + rows[0].tokens.length;
    const asked = this.apart ? rows : this.answers;
    const done = this.criteria._call(
      asked.map(({ row }) => this.ids[row].subarray(0, length)),
      this.strategy.step_scores,
    );
    for (const [i, answer] of asked.entries()) {
      if (!done[i] || this.finished[answer.row]) continue;
      this.finished[answer.row] = true;
      answer.stop();
      if (!this.keepsCache) void this.makeRoom(answer);
    }
  }

  /** Gives the pages of a row that is finished to others, which may wait for them. */
  private async makeRoom(answer: Answer): Promise<void> {
    const { scheduler } = this.engine;
    await scheduler.remove(answer);
    answer.pages.release();
    scheduler.wake();
  }

  /** Whether somebody goes on with the cache when all rows are finished. */
  private get keepsCache(): boolean {
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
        starts[row].length + this.promptOf(row).columns.length + tokens - 1;
      cache.keep(this.answers.map(({ tokens, row }) => length(row, Math.min(tokens.length, this.shown))));
      try {
        // Rows that ended before others have padding behind them.
        for (const [row, pages] of cache.rows.entries()) pages.skip(length(row, this.shown) - pages.length);
      } catch (error) {
        cache.restore(starts);
        throw error;
      }
      cache.advance(this.prompt.length + this.shown - 1);
    }
    if (given) return;
    if (complete && this.givesCache) cache.disposeWhenForgotten();
    else cache.dispose();
  }

  /** What there is so far: int32 (rows, length). */
  private sequences(): Tensor {
    const length = this.prompt_length + this.shown;
    const data = new Int32Array(this.rows * length);
    for (const [i, row] of this.ids.entries()) data.set(row.subarray(0, length), i * length);
    return new Tensor("int32", data, [this.rows, length]);
  }

  private output(cache: KeyValueCache): GenerateOutput {
    const { config, kept } = this;
    return {
      sequences: this.sequences(),
      ...(config.output_scores ? { scores: kept.scores } : {}),
      ...(config.output_logits ? { logits: kept.logits } : {}),
      ...(this.keepsCache ? { past_key_values: cache } : {}),
    };
  }
}
