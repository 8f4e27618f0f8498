// Brings the planned weights into the banks: mapped where the platform can, else read. Chosen once for a model.
import { InputError } from "../errors.ts";
import type { KernelInstance } from "../kernels/abi.ts";
import { recycleMemory } from "../kernels/memory.ts";
import type { Mapper, Mapping } from "../platform/platform.ts";
import type { MadeMatrix } from "../weights/weights.ts";
import { alignUp } from "./bank.ts";
import type { Segment, WeightPlan } from "./plan.ts";
import { repack } from "./repack.ts";

/** How weights come in: by the mapper, or by reading, with the reason. */
export type WeightSource = { readonly mapper: Mapper } | { readonly mapper: undefined; readonly reason: string };

/** One read: small enough that progress and cancelling are lively, and whole blocks of every format that is repacked. */
const READ_BYTES = 144 << 15;

/**
 * Chooses between mapping and reading.
 * @param wanted - `true` fails where files cannot be mapped, `false` never maps
 * @throws {@link InputError} when mapping was demanded and cannot be had
 */
export async function chooseSource(
  platform: Mapping,
  wanted: "auto" | boolean,
  mappable: boolean,
): Promise<WeightSource> {
  if (wanted === false) return { mapper: undefined, reason: "mmap: false was given" };
  const mapper = await platform.mapper();
  const reason = "reason" in mapper ? mapper.reason : mappable ? undefined : "the checkpoint is no file of this system";
  if (reason === undefined) return { mapper: mapper as Mapper };
  if (wanted === true) throw new InputError(`mmap: true was given, but ${reason}`);
  return { mapper: undefined, reason };
}

/**
 * Brings the planned weights in.
 * @param kernels - an instance on each bank
 * @param loaded - called with the bytes done so far
 * @throws the signal's reason when it is aborted; CheckpointError or MemoryError when a file or the system fails
 */
export async function loadSegments(
  plan: WeightPlan,
  banks: readonly WebAssembly.Memory[],
  kernels: readonly KernelInstance[],
  source: WeightSource,
  signal: AbortSignal | undefined,
  loaded: (bytes: number) => void,
): Promise<void> {
  let done = 0;
  for (const segment of plan.segments) {
    signal?.throwIfAborted();
    if (source.mapper) mapSegment(source.mapper, banks[segment.bank], segment);
    for (const { bank, address, from, format } of segment.matrices) {
      // Of what is mapped nothing is read, and all is there.
      for (let at = 0; at < from.bytes && !source.mapper; at += READ_BYTES) {
        signal?.throwIfAborted();
        const bytes = Math.min(READ_BYTES, from.bytes - at);
        await from.file.read(from.offset + at, new Uint8Array(banks[bank].buffer, address + at, bytes));
        repack(kernels[bank], format, address + at, bytes);
        loaded(done + at + bytes);
      }
      done += from.bytes;
    }
    loaded(done);
  }
}

/** Maps the whole pages around a segment. */
function mapSegment(mapper: Mapper, memory: WebAssembly.Memory, { address, file, offset, bytes }: Segment): void {
  const before = offset % mapper.page_size;
  mapper.map(memory, address - before, file, offset - before, alignUp(before + bytes, mapper.page_size));
}

/**
 * Gives the memories' pages back to the system, mapped files and written bytes alike, where it can be told to: the
 * runtimes free a memory only when they collect it, which Node 20 puts off for gigabytes. They read as zero afterwards.
 * @param unused - no thread can write to them any more, so that they can serve as other banks
 */
export async function emptyBanks(
  platform: Mapping,
  banks: readonly WebAssembly.Memory[],
  unused: boolean,
): Promise<void> {
  const mapper = await platform.mapper();
  if ("reason" in mapper) return platform.collect?.(banks);
  for (const memory of banks) {
    mapper.unmap(memory, 0, memory.buffer.byteLength);
    if (unused) recycleMemory(memory);
  }
}

/** Values dequantized at a time: their bytes fit the smallest low region. */
const STAGED_VALUES = 1024;

/**
 * Reads the norms and routers and writes them, as f32, where the plan has them.
 * @param kernels - an instance on each bank
 * @param staging - the address of 4 KiB that no step uses yet, in every bank
 * @param make - gives the blocks of one that is made
 */
export async function loadConstants(
  plan: WeightPlan,
  banks: readonly WebAssembly.Memory[],
  kernels: readonly KernelInstance[],
  staging: number,
  make: (matrix: MadeMatrix) => Promise<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  await Promise.all(
    plan.constants.map(async ({ bank, address, from }) => {
      signal?.throwIfAborted();
      const raw = from.recipe ? await make(from) : new Uint8Array(from.bytes);
      if (!from.recipe) await from.file.read(from.offset, raw);
      const { block_values, block_bytes } = from.format;
      const { dequantize } = kernels[bank].format(from.format);
      const values = from.rows * from.cols;
      for (let at = 0; at < values; at += STAGED_VALUES) {
        const count = Math.min(STAGED_VALUES, values - at);
        const part = raw.subarray((at / block_values) * block_bytes, ((at + count) / block_values) * block_bytes);
        new Uint8Array(banks[bank].buffer, staging, part.length).set(part);
        dequantize(staging, address + at * 4, count);
      }
    }),
  );
}
