// The options of from_pretrained, and what they mean where they are absent.
import { checkSignal } from "../abort.ts";
import { givenOptions, textArgument } from "../arguments.ts";
import { type BitsAndBytesConfig, type BitsAndBytesOptions, readQuantization } from "../config/bitsandbytes_config.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { DownloadProgress } from "../hub/progress.ts";
import { type HubOptions, hubOptions, readHubOptions } from "../hub/settings.ts";
import { type KvFormat, kvFormats } from "../memory/kv_pool.ts";
import { type Device, devices } from "../offload/device.ts";
import { dtypes, typeOfDtype } from "../weights/dtype.ts";

/** What `progress_callback` is told: of a download, where there is one, then of loading. `progress` is a percentage. */
export interface ProgressInfo extends Omit<DownloadProgress, "status"> {
  status: DownloadProgress["status"] | "ready";
}

/** The options of `from_pretrained` and `pipeline`. */
export interface LoadOptions extends HubOptions {
  /** Replaces the checkpoint's config: one, or some of its fields. @default the checkpoint's */
  config?: object | undefined;
  /** Threads that compute. @default as many as there are cores */
  threads?: number | undefined;
  /**
   * Tokens that a sequence can have, prompt and answer together.
   * @default `max_position_embeddings`; any number behind a window
   */
  context?: number | undefined;
  /**
   * How caches store keys and values: f16 takes half of the memory, q8_0 about a quarter, and both are less exact.
   * @default "f32"
   */
  kv_dtype?: KvFormat | undefined;
  /**
   * `tiled` (flash attention) never stores the scores of more than 64 keys; `eager` stores the whole matrix of a chunk, as
   * Hugging Face's eager attention does. They differ by rounding alone. `sdpa` and `flash_attention_2` are other names of
   * `tiled`.
   * @default "tiled"
   */
  attn_implementation?: "tiled" | "eager" | "sdpa" | "flash_attention_2" | undefined;
  /**
   * Whether weights stay in their files, of which the system reads pages as they are used (`true` fails where it cannot), or
   * are read into memory (`false`).
   * @default "auto": mapped where that is possible
   */
  mmap?: "auto" | boolean | undefined;
  /**
   * Reads every weight first, which takes as long as reading the files, and refuses a checkpoint in which one is NaN or
   * infinite.
   * @default false
   */
  check_tensors?: boolean | undefined;
  /**
   * How weights are stored in memory: `auto` as the file has them, or as in a GGUF file of that type (`f32`, `bf16`, `q8_0`,
   * `q4_0`, `q4_k_m`, …), encoded while the model loads. Norms and routers are f32 always.
   * @default "auto"
   */
  dtype?: string | undefined;
  /** An importance matrix for `dtype`: the path of a file of `imatrix`, or of llama.cpp. @default none */
  imatrix?: string | undefined;
  /**
   * Quantizes the linear layers of a checkpoint in full precision as bitsandbytes does it, while they load; the embedding
   * and the head stay. A checkpoint that is quantized already needs none.
   * @default the checkpoint's
   */
  quantization_config?: BitsAndBytesConfig | BitsAndBytesOptions | undefined;
  /**
   * What computes: `wasm`, WebAssembly; `native`, the kernels compiled for this machine, from an optional package; or the best
   * of these that is there, `cpu`. The results are the same bits.
   * @default "cpu"
   */
  device?: Device | undefined;
  /** Told of each part that has come in. Where it returns promises, loading ends when they are settled. */
  progress_callback?: ((info: ProgressInfo) => void) | undefined;
  /** Aborts loading, which rejects with its reason. */
  signal?: AbortSignal | undefined;
  /**
   * Bytes that all caches together may take. Sequences wait for each other where it is used up.
   * @default what `max_sequences` sequences could need, but at most half of the memory that is free
   */
  kv_bytes?: number | undefined;
  /**
   * What the experts may take of memory: bytes, or a share (up to 1) of what all of them take. Those that are not there are
   * read from the file when a token needs them. `"auto"`: all of them where they fit into the memory that is free, else as
   * many as do.
   * @default "auto"
   */
  memory_budget?: number | "auto" | undefined;
  /** Tokens of a prompt that are computed at once, at most. @default 512 */
  chunk_size?: number | undefined;
  /** How long a step may take, in milliseconds, while others wait. A chunk that takes longer pauses. @default 250 */
  step_ms?: number | undefined;
  /** Sequences that are worked on at once, over all calls: further calls wait. @default 64 */
  max_sequences?: number | undefined;
  /**
   * Which kernel build: relaxed SIMD where the runtime has it (`auto`), or one by name. The results are the same bits.
   * @default "auto"
   */
  simd?: "auto" | "plain" | "relaxed" | undefined;
  /** Times every phase of every step: see `model.profile`. @default false */
  profile?: boolean | undefined;
  /** Bytes of one weight bank at most, for tests of models that span several. @default what a memory can hold */
  bank_bytes?: number | undefined;
}

/** The names of all of them. */
export const loadOptionNames: readonly string[] = [
  ...hubOptions,
  ...namesOf<Omit<LoadOptions, keyof HubOptions>>({
    config: true,
    threads: true,
    context: true,
    kv_dtype: true,
    attn_implementation: true,
    mmap: true,
    check_tensors: true,
    dtype: true,
    imatrix: true,
    quantization_config: true,
    device: true,
    progress_callback: true,
    signal: true,
    kv_bytes: true,
    memory_budget: true,
    chunk_size: true,
    step_ms: true,
    max_sequences: true,
    simd: true,
    profile: true,
    bank_bytes: true,
  }),
];

/**
 * The options that were given, checked.
 * @param what - what is called, for messages
 * @param more - names of options that it has beside these
 * @throws {@link InputError} naming the one that is wrong; the signal's reason where it is aborted already
 */
export function readOptions<T extends LoadOptions>(
  given: T | null | undefined,
  what: string,
  more: readonly string[] = [],
): T {
  const options = givenOptions<T>(given, what, [...loadOptionNames, ...more]);
  const { progress_callback, config, signal } = options;
  if (progress_callback !== undefined && typeof progress_callback !== "function")
    throw new InputError(`progress_callback: expected a function, found ${show(progress_callback)}`);
  if (config !== undefined && typeof config !== "object")
    throw new InputError(`config: expected a config or an object of its fields, found ${show(config)}`);
  checkOptions(options);
  readHubOptions(options);
  readQuantization(options.quantization_config);
  checkSignal(signal);
  signal?.throwIfAborted();
  return options;
}

/** What transformers.js calls its types. */
const otherDtypes: Readonly<Record<string, string>> = {
  ...{ fp32: "f32", fp16: "f16", q8: "q8_0", int8: "q8_0", uint8: "q8_0" },
  ...{ q4: "q4_0", q4f16: "q4_0", bnb4: "q4_0", int4: "q4_0" },
};

const dtypeMeant = (dtype: unknown): string =>
  typeof dtype === "string" && Object.hasOwn(otherDtypes, dtype) ? `: did you mean "${otherDtypes[dtype]}"?` : "";

/** Checks the options that are numbers or choices. @throws {@link InputError} */
export function checkOptions(options: LoadOptions): void {
  const integer = (
    name: "threads" | "context" | "chunk_size" | "bank_bytes" | "max_sequences" | "kv_bytes" | "step_ms",
    least: number,
    most: number,
  ) => {
    const value = options[name];
    if (value !== undefined && (!Number.isInteger(value) || value < least || value > most))
      throw new InputError(`${name}: expected an integer from ${least} to ${most}, found ${show(value)}`);
  };
  const choice = (name: keyof LoadOptions, choices: readonly unknown[]) => {
    const value = options[name];
    if (value !== undefined && !choices.includes(value))
      throw new InputError(
        `${name}: expected one of ${choices.map((c) => JSON.stringify(c)).join(", ")}, found ${show(value)}`,
      );
  };
  integer("threads", 1, 256);
  integer("context", 1, 1 << 24);
  integer("max_sequences", 1, 65536);
  integer("chunk_size", 1, 4096);
  integer("bank_bytes", 65536, 2 ** 32);
  integer("kv_bytes", 1, 2 ** 48);
  integer("step_ms", 1, 2 ** 31 - 1);
  const { memory_budget } = options;
  if (memory_budget !== undefined && memory_budget !== "auto" && !(Number.isFinite(memory_budget) && memory_budget > 0))
    throw new InputError(`memory_budget: expected bytes, a share up to 1, or "auto", found ${show(memory_budget)}`);
  choice("kv_dtype", Object.keys(kvFormats));
  choice("attn_implementation", ["tiled", "eager", "sdpa", "flash_attention_2"]);
  choice("mmap", ["auto", true, false]);
  choice("check_tensors", [true, false]);
  const { dtype } = options;
  if (dtype !== undefined && dtype !== "auto" && !(typeof dtype === "string" && typeOfDtype(dtype)))
    throw new InputError(
      `dtype: expected "auto", which leaves weights as the file has them, or one of ${dtypes.slice(1).join(", ")}, found ${show(dtype)}${dtypeMeant(dtype)}`,
    );
  if (options.imatrix !== undefined) textArgument(options.imatrix, "imatrix");
  if (options.imatrix !== undefined && (dtype === undefined || dtype === "auto"))
    throw new InputError("imatrix: it is for encoding while the model loads: expected a dtype beside it, found none");
  choice("device", devices);
  choice("profile", [true, false]);
  choice("simd", ["auto", "plain", "relaxed"]);
}
