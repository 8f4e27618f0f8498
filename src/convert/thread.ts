// A thread that makes matrices: it takes pieces of a job until none is left.
import { CheckpointError } from "../errors.ts";
import { repack } from "../memory/repack.ts";
import type { ThreadPlatform } from "../platform/platform.ts";
import { rowBytes } from "../quant/formats.ts";
import type { ConvertJob, ConvertResult, ConvertSetup, Piece } from "./job.ts";
import { makerOf } from "./makers.ts";
import { Workshop } from "./workshop.ts";

export class ConvertThread {
  private readonly shop: Workshop;
  private readonly platform: ThreadPlatform;

  constructor(platform: ThreadPlatform, setup: ConvertSetup) {
    this.platform = platform;
    this.shop = new Workshop(setup);
  }

  run(job: ConvertJob): ConvertResult {
    const files = job.files.map((ref) => this.platform.openSync(ref));
    this.shop.use(files);
    try {
      for (let next = take(job); next < job.pieces.length; next = take(job)) this.make(job, job.pieces[next]);
      return {};
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      Atomics.store(job.counter, 0, job.pieces.length); // the others need not go on
      return { refused: error.message };
    } finally {
      for (const file of files) file.close();
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

const take = ({ counter }: ConvertJob): number => Atomics.add(counter, 0, 1);
