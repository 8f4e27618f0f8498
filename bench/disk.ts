// What a disk gives: pieces of a file read by several requests at once, past the system's cache where Linux has a way.
import { constants, open } from "node:fs/promises";
import { fileBytes } from "./synth.ts";

/** As experts are read: bytes of a piece, and requests at once. */
const PIECE_BYTES = 1 << 21;
const READERS = 4;

/** @param bytes - to be read, spread over the whole file @returns GB/s */
export async function diskRate(path: string, bytes: number): Promise<number> {
  const file = await open(path, constants.O_RDONLY | (constants.O_DIRECT ?? 0));
  try {
    const pieces = Math.floor(fileBytes(path) / PIECE_BYTES);
    const count = Math.min(pieces, Math.ceil(bytes / PIECE_BYTES));
    // Runs of as many pieces as an expert has, everywhere in the file.
    const run = Math.min(48, count);
    const runs = Math.max(1, Math.floor(count / run));
    let next = 0;
    const reader = async () => {
      // A memory of WebAssembly's begins at a page, as such reads want it.
      const { buffer } = new WebAssembly.Memory({ initial: PIECE_BYTES >> 16 });
      for (let i = next++; i < runs * run; i = next++) {
        const piece = Math.floor((Math.floor(i / run) * (pieces - run)) / runs) + (i % run);
        await file.read(new Uint8Array(buffer), 0, PIECE_BYTES, piece * PIECE_BYTES);
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: READERS }, reader));
    return (runs * run * PIECE_BYTES) / 1e6 / (performance.now() - start);
  } finally {
    await file.close();
  }
}
