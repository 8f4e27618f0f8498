// What the rest of the engine may ask of a runtime. One file beside this one implements it for each runtime;
// runtime globals (process, Deno, Bun, self, node: modules) appear nowhere else in src/ but in cli, server and web.

/** An open file whose ranges can be read, and on some platforms mapped into a WebAssembly memory. */
export interface SourceFile {
  /** Path or URL, for messages. */
  readonly path: string;
  /** Bytes at the time of opening. */
  readonly size: number;
  /**
   * Reads exactly `target.length` bytes from `offset` into `target` (which may view a shared memory).
   * @throws CheckpointError when the file ends before
   */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** The system's file descriptor where the runtime gives it; else the mapper opens `path` itself. */
  readonly descriptor?: number;
  /** Whether the file is one of the system's, so that it can be mapped (a Blob or a URL is not). */
  readonly mappable: boolean;
  /**
   * How the file stands now: `changed` when it was cut or written to since it was opened, `replaced` when its path names
   * another file or none (what is open or mapped is then still the old one). Works after `close`, too. Absent where
   * files cannot change.
   */
  state?(): Promise<"same" | "changed" | "replaced">;
  /** Frees the handle. Mapped ranges stay valid. Calling it twice is harmless. */
  close(): Promise<void>;
}

/** Lays pages of files over pages of WebAssembly memories, through the runtime's FFI. */
export interface Mapper {
  readonly page_size: number;
  /**
   * Maps file bytes [file_offset, file_offset + length) privately over memory bytes from `address`.
   * `address` and `file_offset` are multiples of the page size; a last partial page is mapped whole.
   * @throws MemoryError when the system refuses
   */
  map(memory: WebAssembly.Memory, address: number, file: SourceFile, file_offset: number, length: number): void;
  /** Puts fresh zero pages back over a range that was mapped, so that the file is no longer referenced. */
  unmap(memory: WebAssembly.Memory, address: number, length: number): void;
  /** Tells the kernel that a mapped range will be read soon. */
  will_need(memory: WebAssembly.Memory, address: number, length: number): void;
  /** Gives the pages of a range of whole pages back to the system; they read as zero (or as the file) afterwards. */
  release(memory: WebAssembly.Memory, address: number, length: number): void;
}

/** A thread of the team, as the host sees it. */
export interface TeamWorker {
  post(message: unknown, transfer?: unknown[]): void;
  on_message(listener: (message: unknown) => void): void;
  /** Called once when the worker dies of an error or ends before `terminate`. */
  on_failure(listener: (cause: unknown) => void): void;
  terminate(): Promise<void>;
  /** Whether a pending worker keeps the process alive. */
  ref(): void;
  unref(): void;
}

export interface Platform {
  readonly name: "node" | "deno" | "bun" | "browser";
  /** Version for reports, e.g. `v24.1.0`. */
  readonly version: string;
  /** Threads that can run at once (at least 1). */
  cores(): number;
  /** Bytes of memory that can still be had, or undefined where the runtime does not tell. */
  available_memory(): number | undefined;
  /** What a path is; null when nothing is there. @throws CheckpointError when that may not be known */
  stat(path: string): Promise<{ kind: "file" | "folder"; size: number } | null>;
  /** Names in a folder, sorted. */
  list(folder: string): Promise<string[]>;
  join(...parts: string[]): string;
  /** Opens a file for reading ranges. @throws CheckpointError when it cannot be opened */
  open(path: string): Promise<SourceFile>;
  /** Reads a whole small file; `limit` bytes at most. @throws CheckpointError when larger or unreadable */
  read_file(path: string, limit: number): Promise<Uint8Array>;
  /** Writes a whole file, or leaves what was there. @throws CheckpointError when it cannot (no permission, no room) */
  write_file(path: string, data: Uint8Array): Promise<void>;
  /** The mapper, or the reason why files cannot be mapped here. Decided once. */
  mapper(): Promise<Mapper | { reason: string }>;
  /** Bytes of a file of `wasm/`, e.g. `kernels-simd.wasm`. */
  wasm(name: string): Promise<Uint8Array>;
  /** Makes relaxed SIMD available to later compilations where the runtime hides it behind a flag. */
  enable_relaxed_simd(): void;
  /** Starts `model/worker` as a thread of the team. */
  spawn(name: string): TeamWorker;
  /** Inside a thread of the team: the port to its host. */
  host_port(): HostPort;
  /** Writes text to standard output (a console line where there is none). */
  write_stdout(text: string): void;
}

/** A team thread's side of the connection to its host. */
export interface HostPort {
  post(message: unknown): void;
  on_message(listener: (message: unknown) => void): void;
}
