// Mapping by way of libc, whichever FFI calls it: the constants of Linux and macOS, and the Mapper over four functions.
import { MemoryError } from "../errors.ts";
import type { Mapper, SourceFile } from "./platform.ts";

/** libc as an FFI offers it. `at` is a one-byte view of the memory: its address is what C sees. */
export interface Libc {
  /** Returns the address, or -1. */
  mmap(at: Uint8Array, length: number, prot: number, flags: number, fd: number, offset: number): bigint;
  madvise(at: Uint8Array, length: number, advice: number): number;
  open(path: string, flags: number): number;
  close(fd: number): number;
}

const PROT_READ_WRITE = 3; // private pages: a write (none is made) would touch a copy, never the file
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MADV_DONTNEED = 4;
const O_RDONLY = 0;

/** MAP_ANONYMOUS | MAP_NORESERVE of each system. */
const ANONYMOUS: Record<string, number> = { linux: 0x20 | 0x4000, darwin: 0x1000 | 0x40 };

/** @param system - `linux` or `darwin` */
export function createMapper(libc: Libc, system: string, page_size: number): Mapper {
  const view = (memory: WebAssembly.Memory, address: number) => new Uint8Array(memory.buffer, address, 1);
  const check = (result: bigint, what: string, length: number) => {
    if (result === -1n) throw new MemoryError(`${what}: the system refused to map ${length} bytes`, length);
  };
  return {
    page_size,
    map(memory: WebAssembly.Memory, address: number, file: SourceFile, file_offset: number, length: number) {
      if (address % page_size || file_offset % page_size || address + length > memory.buffer.byteLength) {
        throw new MemoryError(
          `${file.path}: cannot map ${length} bytes from ${file_offset} to ${address}: not whole pages`,
          length,
        );
      }
      const own = file.descriptor === undefined;
      const fd = file.descriptor ?? libc.open(file.path, O_RDONLY);
      if (fd < 0) throw new MemoryError(`${file.path}: cannot be opened for mapping`, length);
      try {
        check(
          libc.mmap(view(memory, address), length, PROT_READ_WRITE, MAP_PRIVATE | MAP_FIXED, fd, file_offset),
          file.path,
          length,
        );
      } finally {
        if (own) libc.close(fd);
      }
    },
    unmap(memory, address, length) {
      const flags = MAP_PRIVATE | MAP_FIXED | ANONYMOUS[system];
      check(libc.mmap(view(memory, address), length, PROT_READ_WRITE, flags, -1, 0), "unmapping", length);
    },
    release(memory, address, length) {
      libc.madvise(view(memory, address), length, MADV_DONTNEED);
    },
  };
}

/** Why a system cannot map at all, or undefined where it can. */
export function unmappableSystem(system: string): string | undefined {
  return system in ANONYMOUS ? undefined : `files cannot be mapped on ${system}: only on Linux and macOS`;
}
