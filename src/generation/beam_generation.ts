// Beam search: of all ways in which the beams of a prompt may go on the best are kept, or drawn where sampling is asked for.
// A beam is a sequence of the scheduler's; where it goes on from another one, it refers to that one's pages.
import type { Waiting } from "../callbacks.ts";
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import type { HeadWants } from "../model/outputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import { Tensor } from "../tensor.ts";
import { type Beam, BeamSearch, type Candidate } from "./beam_search.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import type { GenerateOutput } from "./generate_output.ts";
import { Generation } from "./generation.ts";
import { HostScores } from "./host_scores.ts";
import { largest } from "./largest.ts";
import { Sampler } from "./sampler.ts";
import type { FinishReason, StepScores } from "./stopping.ts";
import type { StepTensors } from "./strategy.ts";

export class BeamGeneration extends Generation {
  protected readonly apart = false;
  private readonly searches: readonly BeamSearch[];
  private scores!: HostScores;
  private sampler!: Sampler;

  constructor(model: PreTrainedModel, inputs: GenerateInputs, config: ResolvedGenerationConfig) {
    super(model, inputs, config, config.num_beams);
    if (inputs.streamer) throw new InputError("streamer: beams are not known before the end; expected num_beams 1");
    if (inputs.top_logprobs != null)
      throw new InputError("top_logprobs: expected num_beams 1; beams have compute_transition_scores");
    const { num_beams, length_penalty, early_stopping } = config;
    this.searches = this.prompt.checked.rows.map(
      (_, prompt) =>
        new BeamSearch(
          {
            num_beams,
            length_penalty,
            early_stopping,
            most_tokens: this.most_tokens,
            ends: this.eos.length,
            first_row: prompt * num_beams,
          },
          this.engine.logits.exports,
        ),
    );
  }

  protected open(): void {
    const { rows, max_length, processors, config, inputs, guidance, copies } = this;
    const { vocab } = this.engine.shape;
    this.scores = new HostScores(this.engine, { rows, vocab, max_length, processors, together: copies, guidance });
    const { do_sample } = config;
    this.sampler = new Sampler(this.scores.workspace, { do_sample, seed: inputs.seed, rows: this.searches.length });
  }

  protected close(): void {
    this.scores.close();
  }

  protected head(row: number): Omit<HeadWants, "rows"> {
    return { values: this.scores.target(row) };
  }

  placeholder(): undefined {
    return undefined;
  }

  protected *advance(): Waiting<void> {
    while (this.isReady(this.going)) yield* this.step();
  }

  private *step(): Waiting<void> {
    const { scores, going, config } = this;
    const length = this.prompt_length + going[0].tokens.length;
    const goes_on = new Set(going.map(({ row }) => row));
    const kept: StepTensors = {};
    scores.load(goes_on);
    if (config.output_logits) kept.logits = scores.snapshot();
    for (const row of goes_on) scores.logSoftmax(row);
    yield* scores.process(
      this.ids.map((row) => row.first(length)),
      goes_on,
    );
    if (config.output_scores) kept.scores = scores.snapshot();
    this.keep(kept);
    const searches = [...this.searches.entries()].filter(([, search]) => !search.done);
    const candidates = searches.map(([prompt, search]) => this.candidates(search, prompt));
    const reasons = yield* this.reasons(searches, candidates);
    const pages = this.forkPages();
    try {
      for (const [i, [prompt, search]] of searches.entries()) {
        const sources = search.advance(candidates[i], reasons[i]);
        this.follow(prompt, search, sources, pages, length);
      }
    } finally {
      for (const each of pages) each.release();
    }
    this.count(goes_on.size);
    this.shown++;
    if (this.finished.every(Boolean)) this.succeed();
    else this.engine.scheduler.wake();
  }

  /** The ways that a prompt's beams may go on in, the best first, or as they are drawn. */
  private candidates(search: BeamSearch, prompt: number): Candidate[] {
    const { scores, copies, config, sampler } = this;
    const { vocab } = this.engine.shape;
    const address = scores.address(prompt * copies);
    const all = scores.workspace.view(address, copies);
    for (const [beam, { score }] of search.running.entries())
      for (let i = beam * vocab; i < (beam + 1) * vocab; i++) all[i] += score;
    const count = Math.min(search.candidates, all.length);
    const totals = all.slice();
    const chosen = config.do_sample ? sampler.draw_distinct(address, all.length, prompt, count) : [];
    // Where too few have a probability, those that have none fill up, the best first.
    for (const i of chosen) all[i] = -Infinity;
    if (chosen.length < count) chosen.push(...largest(all, count - chosen.length, new Set(chosen)));
    return chosen.map((i) => ({ beam: Math.floor(i / vocab), token: i % vocab, score: totals[i] }));
  }

  /** For each search whether, and why, its candidates are finished. */
  private *reasons(
    searches: readonly [number, BeamSearch][],
    candidates: readonly (readonly Candidate[])[],
  ): Waiting<(FinishReason | undefined)[][]> {
    const rows = searches.flatMap(([prompt, search], i) =>
      candidates[i].map((candidate) => this.rowOf(prompt, search.tokensOf(candidate))),
    );
    const all = yield* this.criteria.asking(rows, this.step_scores);
    let at = 0;
    return candidates.map(({ length }) => {
      at += length;
      return all.slice(at - length, at);
    });
  }

  private rowOf(prompt: number, tokens: readonly number[]): Int32Array {
    const row = new Int32Array(this.prompt_length + tokens.length);
    row.set(this.ids[prompt * this.copies].first(this.prompt_length));
    row.set(tokens, this.prompt_length);
    return row;
  }

  /** (row, then companion) lists of the pages that each has now. */
  private forkPages() {
    return [...this.answers, ...this.companions].map(({ pages }) => pages.fork());
  }

  /** Has the rows of a prompt go on from where the search says. */
  private follow(
    prompt: number,
    search: BeamSearch,
    sources: readonly number[],
    pages: ReturnType<BeamGeneration["forkPages"]>,
    length: number,
  ): void {
    const first = prompt * this.copies;
    for (const [beam, { tokens }] of search.running.entries()) {
      const row = first + beam;
      this.ids[row].set(tokens, this.prompt_length);
      for (const [answer, offset] of [
        [this.answers[row], 0],
        [this.companions[row], this.rows],
      ] as const) {
        if (!answer) continue;
        if (sources[beam] !== beam) {
          const from = pages[offset + first + sources[beam]];
          answer.pages.adopt(from, from.length);
        }
        answer.tokens.splice(0, length, ...tokens);
        if (search.done) answer.stop();
      }
      if (search.done) this.finished[row] = "length";
    }
  }

  protected tensors(): StepTensors {
    return {};
  }

  protected get step_scores(): StepScores {
    return this.scores.view;
  }

  /** The best of each prompt. */
  private get results(): Beam[] {
    const { num_return_sequences } = this.config;
    return this.searches.flatMap(({ results }) => results.slice(0, num_return_sequences));
  }

  protected override sequences(): Tensor {
    const { results, prompt_length, eos } = this;
    const most = Math.max(...results.map(({ tokens }) => tokens.length));
    // As transformers fills, to whom a pad of 0 is none.
    const fill = this.config.pad_token_id || eos[0] || this.pad;
    const data = new Int32Array(results.length * (prompt_length + most)).fill(fill);
    for (const [i, { tokens }] of results.entries()) {
      const prompt = Math.floor(i / this.config.num_return_sequences);
      data.set(this.rowOf(prompt, tokens), i * (prompt_length + most));
    }
    return new Tensor("int32", data, [results.length, prompt_length + most]);
  }

  protected override get finish_reasons(): FinishReason[] {
    return this.results.map(({ reason }) => reason ?? "length");
  }

  protected override output(cache: KeyValueCache): GenerateOutput {
    const { results } = this;
    const most = Math.max(...results.map(({ tokens }) => tokens.length));
    const indices = new Int32Array(results.length * most).fill(-1);
    for (const [i, beam] of results.entries()) indices.set(beam.indices, i * most);
    return {
      ...super.output(cache),
      ...(this.config.output_scores
        ? {
            sequences_scores: new Tensor(
              "float32",
              Float32Array.from(results, ({ score }) => score),
              [results.length],
            ),
          }
        : {}),
      beam_indices: new Tensor("int32", indices, [results.length, most]),
    };
  }
}
