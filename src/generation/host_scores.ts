// The scores of a generation's rows on the host, where functions of the caller, beams or drafts have a say: the threads put
// what the model gives into memory that they share, and the processors work on a copy of it.
import type { Waiting } from "../callbacks.ts";
import { InputError } from "../errors.ts";
import { alignUp } from "../memory/bank.ts";
import type { Engine } from "../model/engine.ts";
import { sharedFloats, type Target } from "../model/outputs.ts";
import { Tensor } from "../tensor.ts";
import { LogitsWorkspace } from "./logits_module.ts";
import type { LogitsProcessorList } from "./processors.ts";

export interface HostScoresSettings {
  readonly rows: number;
  readonly vocab: number;
  /** Ids of a row at most. */
  readonly max_length: number;
  readonly processors: LogitsProcessorList;
  /** Rows whose scores are drawn from together; 1 by default. */
  readonly together?: number;
  /** How far scores are pushed away from those of companions, which give rows `rows` and on; none where undefined. */
  readonly guidance?: number;
}

export class HostScores {
  readonly workspace: LogitsWorkspace;
  private readonly engine: Engine;
  private readonly settings: HostScoresSettings;
  /** f32 (rows and companions, vocab), for logits.wasm; what lies behind it is the workspace. */
  private readonly scores: number;
  private readonly bytes: number;
  /** (rows and companions, vocab) where the threads put what the model gives. */
  private readonly values: Float32Array;

  /** @throws {@link InputError} when there is no room for the rows' scores */
  constructor(engine: Engine, settings: HostScoresSettings) {
    this.engine = engine;
    this.settings = settings;
    const { rows, vocab, max_length, processors, together = 1, guidance } = settings;
    const { regions, memory, exports } = engine.logits;
    const all = guidance === undefined ? rows : 2 * rows;
    const sizes = { vocab_size: vocab, rows, ids: processors.list_ids(vocab, max_length), span: together * vocab };
    const scores = alignUp(all * vocab * 4, 64);
    this.bytes = scores + LogitsWorkspace.bytes(exports, sizes);
    const address = regions.take(this.bytes);
    if (address === undefined)
      throw new InputError(
        `${rows} rows of ${max_length} tokens need ${this.bytes} bytes for logits, ${regions.available} are free`,
      );
    this.scores = address;
    this.workspace = new LogitsWorkspace(exports, memory, address + scores, sizes);
    this.values = sharedFloats(all * vocab);
  }

  /** Where the threads put what the model gives for a row; of a companion the row's number and `rows` more. */
  target(row: number): Target {
    return { data: this.values, stride: this.settings.vocab, first: row };
  }

  /** Address of a row's scores: f32 (vocab). */
  address(row: number): number {
    return this.scores + row * this.settings.vocab * 4;
  }

  /** Of all rows: float32 (rows, vocab), a view. */
  get view(): Tensor {
    const { rows, vocab } = this.settings;
    return new Tensor("float32", this.workspace.view(this.scores, rows), [rows, vocab]);
  }

  /** A copy of `view`. */
  snapshot(): Tensor {
    const { data, dims } = this.view;
    return new Tensor("float32", (data as Float32Array).slice(), dims);
  }

  /** Takes what the model has given. Of rows that are finished the scores are 0: no more logits come for them. */
  load(goes_on: ReadonlySet<number>): void {
    const { values, settings } = this;
    const { rows, vocab } = settings;
    for (let row = 0; row < rows; row++) if (!goes_on.has(row)) values.fill(0, row * vocab, (row + 1) * vocab);
    this.workspace.view(this.scores, values.length / vocab).set(values);
  }

  /** Takes the scores of a row that came another way. */
  set(row: number, values: Float32Array): void {
    this.workspace.view(this.address(row)).set(values);
  }

  /** Turns a row's scores into log-probabilities. */
  logSoftmax(row: number): void {
    this.workspace.exports.log_softmax(this.address(row), this.settings.vocab, this.workspace.scratch);
  }

  /**
   * Processes the scores of the rows that go on: first by guidance, then by the processors, of which some may have to be
   * waited for.
   * @param ids - for each row the prompt and the generated ids, all of one length
   */
  *process(ids: readonly Int32Array[], goes_on: ReadonlySet<number>): Waiting<void> {
    const { settings, workspace } = this;
    if (settings.guidance !== undefined) for (const row of goes_on) this.guide(row, settings.guidance);
    yield* settings.processors.processing(workspace, ids, this.scores, goes_on);
  }

  /** log p = log p' + scale · (log p − log p'), with p' of the row's companion. */
  private guide(row: number, scale: number): void {
    const { workspace, settings } = this;
    const companion = settings.rows + row;
    this.logSoftmax(row);
    this.logSoftmax(companion);
    const own = workspace.view(this.address(row));
    const other = workspace.view(this.address(companion));
    const factor = Math.fround(scale);
    for (let i = 0; i < own.length; i++) own[i] = Math.fround(factor * Math.fround(own[i] - other[i])) + other[i];
  }

  close(): void {
    this.engine.logits.regions.give(this.scores, this.bytes);
  }
}
