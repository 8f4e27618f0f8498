// Sampling on the host, where functions of the caller have a say: the scores of all rows come here, and the next step waits.
import { InputError } from "../errors.ts";
import { alignUp } from "../memory/bank.ts";
import type { Engine } from "../model/engine.ts";
import { type HeadWants, sharedFloats } from "../model/outputs.ts";
import { Tensor } from "../tensor.ts";
import { LogitsWorkspace } from "./logits_module.ts";
import { Sampler } from "./sampler.ts";
import type { SamplingSettings, StepTensors, Strategy } from "./strategy.ts";

export class HostSampling implements Strategy {
  private readonly engine: Engine;
  private readonly settings: SamplingSettings;
  private readonly workspace: LogitsWorkspace;
  private readonly sampler: Sampler;
  /** f32 (rows, vocab): the scores of the step, for logits.wasm; what lies behind it is the workspace. */
  private readonly scores: number;
  private readonly bytes: number;
  /** (rows, vocab) where the threads put what the model gives. */
  private readonly values: Float32Array;
  private last: StepTensors = {};

  /** @throws {@link InputError} when there is no room for the rows' scores */
  constructor(engine: Engine, settings: SamplingSettings) {
    this.engine = engine;
    this.settings = settings;
    const { rows, vocab, max_length, processors, do_sample, seed } = settings;
    const { regions, memory, exports } = engine.logits;
    const sizes = { vocab_size: vocab, rows, ids: processors.list_ids(vocab, max_length) };
    const scores = alignUp(rows * vocab * 4, 64);
    this.bytes = scores + LogitsWorkspace.bytes(exports, sizes);
    const address = regions.take(this.bytes);
    if (address === undefined)
      throw new InputError(
        `${rows} rows of ${max_length} tokens need ${this.bytes} bytes for logits, ${regions.available} are free`,
      );
    this.scores = address;
    this.workspace = new LogitsWorkspace(exports, memory, address + scores, sizes);
    this.sampler = new Sampler(this.workspace, { do_sample, seed, rows });
    this.values = sharedFloats(rows * vocab);
  }

  wants(row: number): Omit<HeadWants, "head" | "rows"> {
    return { values: { data: this.values, stride: this.settings.vocab, first: row } };
  }

  placeholder(): undefined {
    return undefined;
  }

  /** Of rows that are finished the scores are 0: no more logits come for them. */
  choose(rows: readonly number[], length: number, ids: readonly Int32Array[]): Int32Array {
    const { workspace, settings, values } = this;
    const { vocab, processors, output_logits, output_scores } = settings;
    const goes_on = new Set(rows);
    for (let row = 0; row < settings.rows; row++) if (!goes_on.has(row)) values.fill(0, row * vocab, (row + 1) * vocab);
    const scores = workspace.view(this.scores, settings.rows);
    scores.set(values);
    const snapshot = () => new Tensor("float32", scores.slice(), [settings.rows, vocab]);
    this.last = output_logits ? { logits: snapshot() } : {};
    const known = ids.map((row) => row.subarray(0, length));
    processors.process(workspace, known, this.scores, goes_on);
    if (output_scores) this.last.scores = snapshot();
    return Int32Array.from(rows, (row) => this.sampler.select(this.scores + row * vocab * 4, row));
  }

  get step_scores(): Tensor {
    const { rows, vocab } = this.settings;
    return new Tensor("float32", this.workspace.view(this.scores, rows), [rows, vocab]);
  }

  tensors(): StepTensors {
    return this.last;
  }

  close(): void {
    this.engine.logits.regions.give(this.scores, this.bytes);
  }
}
