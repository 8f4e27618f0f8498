// The formats that weights have in memory. Mapped, they are the file's own; where weights are read, some formats are rewritten
// in place, as large as before, in the order that products read them in: the same bits, sooner.
import type { KernelExports } from "../kernels/abi.ts";
import { type BlockFormat, type FormatName, repackedFormats } from "../quant/formats.ts";
import type { MatrixRef } from "../weights/weights.ts";

/** The format that a matrix has in memory. */
export function memoryFormat({ format, cols, recipe }: MatrixRef, mapped: boolean): BlockFormat {
  const repacked = repackedFormats[format.name as FormatName];
  return (!mapped || recipe) && repacked && cols % repacked.block_values === 0 ? repacked : format;
}

/** Rewrites blocks as they come from the file. @param bytes - whole blocks of the format that they are to have */
export function repack(kernels: KernelExports, to: BlockFormat, address: number, bytes: number): void {
  if (to.name === "Q4_0_R") kernels.repack_q4_0(address, bytes);
  else if (to.name === "Q4_K_R") kernels.repack_q4_k(address, bytes);
}
