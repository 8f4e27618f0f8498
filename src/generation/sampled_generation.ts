// Greedy search and sampling: each row's next token is the largest of its scores, or a draw. The threads choose it at the
// end of a step; the host does where functions of the caller, or guidance, have a say.
import type { Waiting } from "../callbacks.ts";
import type { ResolvedGenerationConfig } from "../config/generation_config.ts";
import type { HeadWants } from "../model/outputs.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";
import type { Answer } from "./answer.ts";
import type { GenerateInputs } from "./generate_inputs.ts";
import { Generation, type RowSequence } from "./generation.ts";
import { HostSampling } from "./host_sampling.ts";
import { lookAtScores, type StepScores } from "./stopping.ts";
import type { StepTensors, Strategy } from "./strategy.ts";
import { TeamSampling } from "./team_sampling.ts";

export class SampledGeneration extends Generation {
  /** The threads draw, and no function of the caller looks at all rows: each goes on by itself. */
  protected readonly apart: boolean;
  private strategy!: Strategy;

  constructor(model: PreTrainedModel, inputs: GenerateInputs, config: ResolvedGenerationConfig) {
    super(model, inputs, config, config.num_return_sequences);
    const as_data = this.processors.operations(0) !== undefined && !lookAtScores(this.criteria);
    this.apart = as_data && this.guidance === undefined;
  }

  protected open(prompts: readonly Int32Array[]): void {
    const { rows, max_length, processors, eos, config, inputs, wants_logits, guidance } = this;
    const { do_sample, output_scores } = config;
    const { vocab } = this.engine.shape;
    const output_logits = wants_logits;
    const base = { rows, vocab, max_length, processors, do_sample, seed: inputs.seed, eos };
    const settings = { ...base, output_logits, output_scores, guidance };
    this.strategy = this.apart
      ? new TeamSampling(this.engine, settings, prompts)
      : new HostSampling(this.engine, settings);
  }

  protected close(): void {
    this.strategy.close();
  }

  protected head(row: number, index: number): Omit<HeadWants, "rows"> {
    return this.strategy.wants(row, index, this.prompt_length + index);
  }

  placeholder(answer: Answer): number | undefined {
    return this.strategy.placeholder(answer.row);
  }

  protected *advance(answer: RowSequence): Waiting<void> {
    if (this.apart) while (this.isReady([answer])) yield* this.choose([answer]);
    else while (this.isReady(this.going)) yield* this.choose(this.going);
  }

  private *choose(rows: readonly RowSequence[]): Waiting<void> {
    const length = this.prompt_length + rows[0].tokens.length;
    const chosen = this.strategy.choose(
      rows.map(({ row }) => row),
      length,
      this.ids,
    );
    yield* this.accept(rows, chosen instanceof Int32Array ? chosen : yield* chosen);
  }

  protected tensors(index: number): StepTensors {
    return this.strategy.tensors(index);
  }

  protected get step_scores(): StepScores {
    return this.strategy.step_scores;
  }
}
