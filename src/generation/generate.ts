// generate: prefill the prompts, then step by step process the logits, choose tokens, stream them, and ask whether to stop.
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import type { Engine } from "../model/engine.ts";
import type { CheckedInputs } from "../model/inputs.ts";
import type { MixtralPreTrainedModel } from "../model/mixtral.ts";
import { feed, settled } from "../model/sequence.ts";
import { Tensor } from "../tensor.ts";
import { definedOf, type GenerateInputs, promptOf, resolveConfig } from "./generate_inputs.ts";
import { LogitsWorkspace } from "./logits_module.ts";
import { idList } from "./logits_rules.ts";
import { build_logits_processors, type LogitsProcessorList } from "./processors.ts";
import { Sampler } from "./sampler.ts";
import {
  type CustomStoppingCriteria,
  EosTokenCriteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  type StoppingCriteriaList,
  StopStringCriteria,
  type TokenBytes,
  toStoppingCriteria,
} from "./stopping.ts";

export interface GenerateOutput {
  /** int32 (rows, length), prompt included. */
  sequences: Tensor;
  /** For each step float32 (rows, vocab), processed. */
  scores?: Tensor[];
  /** For each step float32 (rows, vocab), as the model gave them. */
  logits?: Tensor[];
  past_key_values?: KeyValueCache;
}

/** Positions of new tokens where neither length nor maximum is given, as in transformers. */
const DEFAULT_NEW_TOKENS = 20;

/** @throws {@link InputError} or ConfigError for what was passed; the signal's reason when aborted, with `partial` on it */
export async function generate(model: MixtralPreTrainedModel, inputs: GenerateInputs): Promise<GenerateOutput> {
  inputs.signal?.throwIfAborted();
  const generation = new Generation(model, inputs);
  const give_back = inputs.past_key_values?.acquire();
  try {
    const leave = await model.engine.slots.acquire(generation.rows, inputs.signal);
    try {
      return await generation.run();
    } finally {
      leave();
    }
  } finally {
    give_back?.();
    generation.release();
  }
}

class Generation {
  private readonly model: MixtralPreTrainedModel;
  private readonly engine: Engine;
  private readonly inputs: GenerateInputs;
  private readonly config: ResolvedGenerationConfig;
  private readonly eos: readonly number[];
  private readonly pad: number;
  private readonly prompt: CheckedInputs;
  /** Prompt and new tokens of each row; the first `length` count. */
  private readonly ids: Int32Array[];
  private length: number;
  private readonly prompt_length: number;
  /** Sequences: prompts, times the answers to each. */
  readonly rows: number;
  private readonly max_length: number;
  private readonly processors: LogitsProcessorList;
  private readonly criteria: StoppingCriteriaList;
  private workspace!: LogitsWorkspace;
  private workspace_at: { address: number; bytes: number } | undefined;
  private sampler!: Sampler;
  /** f32 (rows, vocab): the scores of the step. */
  private scores = 0;
  private readonly finished: boolean[];
  private cache: KeyValueCache | undefined;
  /** The cache's lengths after the last step that all rows finished. */
  private mark: readonly number[] = [];
  private readonly kept: { scores: Tensor[]; logits: Tensor[] } = { scores: [], logits: [] };

  constructor(model: MixtralPreTrainedModel, inputs: GenerateInputs) {
    this.model = model;
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
    this.length = this.prompt_length;
    const cached = prompt.ids ? 0 : prompt.checked.length;
    this.max_length = this.resolveLength(cached);
    this.ids = Array.from({ length: this.rows }, (_, row) => {
      const ids = new Int32Array(this.max_length).fill(this.pad);
      if (prompt.ids) ids.set(prompt.ids[Math.floor(row / copies)]);
      return ids;
    });
    this.finished = this.ids.map(() => false);
    if (inputs.streamer && this.rows > 1 && copies > 1)
      throw new InputError(`streamer: expected num_return_sequences 1, found ${copies}`);

    this.processors = build_logits_processors(
      {
        ...config,
        max_length: this.max_length,
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
    this.criteria = this.buildCriteria();
  }

  /** Takes the memory that the logits are processed in. */
  private takeWorkspace(): void {
    const { vocab } = this.engine.shape;
    const sizes = { vocab_size: vocab, rows: this.rows, ids: this.processors.list_ids(vocab, this.max_length) };
    const scores = Math.ceil((this.rows * vocab * 4) / 64) * 64;
    const bytes = scores + LogitsWorkspace.bytes(this.engine.logits, sizes);
    const address = this.engine.workspaces.take(bytes);
    if (address === undefined) {
      throw new InputError(
        `${this.rows} rows of ${this.max_length} tokens need ${bytes} bytes for logits, ${this.engine.workspaces.available} are free`,
      );
    }
    this.workspace_at = { address, bytes };
    this.scores = address;
    this.workspace = new LogitsWorkspace(this.engine.logits, this.engine.home, address + scores, sizes);
    const { do_sample } = this.config;
    this.sampler = new Sampler(this.workspace, { do_sample, seed: this.inputs.seed, rows: this.rows });
  }

  /** Each value as often as a prompt is to be answered. */
  private repeat<T>(values: readonly T[]): T[] {
    return values.flatMap((value) => Array.from({ length: this.config.num_return_sequences }, () => value));
  }

  /** Prompt and new tokens together, at most. @param hidden - prompt positions without ids (embeddings) */
  private resolveLength(hidden: number): number {
    const { config, model, prompt_length } = this;
    const given = {
      ...model.generation_config.to_dict(),
      ...definedOf(this.inputs.generation_config),
      ...definedOf(this.inputs),
    };
    const limit = model.context - hidden;
    if (prompt_length > limit || (hidden > 0 && limit <= 0))
      throw new InputError(
        `input_ids: a prompt of ${prompt_length + hidden} tokens, the context holds ${model.context}`,
      );
    let length: number;
    if (config.max_new_tokens !== null) length = prompt_length + config.max_new_tokens;
    else if (given.max_length !== undefined) {
      length = config.max_length;
      if (prompt_length >= length)
        throw new InputError(`max_length: expected more than the prompt's ${prompt_length} tokens, found ${length}`);
    } else length = prompt_length + DEFAULT_NEW_TOKENS;
    if (length > limit && config.max_new_tokens !== null)
      throw new InputError(
        `max_new_tokens: ${prompt_length + hidden} prompt tokens and ${config.max_new_tokens} new ones, the context holds ${model.context}`,
      );
    return Math.min(length, limit);
  }

  private buildCriteria(): StoppingCriteriaList {
    const { config, inputs } = this;
    const criteria: CustomStoppingCriteria[] = [new MaxLengthCriteria(this.max_length)];
    if (config.max_time !== null) criteria.push(new MaxTimeCriteria(config.max_time));
    if (config.stop_strings !== null)
      criteria.push(new StopStringCriteria(inputs.tokenizer as TokenBytes, config.stop_strings));
    if (this.eos.length) criteria.push(new EosTokenCriteria(this.eos));
    criteria.push(...toStoppingCriteria(inputs.stopping_criteria).criteria);
    return toStoppingCriteria(criteria);
  }

  async run(): Promise<GenerateOutput> {
    const { streamer, signal } = this.inputs;
    this.takeWorkspace();
    try {
      const base = this.prompt.rows.length;
      const shown = this.ids.slice(0, base).map((row) => row.subarray(0, this.prompt_length));
      streamer?.put(shown);
      await this.prefill();
      while (true) {
        this.choose();
        streamer?.put(this.ids.map((row) => row.subarray(this.length - 1, this.length)));
        this.stop();
        if (this.finished.every(Boolean)) break;
        signal?.throwIfAborted();
        await this.decode();
      }
      streamer?.end();
    } catch (error) {
      this.cache?.restore(this.mark);
      if (signal?.aborted && error === signal.reason && typeof error === "object" && error !== null)
        (error as { partial?: Tensor }).partial = this.sequences();
      throw error;
    }
    return this.output();
  }

  /** Runs the prompts; copies of a prompt share its computation. Leaves the last positions' logits in `scores`. */
  private async prefill(): Promise<void> {
    const { model, engine, inputs, prompt } = this;
    const { num_return_sequences: copies, prefill_chunk_size, use_cache } = this.config;
    if (!use_cache) throw new InputError("use_cache: generate always uses its cache");
    const base = prompt.rows.length;
    const given = inputs.past_key_values;
    if (given && copies > 1) throw new InputError("past_key_values: expected num_return_sequences 1 with a cache");
    const added = this.max_length - this.prompt_length;
    // The last token that is chosen is never fed.
    const positions = (row: number) => prompt.rows[row].columns.length + added - 1;
    this.cache = given ?? model.create_cache(base, Math.max(...prompt.rows.map((_, row) => positions(row))));
    const { cache } = this;
    this.mark = cache.mark();
    for (let row = 0; row < base; row++)
      cache.reserve(row, given ? positions(row) : prompt.rows[row].columns.length, model.context);
    await settled(
      prompt.rows.map((row, b) => {
        const last = row.columns.length - 1;
        const options = {
          wants: (i: number) => i === last,
          chunk: prefill_chunk_size ?? undefined,
          signal: inputs.signal,
        };
        return feed(engine, cache.sequences[b], row, options, ({ logits, wanted }) => {
          if (wanted.length) for (let copy = 0; copy < copies; copy++) this.takeLogits(b * copies + copy, logits);
        });
      }),
    );
    cache.advance(prompt.length);
    this.mark = cache.mark();
    if (copies > 1) {
      this.cache = cache.repeat(copies);
      this.mark = this.cache.mark();
      cache.dispose();
    }
  }

  /** Copies one row of logits, (vocab), into `scores`, before the engine's next step overwrites it. */
  private takeLogits(row: number, address: number): void {
    const { vocab } = this.engine.shape;
    const from = new Uint8Array(this.engine.home.buffer, address, vocab * 4);
    new Uint8Array(this.engine.home.buffer, this.scores + row * vocab * 4, vocab * 4).set(from);
  }

  /** A copy of the scores, for those who asked for them. */
  private snapshot(): Tensor {
    const { vocab } = this.engine.shape;
    return new Tensor("float32", this.workspace.view(this.scores, this.rows).slice(), [this.rows, vocab]);
  }

  /** Processes the scores and appends a token to each row: its choice, or padding where it is finished. */
  private choose(): void {
    const { config, length, ids } = this;
    if (config.output_logits) this.kept.logits.push(this.snapshot());
    this.processors.process(
      this.workspace,
      ids.map((row) => row.subarray(0, length)),
      this.scores,
    );
    if (config.output_scores) this.kept.scores.push(this.snapshot());
    for (let row = 0; row < this.rows; row++) {
      if (!this.finished[row])
        ids[row][length] = this.sampler.select(this.scores + row * this.engine.shape.vocab * 4, row);
    }
    this.length++;
  }

  private stop(): void {
    const scores = this.inputs.stopping_criteria
      ? new Tensor("float32", this.workspace.view(this.scores, this.rows), [this.rows, this.engine.shape.vocab])
      : undefined;
    const done = this.criteria._call(
      this.ids.map((row) => row.subarray(0, this.length)),
      scores,
    );
    const { vocab } = this.engine.shape;
    for (let row = 0; row < this.rows; row++) {
      if (!done[row] || this.finished[row]) continue;
      this.finished[row] = true;
      // No more logits come for it: what is left would be processed again and again.
      this.workspace.view(this.scores + row * vocab * 4).fill(0);
    }
  }

  /** One step of all rows that go on. */
  private async decode(): Promise<void> {
    const { engine, ids, length } = this;
    const sequences = this.cache!.sequences;
    const active = sequences.map((_, row) => row).filter((row) => !this.finished[row]);
    const { rows: limit, logit_rows } = engine.state;
    const width = Math.min(limit, logit_rows);
    const parts: Promise<void>[] = [];
    for (let at = 0; at < active.length; at += width) {
      const rows = active.slice(at, at + width);
      const part = {
        rows: rows.length,
        tokens: Int32Array.from(rows, (row) => ids[row][length - 1]),
        positions: Uint32Array.from(rows, (row) => sequences[row].length),
        sequences: rows.map((row, i) => ({ row: i, rows: 1, first: sequences[row].length, ring: sequences[row].ring })),
        logit_rows: Uint32Array.from(rows, (_, i) => i),
      };
      const read = (logits: number) => {
        rows.forEach((row, i) => {
          sequences[row].length++;
          this.takeLogits(row, logits + i * engine.state.logits_stride * 4);
        });
      };
      parts.push(engine.submit(part, read, this.inputs.signal));
    }
    await settled(parts);
    this.cache!.advance(1);
    this.mark = this.cache!.mark();
  }

  /** What there is so far: int32 (rows, length). */
  private sequences(): Tensor {
    const data = new Int32Array(this.rows * this.length);
    for (const [i, row] of this.ids.entries()) data.set(row.subarray(0, this.length), i * this.length);
    return new Tensor("int32", data, [this.rows, this.length]);
  }

  private output(): GenerateOutput {
    const { config, kept, inputs } = this;
    const keeps = config.return_dict_in_generate || inputs.past_key_values;
    return {
      sequences: this.sequences(),
      ...(config.output_scores ? { scores: kept.scores } : {}),
      ...(config.output_logits ? { logits: kept.logits } : {}),
      ...(keeps ? { past_key_values: this.cache } : {}),
    };
  }

  /** Gives back what the caller does not get. */
  release(): void {
    if (this.workspace_at) this.engine.workspaces.give(this.workspace_at.address, this.workspace_at.bytes);
    const returned = this.config.return_dict_in_generate && this.finished.every(Boolean);
    if (!this.cache || this.cache === this.inputs.past_key_values) return;
    if (returned) this.cache.disposeWhenForgotten();
    else this.cache.dispose();
  }
}
