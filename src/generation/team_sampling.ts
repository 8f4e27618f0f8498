// Sampling on the threads: each row has a slot in the engine's memory, with its generator and its ids, and a list of
// operations as data; the threads process the scores and draw at the end of the step, so the next one can follow at once.
import { InputError, MemoryError } from "../errors.ts";
import { alignUp } from "../memory/bank.ts";
import type { Engine } from "../model/engine.ts";
import { type HeadWants, sharedFloats, type Target } from "../model/outputs.ts";
import { drawnToken, slotWords } from "../model/sampling.ts";
import { Tensor } from "../tensor.ts";
import { toSeed } from "./sampler.ts";
import type { SamplingSettings, StepTensors, Strategy } from "./strategy.ts";

/** Samplers are numbered over all models: a number is never used twice. */
let samplers = 0;

/** The multiple at which slots and lists begin. */
const GRAIN = 64;

export class TeamSampling implements Strategy {
  readonly step_scores = undefined;
  private readonly engine: Engine;
  private readonly settings: SamplingSettings;
  private readonly address: number;
  private readonly bytes: number;
  private readonly slot_bytes: number;
  /** The sampler of row 0; the others follow. */
  private readonly first_id: number;
  /** (index of a step) what is kept of it. */
  private readonly kept: { logits?: Float32Array; scores?: Float32Array }[] = [];

  /**
   * @param ids - the rows' prompts
   * @throws {@link MemoryError} when there is no room for the rows' slots
   */
  constructor(engine: Engine, settings: SamplingSettings, ids: readonly Int32Array[]) {
    this.engine = engine;
    this.settings = settings;
    const { rows, vocab, max_length, processors, do_sample, eos } = settings;
    const { regions, memory, exports } = engine.logits;
    this.slot_bytes = alignUp((slotWords.ids + max_length) * 4, GRAIN);
    const operations = ids.map((_, row) => processors.operations(row)!);
    // Lists are the same for all rows.
    const lists = operations[0].flatMap(({ list }) => (list ? [list.ids] : []));
    this.bytes = rows * this.slot_bytes + lists.reduce((sum, list) => sum + alignUp(list.byteLength, GRAIN), 0);
    const address = regions.take(this.bytes);
    if (address === undefined)
      throw new MemoryError(
        `${rows} rows of ${max_length} tokens need ${this.bytes} bytes for their ids, ${regions.available} are free`,
        this.bytes,
        regions.available,
      );
    this.address = address;
    let at = address + rows * this.slot_bytes;
    const list_addresses = lists.map((list) => {
      const here = at;
      new Int32Array(memory.buffer, here, list.length).set(list);
      at += alignUp(list.byteLength, GRAIN);
      return here;
    });
    this.first_id = samplers;
    samplers += rows;
    const seed = toSeed(settings.seed);
    for (const [row, prompt] of ids.entries()) {
      const slot = this.slot(row);
      new Int32Array(memory.buffer, slot, slotWords.ids).fill(0);
      exports.seed_row(slot, seed, row);
      new Int32Array(memory.buffer, slot + slotWords.ids * 4, prompt.length).set(prompt);
      engine.notify({
        type: "sampler",
        sampler: {
          id: this.first_id + row,
          slot,
          vocab,
          do_sample,
          operations: operations[row],
          lists: list_addresses,
          eos,
        },
      });
    }
  }

  private slot(row: number): number {
    return this.address + row * this.slot_bytes;
  }

  private words(row: number): Int32Array {
    return new Int32Array(this.engine.logits.memory.buffer, this.slot(row), this.slot_bytes / 4);
  }

  wants(row: number, index: number, length: number): Omit<HeadWants, "head" | "rows"> {
    const { output_logits, output_scores, rows, vocab } = this.settings;
    const target = (data: Float32Array | undefined): Target | undefined => data && { data, stride: vocab, first: row };
    if (output_logits || output_scores) {
      this.kept[index] ??= {
        ...(output_logits ? { logits: sharedFloats(rows * vocab) } : {}),
        ...(output_scores ? { scores: sharedFloats(rows * vocab) } : {}),
      };
    }
    return {
      values: target(this.kept[index]?.logits),
      scores: target(this.kept[index]?.scores),
      draws: { samplers: Uint32Array.of(this.first_id + row), lengths: Uint32Array.of(length) },
    };
  }

  placeholder(row: number): number {
    return drawnToken(this.slot(row));
  }

  choose(rows: readonly number[], length: number): Int32Array {
    return Int32Array.from(rows, (row) => {
      const words = this.words(row);
      const token = words[slotWords.ids + length];
      if (token < 0)
        throw undrawable(
          row,
          words[slotWords.bad_at],
          new Float32Array(words.buffer, words.byteOffset)[slotWords.bad_value],
        );
      return token;
    });
  }

  tensors(index: number): StepTensors {
    const { rows, vocab } = this.settings;
    const { logits, scores } = this.kept[index] ?? {};
    delete this.kept[index];
    const tensor = (data: Float32Array) => new Tensor("float32", new Float32Array(data), [rows, vocab]);
    return { ...(logits ? { logits: tensor(logits) } : {}), ...(scores ? { scores: tensor(scores) } : {}) };
  }

  close(): void {
    for (let row = 0; row < this.settings.rows; row++)
      this.engine.notify({ type: "forget_sampler", id: this.first_id + row });
    this.engine.logits.regions.give(this.address, this.bytes);
  }
}

/** @param at - the first score that is not below infinity; −1 where all are −infinity */
function undrawable(row: number, at: number, value: number): InputError {
  const found = at < 0 ? "all of them -Infinity" : `${value} for token ${at}`;
  return new InputError(
    `row ${row}: no token can be chosen: expected scores below Infinity and one above -Infinity, found ${found}`,
  );
}
