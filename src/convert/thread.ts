// A thread that makes matrices: it takes pieces of a job until none is left.
import { CheckpointError } from "../errors.ts";
import { repack } from "../memory/repack.ts";
import type { ThreadPlatform } from "../platform/platform.ts";
import { rowBytes } from "../quant/formats.ts";
import type { Turns } from "../threads/turns.ts";
import type { ConvertJob, ConvertResult, ConvertSetup, Piece } from "./job.ts";
import { makerOf } from "./makers.ts";
import { Workshop } from "./workshop.ts";

export class ConvertThread {
  private readonly shop: Workshop;
  private readonly platform: ThreadPlatform;
  private readonly turns: Turns | undefined;

  /** @param turns - where this is no thread of its own */
  constructor(platform: ThreadPlatform, setup: ConvertSetup, turns?: Turns) {
    this.platform = platform;
    this.shop = new Workshop(setup);
    this.turns = turns;
  }

  /** Takes pieces until none is left. @returns a promise only where this thread takes turns with its host */
  run(job: ConvertJob): ConvertResult | Promise<ConvertResult> {
    const { turns } = this;
    const files = job.files.map((ref) => this.platform.openSync(ref));
    this.shop.use(files);
    const close = () => {
      for (const file of files) file.close();
    };
    const refused = (error: unknown): ConvertResult => {
      if (!(error instanceof CheckpointError)) throw error;
      Atomics.store(job.counter, 0, job.pieces.length); // the others need not go on
      return { refused: error.message };
    };
    const inTurns = async (turns: Turns): Promise<ConvertResult> => {
      turns.begin();
      for (const piece of piecesOf(job)) {
        this.make(job, piece);
        if (turns.over) await turns.rest();
      }
      return {};
    };
    if (turns) return inTurns(turns).catch(refused).finally(close);
    try {
      for (const piece of piecesOf(job)) this.make(job, piece);
      return {};
    } catch (error) {
      return refused(error);
    } finally {
      close();
    }
  }

  private make({ matrices }: ConvertJob, { matrix: index, from, to }: Piece): void {
    const { shop } = this;
    const matrix = matrices[index];
    const { cols, format, memory_format, address } = matrix;
    const row = rowBytes(format, cols);
    shop.clear();
    const made = makerOf(matrix.recipe).make(shop, matrix, from, to);
    repack(shop.kernels, memory_format, made, (to - from) * row);
    const target = new Uint8Array(matrix.to, address + from * row, (to - from) * row);
    target.set(shop.bytes.subarray(made, made + target.length));
  }
}

/** The pieces of a job that fall to this thread. */
function* piecesOf({ pieces, counter }: ConvertJob): Generator<Piece, void, void> {
  const take = () => Atomics.add(counter, 0, 1);
  for (let next = take(); next < pieces.length; next = take()) yield pieces[next];
}
