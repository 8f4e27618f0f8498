// What the rest of the engine may ask of a runtime, in interfaces of one matter each; functions take the narrowest that
// they use. One file beside this one implements them for each runtime; runtime globals (process, Deno, Bun, self, node:
// modules) appear nowhere else in src/ but in cli, server and web.

/** An open file whose ranges can be read, and on some platforms mapped into a WebAssembly memory. */
export interface SourceFile {
  /** Path or URL, for messages. */
  readonly path: string;
  /** Bytes at the time of opening. */
  readonly size: number;
  /** By which a thread opens the same file for itself. */
  readonly handle: FileHandleRef;
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

/**
 * An open file as plain data, which can be posted to a thread of the same process: {@link ThreadPlatform.openSync}.
 * A file of the system's by its path, and by what tells whether it is still the one that was opened; a browser's by the Blob;
 * or the bytes.
 */
export type FileHandleRef =
  | { readonly path: string; readonly identity: string }
  | { readonly path: string; readonly blob: Blob }
  | { readonly path: string; readonly bytes: Uint8Array };

/** What reads that pass the system's cache by begin at and are multiples of, in the file and in memory: any disk's sectors. */
export const SECTOR_BYTES = 4096;

/** A file as a thread reads it that may block. */
export interface SyncFile {
  /**
   * Reads `into.length` bytes from `offset`, as {@link SourceFile.read} does.
   * @param least - bytes that there must be: fewer than all where the file may end before
   * @throws CheckpointError
   */
  read(offset: number, into: Uint8Array, least?: number): void;
  /** Calling it twice is harmless. */
  close(): void;
}

/** Takes bytes in order; a slow taker is waited for. */
export interface ByteWriter {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * A file that is being written. Under its name stands what stood there before, until `close` has come to its end.
 * Whatever fails throws a WriteError; nothing of the new file is left then. One call at a time.
 */
export interface ByteSink extends ByteWriter {
  /** The file is complete. Calling it twice is harmless. */
  close(): Promise<void>;
  /** The file is given up. Harmless after `close`, and after another `abort`. */
  abort(): Promise<void>;
}

/** A long file that can be gone on with when its writing was cut short. */
export interface ResumableSink extends ByteSink {
  /** Bytes that were there already, whole and safe: writing goes on behind them. */
  readonly kept: number;
  /** Whether something else had been begun there, which is gone. */
  readonly replaced: boolean;
  /** What was written so far is kept, whatever comes. */
  mark(): Promise<void>;
  /** Stops; what was marked is still there for another time. */
  abort(): Promise<void>;
}

/**
 * A folder that is being made. Its name names nothing until `close` has come to its end; where `close` fails, or at `abort`,
 * all that was written is gone.
 */
export interface FolderSink {
  /** Where its files are to be written meanwhile. */
  readonly path: string;
  /** The folder is complete. Calling it twice is harmless. @throws WriteError */
  close(): Promise<void>;
  /** The folder is given up. Harmless after `close`, and after another `abort`. */
  abort(): Promise<void>;
}

/** Files by their paths. */
export interface Files {
  /** What a path is; null when nothing is there. @throws CheckpointError when that may not be known */
  stat(path: string): Promise<{ kind: "file" | "folder"; size: number } | null>;
  /** Names in a folder, sorted. @throws CheckpointError when they may not be known */
  list(folder: string): Promise<string[]>;
  join(...parts: string[]): string;
  /** Opens a file for reading ranges. @throws CheckpointError when it cannot be opened */
  open(path: string): Promise<SourceFile>;
  /** Begins a file, to be closed or aborted; pipes and devices are written as they are. @throws WriteError */
  create(path: string): Promise<ByteSink>;
  /**
   * Begins a file, or goes on with one that was begun and not closed.
   * @param identity - a text that is the same where what is to be written is
   * @throws WriteError
   */
  resume(path: string, identity: string): Promise<ResumableSink>;
  /**
   * Bytes that can still be written beside a path, or undefined where the system does not tell.
   * @param needed - what is to be written: where the system only guesses, it is tried whether there is so much
   */
  free_space(path: string, needed?: number): Promise<number | undefined>;
  /** Begins a folder, to be closed or aborted. An empty one may be there. @throws WriteError when something else is, or it cannot be made */
  createFolder(path: string): Promise<FolderSink>;
}

/** A file that is written in any order, as its bytes come in. Failures are WriteErrors. */
export interface PatchFile {
  /** Bytes that there are, written or not. */
  readonly size: number;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Reads as many bytes as there are, `into.length` at most. @returns how many */
  read(offset: number, into: Uint8Array): Promise<number>;
  /** Cuts it, or makes it longer: what was not written reads as zero. */
  truncate(size: number): Promise<void>;
  /** Returns when what was written is on the disk. */
  sync(): Promise<void>;
  /** Calling it twice is harmless. */
  close(): Promise<void>;
}

/** What stands in a folder. `modified` is in milliseconds since 1970. */
export interface StoreEntry {
  readonly name: string;
  readonly kind: "file" | "folder" | "link";
  readonly size: number;
  readonly modified: number;
}

/** What a cache of downloads asks of a disk beside {@link Files}. What fails throws a WriteError. */
export interface Store {
  /** Makes a folder, and those that it stands in. */
  make_folder(path: string): Promise<void>;
  /** Opens a file to be written in any order; it is made where there is none. */
  patch(path: string): Promise<PatchFile>;
  /** Makes `path` a link to `target`, which is relative to its folder. @returns whether this disk has links */
  symlink(target: string, path: string): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  /** Removes a file, or a folder with all that is in it, where there is one. */
  remove(path: string): Promise<void>;
  /** A folder's entries: links are told apart from what they lead to. Nothing where there is no folder. */
  entries(folder: string): Promise<StoreEntry[]>;
  /**
   * Waits until nobody else holds a name, and holds it then: no other process that sees this disk, and no other call of this
   * one. A process that dies holds nothing.
   * @returns gives it back
   * @throws the signal's reason when aborted
   */
  lock(path: string, signal?: AbortSignal): Promise<() => Promise<void>>;
  /** Whether what is kept stays until the user removes it. Absent where that goes without saying. */
  persisted?(): Promise<boolean>;
}

/** What surrounds a program. */
export interface Surroundings {
  /** A variable of the environment, where there is one and it may be seen. */
  environment(name: string): string | undefined;
  /** The user's own folder. */
  home_folder(): string;
  /** The path that a file: URL means. @throws InputError when it means none here */
  path_of(url: URL): string;
  /** A hash over bytes that come one after the other. */
  hasher(algorithm: "sha1" | "sha256"): { update(bytes: Uint8Array): void; hex(): string };
  /** Tells the user of the program what does not stop it. */
  warn(text: string): void;
  /** The origin of the page that this runs in, whose requests are under the browser's rules. Absent where there is no page. */
  readonly page_origin?: string;
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
  /** Gives the pages of a range of whole pages back to the system; they read as zero (or as the file) afterwards. */
  release(memory: WebAssembly.Memory, address: number, length: number): void;
}

export interface Mapping {
  /** The mapper, or the reason why files cannot be mapped here. Decided once. */
  mapper(): Promise<Mapper | { reason: string }>;
  /** Has memories collected soon that nobody refers to any more, where the runtime would put that off and maps nothing. */
  collect?(memories: readonly WebAssembly.Memory[]): void;
}

/** What a function of a shared library takes and gives: numbers, or the first byte of a typed array. */
export type ForeignType = "u32" | "u64" | "f32" | "f64" | "bytes";

export interface ForeignSignature {
  readonly parameters: readonly ForeignType[];
  readonly result: "u32" | "u64";
}

/** Numbers are below 2^53. */
export type ForeignFunction = (...args: (number | Uint8Array)[]) => number;

export type ForeignSignatures = Readonly<Record<string, ForeignSignature>>;

/** A shared library that was opened: it stays open. */
export interface ForeignLibrary {
  readonly functions: Readonly<Record<string, ForeignFunction>>;
}

/** Functions of shared libraries, by the runtime's FFI. */
export interface Foreign {
  /** Opens a shared library, or tells why it cannot be. */
  open_library(path: string, signatures: ForeignSignatures): Promise<ForeignLibrary | { reason: string }>;
  /** The path of the library of native kernels for this machine, or why there is none. */
  native_library(): string | { reason: string };
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

/** A team thread's side of the connection to its host. */
export interface HostPort {
  post(message: unknown): void;
  /** @param listener - where it gives a promise, which only one may that runs within its host's, what comes waits for that */
  on_message(listener: (message: unknown) => void | Promise<void>): void;
}

export interface Threads {
  /** Threads that can run at once (at least 1). */
  cores(): number;
  /**
   * Why there can be no threads, where that is so. `spawn` then gives what only looks like one: it runs within its caller's,
   * between whatever else that has to do, and what is posted is handed over as it is. It must not block, and be one of a team.
   */
  readonly alone?: string | undefined;
  /** Starts `model/worker` as a thread of the team. */
  spawn(name: string): TeamWorker;
  /** Inside a thread of the team: the port to its host. */
  host_port(): HostPort;
  /** Calls back when what is ready to run now has run. */
  next_turn(callback: () => void): void;
}

/** What only a thread may ask that is nobody's main thread: it blocks. */
export interface ThreadPlatform {
  /**
   * Opens a file that another thread has opened.
   * @param uncached - reads are to pass the system's cache by, where system and disk know how: then they must be whole sectors
   *   ({@link SECTOR_BYTES})
   * @throws CheckpointError when it cannot, or the file is another now
   */
  openSync(ref: FileHandleRef, uncached?: boolean): SyncFile;
}

/** What the engine itself is made of. */
export interface Assets {
  /** Bytes of a file of `wasm/`, e.g. `kernels-simd.wasm`. */
  wasm(name: string): Promise<Uint8Array>;
  /** Makes relaxed SIMD available to later compilations where the runtime hides it behind a flag. */
  enable_relaxed_simd(): void;
}

export interface Platform extends Files, Store, Surroundings, Mapping, Foreign, Threads, ThreadPlatform, Assets {
  readonly name: "node" | "deno" | "bun" | "browser";
  /** Version for reports, e.g. `v24.1.0`. */
  readonly version: string;
  /** Bytes of memory that can still be had, or undefined where the runtime does not tell. */
  available_memory(): number | undefined;
  /** Writes text to standard output (a console line where there is none). */
  write_stdout(text: string): void;
}
