// What a checkpoint on disk is to the rest of the engine, whatever its form: a config, and tensors by name
// whose bytes stand at known places of open files. Opening checks everything; nothing is read twice.
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import type { SourceFile } from "../platform/platform.ts";
import type { FileFormat } from "../quant/formats.ts";
import type { GGUFValue } from "./gguf_types.ts";
import type { PackedMatrix } from "./packed.ts";

/** One tensor of a checkpoint: its bytes are `file[offset, offset + bytes)`, rows of whole blocks, row-major. */
export interface TensorRef {
  readonly name: string;
  readonly format: FileFormat;
  /** Outermost dimension first, as Hugging Face writes shapes (a GGUF's are reversed on reading). */
  readonly shape: readonly number[];
  readonly file: SourceFile;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Checkpoint {
  readonly kind: "safetensors" | "gguf";
  /** Whose names its tensors have. */
  readonly layout: "huggingface" | "gguf" | "mistral";
  /** The folder or file that was opened, for messages. */
  readonly path: string;
  readonly config: PreTrainedConfig;
  /** The contents of generation_config.json (or what GGUF metadata says of the kind); {} when there is none. */
  readonly generation_config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorRef>;
  /** Matrices that a library has quantized into several tensors, by the name that they would have. */
  readonly packed: ReadonlyMap<string, PackedMatrix>;
  /**
   * Tensors of a type that the engine does not compute with, and those that an index promises in vain: name → type and
   * shape, or where it is missed, for messages.
   */
  readonly foreign: ReadonlyMap<string, string>;
  /** A GGUF's metadata (the vocabulary is in it), by key; empty for safetensors. */
  readonly metadata: ReadonlyMap<string, GGUFValue>;
  /** The open files that hold the tensors. */
  readonly files: readonly SourceFile[];
  /** GGUF and Mistral: rows of q and k stand in the order that rotates adjacent pairs (see bind). */
  readonly qk_interleaved: boolean;
  close(): Promise<void>;
}
