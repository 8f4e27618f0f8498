// Assisted decoding: tokens that are drafted cheaply are computed together in one step, and kept as far as they are what would
// have been chosen anyway. The answer is the same as without, sampled ones too: each token is chosen from the same scores
// by the same draw, whether it was drafted or not.
import type { Waiting } from "../callbacks.ts";
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import { type HeadWants, sharedFloats, type Target } from "../model/outputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { DraftLength } from "./draft_length.ts";
import { DraftedAnswer, type DraftedAnswerOwner } from "./drafted_answer.ts";
import { Assistant, type Draft, type Drafter, PromptLookup } from "./drafters.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import { Generation } from "./generation.ts";
import { HostScores } from "./host_scores.ts";
import { Sampler } from "./sampler.ts";
import type { StepScores } from "./stopping.ts";
import type { StepTensors } from "./strategy.ts";

/** Tokens drafted at most, whatever is asked for: a window lets 128 be taken back, and steps should stay short. */
const MOST_DRAFTED = 48;

export class AssistedGeneration extends Generation {
  protected readonly apart = false;
  private readonly most: number;
  private readonly lengths: DraftLength;
  /** The prompt's tokens without its padding. */
  private readonly text: number[];
  private drafter!: Drafter;
  private scores!: HostScores;
  private sampler!: Sampler;
  /** (drafts + 1, vocab) where the threads put what the model gives. */
  private values!: Float32Array;
  private last: StepTensors = {};
  /** What is being verified, when it was begun, and what of it is only judged: too dear to be computed. */
  private draft: Draft = { tokens: [], kind: 0 };
  private began_step = 0;
  private shadow: Draft = { tokens: [], kind: 0 };

  constructor(model: PreTrainedModel, inputs: GenerateInputs, config: ResolvedGenerationConfig) {
    super(model, inputs, config, config.num_return_sequences);
    const name = inputs.assistant_model ? "assistant_model" : "prompt_lookup_num_tokens";
    if (inputs.assistant_model && config.prompt_lookup_num_tokens !== null)
      throw new InputError("assistant_model and prompt_lookup_num_tokens both draft tokens: expected one of them");
    if (this.rows > 1) throw new InputError(`${name}: expected one row, found ${this.rows}`);
    if (this.guidance !== undefined) throw new InputError(`${name}: expected no guidance_scale beside it`);
    if (!this.prompt.ids) throw new InputError(`${name}: expected input_ids, found inputs_embeds`);
    const wanted = config.prompt_lookup_num_tokens ?? config.num_assistant_tokens;
    this.most = Math.min(wanted, MOST_DRAFTED);
    this.lengths = new DraftLength(this.most);
    const { ids, mask } = this.prompt;
    this.text = [...ids[0]].filter((_, i) => mask?.[0][i] !== 0);
  }

  protected open(): void {
    const { max_length, processors, config, inputs, most } = this;
    const { vocab } = this.engine.shape;
    this.drafter = inputs.assistant_model
      ? new Assistant(inputs.assistant_model, vocab, inputs.signal)
      : new PromptLookup(config.max_matching_ngram_size);
    this.scores = new HostScores(this.engine, { rows: 1, vocab, max_length, processors });
    this.sampler = new Sampler(this.scores.workspace, { do_sample: config.do_sample, seed: inputs.seed, rows: 1 });
    this.values = sharedFloats((most + 1) * vocab);
    this.drafter.prepare?.(this.text);
    this.timings.drafted_tokens = this.timings.accepted_tokens = 0;
  }

  protected async close(): Promise<void> {
    this.scores.close();
    await this.drafter.dispose();
  }

  protected override makeAnswer(cache: KeyValueCache, row: number, fresh: boolean): DraftedAnswer {
    const owner: DraftedAnswerOwner = {
      target: { data: this.values, stride: this.engine.shape.vocab, first: 0 } satisfies Target,
      ready: (answer) => {
        if (!this.over) this.guarded(this.verify(answer));
      },
      fail: (error) => this.fail(error),
    };
    return new DraftedAnswer(owner, cache.rows[row], this.promptRow(row), fresh);
  }

  protected head(): Omit<HeadWants, "rows"> {
    return {};
  }

  placeholder(): undefined {
    return undefined;
  }

  protected *advance(): Waiting<void> {}

  /** Chooses tokens from the scores that came, as long as they are those that were drafted; then drafts more. */
  private *verify(answer: DraftedAnswer): Waiting<void> {
    const { lengths, timings, draft, shadow } = this;
    const { tokens } = draft;
    if (answer.tokens.length > 0) lengths.observeStep(tokens.length + 1, performance.now() - this.began_step);
    let right = 0;
    for (let i = 0; i <= tokens.length; i++) {
      const token = yield* this.choose(i, answer.tokens.length);
      if (i === 0 && shadow.tokens.length > 0) lengths.observe(shadow.kind, 1, Number(shadow.tokens[0] === token));
      yield* this.accept([answer], Int32Array.of(token));
      if (i < tokens.length && token === tokens[i]) right++;
      else break;
      if (this.over) break;
    }
    lengths.observe(draft.kind, tokens.length, right);
    timings.drafted_tokens! += tokens.length;
    timings.accepted_tokens! += right;
    if (this.over) return;
    void this.propose(answer);
  }

  /** The token that the scores of a place give. */
  private *choose(place: number, index: number): Waiting<number> {
    const { scores, config, values, wants_logits } = this;
    const { vocab } = this.engine.shape;
    scores.set(0, values.subarray(place * vocab, (place + 1) * vocab));
    this.last = wants_logits ? { logits: scores.snapshot() } : {};
    yield* scores.process([this.ids[0].first(this.prompt_length + index)], new Set([0]));
    if (config.output_scores) this.last.scores = scores.snapshot();
    return this.sampler.select(scores.address(0), 0);
  }

  private async propose(answer: DraftedAnswer): Promise<void> {
    try {
      const drafted = this.nextDraft(answer);
      const draft = drafted instanceof Promise ? await drafted : drafted;
      if (this.over) return;
      this.draft = draft;
      this.began_step = performance.now();
      answer.propose(draft.tokens);
      this.engine.scheduler.wake();
    } catch (error) {
      this.fail(error);
    }
  }

  private nextDraft(answer: DraftedAnswer): Draft | Promise<Draft> {
    const { drafter, lengths, text } = this;
    const ids = [...text, ...answer.tokens];
    // Of what is chosen last nothing follows.
    const room = Math.max(0, Math.min(this.most, this.most_tokens - answer.tokens.length - 1));
    this.shadow = { tokens: [], kind: 0 };
    const none: Draft = { tokens: [], kind: 0 };
    const constant = this.config.num_assistant_tokens_schedule === "constant";
    if (drafter.free) {
      const draft = drafter.draft(ids, room) as Draft;
      const count = constant ? draft.tokens.length : lengths.choose(draft.kind, draft.tokens.length);
      if (count === 0) this.shadow = draft;
      return count === 0 ? none : { ...draft, tokens: draft.tokens.slice(0, count) };
    }
    const count = constant ? room : Math.min(room, lengths.choose(0, room) || (lengths.due ? 1 : 0));
    return count === 0 ? none : this.drafted(ids, count);
  }

  private async drafted(ids: readonly number[], count: number): Promise<Draft> {
    const began = performance.now();
    const draft = await this.drafter.draft(ids, count);
    this.lengths.observeDraft(draft.tokens.length, performance.now() - began);
    return draft;
  }

  protected tensors(): StepTensors {
    return this.last;
  }

  protected get step_scores(): StepScores {
    return this.scores.view;
  }
}
