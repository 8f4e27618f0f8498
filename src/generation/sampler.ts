// Choosing the next token from processed scores: the largest, or a seeded draw.
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { LogitsWorkspace } from "./logits_module.ts";

export interface SamplerOptions {
  do_sample: boolean;
  /** An integer; taken modulo 2^64. Without one every sampler is seeded differently. */
  seed?: number | bigint | null;
  rows: number;
}

/**
 * Chooses tokens for the rows of a batch. Each row has a generator of its own, which depends on the seed and the row's
 * number alone: what row 2 draws does not change with the rows beside it, nor with the runtime.
 */
export class Sampler {
  private readonly workspace: LogitsWorkspace;
  private readonly do_sample: boolean;

  /** @throws {@link InputError} when the seed is no integer */
  constructor(workspace: LogitsWorkspace, options: SamplerOptions) {
    this.workspace = workspace;
    this.do_sample = options.do_sample;
    const seed = toSeed(options.seed);
    for (let row = 0; row < options.rows; row++) workspace.exports.seed_row(this.state(row), seed, row);
  }

  private state(row: number): number {
    return this.workspace.states + 16 * row;
  }

  /**
   * The next token of a row from its scores, f32 [vocab_size] at `address`: the first of the largest, or a draw from
   * their softmax.
   * @throws {@link InputError} when the scores are no distribution: a NaN or infinity among them, or nothing left
   */
  select(address: number, row: number): number {
    const { exports, vocab_size, scratch } = this.workspace;
    const token = this.do_sample
      ? exports.draw(address, vocab_size, this.state(row), scratch)
      : exports.argmax(address, vocab_size);
    if (token < 0) throw this.undrawable(address, vocab_size, row);
    return token;
  }

  /**
   * Draws `count` different indices of `length` scores, one after the other (beam sampling draws over the scores of all
   * beams together). The scores drawn become -infinity.
   * @param length - at most the `span` of the workspace
   * @returns fewer where fewer have a probability above 0
   * @throws {@link InputError} when the scores are no distribution
   */
  draw_distinct(address: number, length: number, row: number, count: number): number[] {
    const { exports, scratch } = this.workspace;
    const scores = new Float32Array(this.workspace.memory.buffer, address, length);
    const drawn: number[] = [];
    while (drawn.length < count) {
      const index = exports.draw(address, length, this.state(row), scratch);
      if (index < 0) {
        if (drawn.length === 0 || scores.some((score) => !(score < Infinity)))
          throw this.undrawable(address, length, row);
        break;
      }
      scores[index] = -Infinity;
      drawn.push(index);
    }
    return drawn;
  }

  private undrawable(address: number, length: number, row: number): InputError {
    const scores = new Float32Array(this.workspace.memory.buffer, address, length);
    const at = scores.findIndex((score) => !(score < Infinity));
    const found = at < 0 ? "all of them -Infinity" : `${scores[at]} for token ${at}`;
    return new InputError(
      `row ${row}: no token can be chosen: expected scores below Infinity and one above -Infinity, found ${found}`,
    );
  }
}

/** @throws {@link InputError} when the seed is no integer */
export function toSeed(seed: number | bigint | null | undefined): bigint {
  if (seed === null || seed === undefined) return crypto.getRandomValues(new BigUint64Array(1))[0];
  if (typeof seed !== "bigint" && !Number.isInteger(seed))
    throw new InputError(`seed: expected an integer, found ${show(seed)}`);
  return BigInt.asUintN(64, BigInt(seed));
}
