// Beam search over one prompt, as numbers alone: which beams go on after a step, which are finished, and when all is done.
// Source: transformers' `_beam_search`, whose arithmetic in float32 this follows; what is done there for a batch together
// is done here for each prompt by itself.
import type { ExactMath } from "../model/probabilities.ts";
import type { FinishReason } from "./stopping.ts";

const f32 = Math.fround;

/** What keeps a beam from being chosen. */
const NEVER = -1e9;

/** A beam: its new tokens, the sum of their log-probabilities, and which row of the batch each came from. */
export interface Beam {
  readonly tokens: readonly number[];
  readonly score: number;
  readonly indices: readonly number[];
  /** Why it is finished. */
  readonly reason?: FinishReason;
}

/** A way that a beam may go on. */
export interface Candidate {
  /** Of the running beams. */
  readonly beam: number;
  readonly token: number;
  /** Of the beam with the token. */
  readonly score: number;
}

interface Finished extends Beam {
  readonly done: boolean;
}

export interface BeamSettings {
  readonly num_beams: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean | "never";
  /** New tokens at most. */
  readonly most_tokens: number;
  /** Ids that end a sequence: as many candidates more are looked at, so that some always go on. */
  readonly ends: number;
  /** The first row of the batch that is the prompt's. */
  readonly first_row: number;
}

export class BeamSearch {
  readonly settings: BeamSettings;
  running: readonly Beam[];
  private finished: readonly Finished[];
  private improvable = true;
  /** Whether nothing more is to be found. */
  done = false;
  private readonly math: ExactMath;

  constructor(settings: BeamSettings, math: ExactMath) {
    this.settings = settings;
    this.math = math;
    const beam = { tokens: [], indices: [] };
    const { num_beams } = settings;
    // All begin alike: only the first one's ways are taken.
    this.running = Array.from({ length: num_beams }, (_, i) => ({ ...beam, score: i === 0 ? 0 : NEVER }));
    this.finished = this.running.map(() => ({ ...beam, score: NEVER, done: false }));
  }

  /** Candidates that a step looks at. */
  get candidates(): number {
    return Math.max(2, 1 + this.settings.ends) * this.settings.num_beams;
  }

  /** The new tokens of a candidate. */
  tokensOf({ beam, token }: Candidate): number[] {
    return [...this.running[beam].tokens, token];
  }

  /**
   * Goes on by a step.
   * @param candidates - the best ways, the best (or those drawn) first: as many as `candidates`, of different tokens or beams
   * @param hits - why each of them is finished, where it is
   * @returns for each running beam the one that it goes on from
   */
  advance(candidates: readonly Candidate[], hits: readonly (FinishReason | undefined)[]): number[] {
    const { num_beams, first_row } = this.settings;
    const ways = candidates.map((candidate, i) => ({
      beam: candidate.beam,
      tokens: this.tokensOf(candidate),
      indices: [...this.running[candidate.beam].indices, first_row + candidate.beam],
      score: candidate.score,
      reason: hits[i],
    }));
    const going = best(
      ways.map((way) => ({ ...way, score: way.reason ? f32(way.score + NEVER) : way.score })),
      num_beams,
    );
    this.finish(ways);
    this.running = going;
    this.stop(hits);
    return going.map(({ beam }) => beam);
  }

  /** Keeps the best of what is finished. */
  private finish(ways: readonly Beam[]): void {
    const { num_beams, early_stopping } = this.settings;
    const length = ways[0].tokens.length;
    const closed = this.finished.every(({ done }) => done) && early_stopping === true;
    const penalty = this.penalty(length);
    const added = ways.map(({ reason, tokens, indices, score }, i) => {
      // Those beyond the beams are there only so that some go on.
      const done = reason !== undefined && i < num_beams;
      let penalized = f32(score / penalty);
      for (const never of [closed, !this.improvable, !done]) if (never) penalized = f32(penalized + NEVER);
      return { tokens, indices, score: penalized, reason, done };
    });
    this.finished = best([...this.finished, ...added], num_beams);
  }

  /** Finds out whether a running beam could still be better than one that is finished. */
  private stop(hits: readonly unknown[]): void {
    const { early_stopping, length_penalty, most_tokens } = this.settings;
    const length = this.running[0].tokens.length;
    const hoped = early_stopping === "never" && length_penalty > 0 ? most_tokens : length;
    const possible = f32(this.running[0].score / this.penalty(hoped));
    const worst = Math.min(...this.finished.map(({ score }) => score));
    this.improvable &&= this.finished.some(({ done }) => possible > (done ? worst : NEVER));
    const full = early_stopping === true && this.finished.every(({ done }) => done);
    this.done = !this.improvable || full || hits.every(Boolean);
  }

  /** length ** length_penalty, of whole and half powers exactly. */
  private penalty(length: number): number {
    const { length_penalty } = this.settings;
    if (length_penalty === 0) return 1;
    if (length_penalty === 1) return length;
    return f32(this.math.exp(length_penalty * this.math.log(length)));
  }

  /** The best that were found, the best first; before the end perhaps none is finished. */
  get results(): readonly Beam[] {
    return this.done || this.finished.some(({ done }) => done) ? this.finished : this.running;
  }
}

/** The `count` of the highest score, the first among equals. */
function best<T extends { readonly score: number }>(all: readonly T[], count: number): T[] {
  return [...all.entries()]
    .sort(([i, a], [j, b]) => b.score - a.score || i - j)
    .slice(0, count)
    .map(([, each]) => each);
}
