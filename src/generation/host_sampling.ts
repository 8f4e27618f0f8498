// Sampling on the host, where functions of the caller have a say: the scores of all rows come here, and the next step waits.
import type { Waiting } from "../callbacks.ts";
import type { Engine } from "../model/engine.ts";
import type { HeadWants } from "../model/outputs.ts";
import type { Tensor } from "../tensor.ts";
import { HostScores } from "./host_scores.ts";
import type { IdRow } from "./id_row.ts";
import { Sampler } from "./sampler.ts";
import type { SamplingSettings, StepTensors, Strategy } from "./strategy.ts";

export class HostSampling implements Strategy {
  private readonly settings: SamplingSettings;
  private readonly scores: HostScores;
  private readonly sampler: Sampler;
  private last: StepTensors = {};

  /** @throws InputError when there is no room for the rows' scores */
  constructor(engine: Engine, settings: SamplingSettings) {
    this.settings = settings;
    const { do_sample, seed, rows } = settings;
    this.scores = new HostScores(engine, settings);
    this.sampler = new Sampler(this.scores.workspace, { do_sample, seed, rows });
  }

  wants(row: number): Omit<HeadWants, "head" | "rows"> {
    return { values: this.scores.target(row) };
  }

  placeholder(): undefined {
    return undefined;
  }

  *choose(rows: readonly number[], length: number, ids: readonly IdRow[]): Waiting<Int32Array> {
    const { scores, settings, sampler } = this;
    const goes_on = new Set(rows);
    scores.load(goes_on);
    this.last = settings.output_logits ? { logits: scores.snapshot() } : {};
    yield* scores.process(
      ids.map((row) => row.first(length)),
      goes_on,
    );
    if (settings.output_scores) this.last.scores = scores.snapshot();
    return Int32Array.from(rows, (row) => sampler.select(scores.address(row), row));
  }

  get step_scores(): Tensor {
    return this.scores.view;
  }

  tensors(): StepTensors {
    return this.last;
  }

  close(): void {
    this.scores.close();
  }
}
