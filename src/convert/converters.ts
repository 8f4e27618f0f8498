// The converting threads as the host sees them: matrices are made by all of them at once, each a piece at a time.

import { CheckpointError } from "../errors.ts";
import { loadConverters } from "../kernels/convert.ts";
import { loadKernels } from "../kernels/load.ts";
import type { Platform, SourceFile } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import type { BlockFormat } from "../quant/formats.ts";
import { Team } from "../threads/team.ts";
import type { Recipe } from "../weights/recipe.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import type { ConvertJob, ConvertResult, ConvertSetup, Piece, PostedMatrix, PostedRecipe } from "./job.ts";
import { makerOf } from "./makers.ts";

/** A matrix that is wanted, and where: at an address of shared memory, in the format that it is to have there. */
export interface Wanted {
  readonly matrix: MadeMatrix;
  readonly memory_format: BlockFormat;
  readonly to: ArrayBufferLike;
  readonly address: number;
}

/** Bytes that a job makes, about: progress and cancelling are lively then. */
const JOB_BYTES = 1 << 27;

/** Jobs on their way, so that no thread waits for the host. */
const JOBS = 2;

export class Converters {
  private readonly team: Team<ConvertSetup, ConvertJob, never, ConvertResult>;

  private constructor(team: Team<ConvertSetup, ConvertJob, never, ConvertResult>) {
    this.team = team;
  }

  /**
   * Starts threads that can make some matrices.
   * @throws EngineError when a thread cannot start, the signal's reason when aborted
   */
  static async start(
    platform: Platform,
    threads: number,
    matrices: Iterable<MadeMatrix>,
    signal?: AbortSignal,
  ): Promise<Converters> {
    let work_bytes = 0;
    for (const matrix of matrices) work_bytes = Math.max(work_bytes, makerOf(matrix.recipe).bytes(matrix));
    const { module: kernels } = await loadKernels(platform, "plain");
    const setup = { type: "convert", kernels, converters: await loadConverters(platform), work_bytes } as const;
    return new Converters(await Team.start(platform, threads, setup, true, signal));
  }

  /**
   * Makes matrices.
   * @param loaded - called with the bytes made so far
   * @throws CheckpointError when a file does not hold what it should, EngineError when a thread dies, the signal's reason
   */
  async make(
    wanted: readonly Wanted[],
    signal?: AbortSignal,
    loaded: (bytes: number) => void = () => {},
  ): Promise<void> {
    let done = 0;
    const running: Promise<void>[] = [];
    try {
      for (const part of parts(wanted)) {
        signal?.throwIfAborted();
        const bytes = part.reduce((sum, { matrix }) => sum + matrix.bytes, 0);
        running.push(this.run(part).then(() => loaded((done += bytes))));
        if (running.length > JOBS) await running[running.length - 1 - JOBS];
      }
      await Promise.all(running);
    } catch (error) {
      // What is on its way writes to memory that the caller may give up.
      await Promise.allSettled(running);
      throw error;
    }
  }

  /** The blocks of a matrix by itself. */
  async bytes(matrix: MadeMatrix): Promise<Uint8Array> {
    const to = sharedBuffer(matrix.bytes);
    await this.make([{ matrix, memory_format: matrix.format, to, address: 0 }]);
    return new Uint8Array(to);
  }

  private async run(wanted: readonly Wanted[]): Promise<void> {
    const results = await this.team.run(post(wanted));
    const refused = results.find((result) => result.refused !== undefined);
    if (refused) throw new CheckpointError(refused.refused!);
  }

  dispose(): Promise<void> {
    return this.team.dispose();
  }
}

/** Matrices for one job after the other. */
function* parts(wanted: readonly Wanted[]): Generator<Wanted[], void, void> {
  let part: Wanted[] = [];
  let bytes = 0;
  for (const one of wanted) {
    part.push(one);
    bytes += one.matrix.bytes;
    if (bytes < JOB_BYTES) continue;
    yield part;
    part = [];
    bytes = 0;
  }
  if (part.length) yield part;
}

function post(wanted: readonly Wanted[]): ConvertJob {
  const files: SourceFile[] = [];
  const index = (file: SourceFile): number => {
    if (!files.includes(file)) files.push(file);
    return files.indexOf(file);
  };
  const pieces: Piece[] = [];
  const matrices = wanted.map(({ matrix, memory_format, to, address }, i): PostedMatrix => {
    const { name, rows, cols, format, recipe } = matrix;
    const step = makerOf(recipe).rows(matrix);
    for (let from = 0; from < rows; from += step) pieces.push({ matrix: i, from, to: Math.min(from + step, rows) });
    return { name, rows, cols, format, memory_format, recipe: posted(recipe, index), to, address };
  });
  const counter = new Int32Array(sharedBuffer(4));
  return { type: "convert", files: files.map(({ handle }) => handle), matrices, pieces, counter };
}

const posted = (recipe: Recipe, index: (file: SourceFile) => number): PostedRecipe => ({
  ...recipe,
  parts: recipe.parts.map(({ file, offset, bytes }) => ({ file: index(file), offset, bytes })),
});
