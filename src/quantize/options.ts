// The options of `quantize`, checked. What they mean is what llama-quantize's of the same names mean.
import { checkSignal } from "../abort.ts";
import { functionArgument, givenOptions, textArgument } from "../arguments.ts";
import type { GGUFScalarType, GGUFValue } from "../checkpoint/gguf_types.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type FormatName, formats } from "../quant/formats.ts";
import { type FileType, fileTypeOf, fileTypes } from "../quant/mixes.ts";
import { NamePattern } from "./name_pattern.ts";

/** What `progress_callback` is told. */
export interface QuantizeProgress {
  status: "progress" | "done";
  /** The tensor that is being written. */
  name: string;
  /** Bytes of the source that are done, and of all. */
  loaded: number;
  total: number;
  /** A percentage. */
  progress: number;
}

/** The options of `quantize`. */
export interface QuantizeOptions {
  /** A file type, as `Q4_K_M`, in any case or by number; `COPY` leaves every tensor as it is. */
  type: string;
  /** The path of an importance matrix, llama.cpp's in either form. @default none */
  imatrix?: string | undefined;
  /** Only these entries of the importance matrix, by parts of their names. @default all */
  include_weights?: readonly string[] | undefined;
  /** All entries but these, by parts of their names; not beside `include_weights`. @default none */
  exclude_weights?: readonly string[] | undefined;
  /** Every tensor in the file type's base format. @default false */
  pure?: boolean | undefined;
  /** The format of `output.weight`. @default as `type` has it */
  output_tensor_type?: string | undefined;
  /** The format of `token_embd.weight`. @default as `type` has it */
  token_embedding_type?: string | undefined;
  /** Formats of tensors whose names in lower case match a regular expression; the first that matches holds. @default none */
  tensor_types?: readonly (readonly [pattern: string, type: string])[] | undefined;
  /** Leaves `output.weight` as it is. @default false */
  leave_output_tensor?: boolean | undefined;
  /** Tensors that are quantized already may become another format. @default false */
  allow_requantize?: boolean | undefined;
  /** A split source becomes a split set. @default false */
  keep_split?: boolean | undefined;
  /** Metadata to be put in, or in place of what there is. @default none */
  override_kv?: readonly (readonly [key: string, type: GGUFScalarType, value: GGUFValue])[] | undefined;
  /** Layers to be left out, by number. @default none */
  prune_layers?: readonly number[] | undefined;
  /** Tells what would be done, and writes nothing. @default false */
  dry_run?: boolean | undefined;
  /** A file of that name may be replaced. @default false */
  overwrite?: boolean | undefined;
  /** Threads that encode. @default as many as there are cores */
  threads?: number | undefined;
  /** Told of each tensor. Where it returns promises, the call ends when they are settled. */
  progress_callback?: ((progress: QuantizeProgress) => void) | undefined;
  /** Stops it; what is written so far is gone on with when the same is asked for again. */
  signal?: AbortSignal | undefined;
}

export interface CheckedOptions
  extends Omit<QuantizeOptions, "type" | "output_tensor_type" | "token_embedding_type" | "tensor_types"> {
  /** Undefined for COPY. */
  readonly type: FileType | undefined;
  readonly output_tensor_type?: FormatName;
  readonly token_embedding_type?: FormatName;
  readonly tensor_types: readonly { readonly pattern: NamePattern; readonly format: FormatName }[];
}

const known = namesOf<QuantizeOptions>({
  type: true,
  imatrix: true,
  include_weights: true,
  exclude_weights: true,
  pure: true,
  output_tensor_type: true,
  token_embedding_type: true,
  tensor_types: true,
  leave_output_tensor: true,
  allow_requantize: true,
  keep_split: true,
  override_kv: true,
  prune_layers: true,
  dry_run: true,
  overwrite: true,
  threads: true,
  progress_callback: true,
  signal: true,
});

/** @throws {@link InputError} naming the option that is wrong; the signal's reason where it is aborted already */
export function checkQuantizeOptions(given: QuantizeOptions): CheckedOptions {
  const options = givenOptions<QuantizeOptions>(given, "quantize", known);
  const { imatrix, include_weights, exclude_weights, threads, prune_layers, override_kv, signal } = options;
  if (imatrix !== undefined) textArgument(imatrix, "imatrix");
  texts("include_weights", include_weights);
  texts("exclude_weights", exclude_weights);
  if (include_weights?.length && exclude_weights?.length)
    throw new InputError("include_weights, exclude_weights: expected one of them, found both");
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 256))
    throw new InputError(`threads: expected an integer from 1 to 256, found ${show(threads)}`);
  for (const layer of prune_layers ?? [])
    if (!Number.isInteger(layer) || layer < 0)
      throw new InputError(`prune_layers: expected numbers of layers, found ${show(layer)}`);
  for (const pair of override_kv ?? [])
    if (!Array.isArray(pair) || pair.length !== 3 || typeof pair[0] !== "string" || typeof pair[1] !== "string")
      throw new InputError(`override_kv: expected lists of key, type and value, found ${show(pair)}`);
  for (const name of ["pure", "leave_output_tensor", "allow_requantize", "keep_split", "dry_run", "overwrite"] as const)
    if (options[name] !== undefined && typeof options[name] !== "boolean")
      throw new InputError(`${name}: expected true or false, found ${show(options[name])}`);
  functionArgument(options.progress_callback, "progress_callback");
  checkSignal(signal);
  signal?.throwIfAborted();
  return {
    ...options,
    type: readType(options.type),
    output_tensor_type: readFormat(options.output_tensor_type, "output_tensor_type"),
    token_embedding_type: readFormat(options.token_embedding_type, "token_embedding_type"),
    tensor_types: (options.tensor_types ?? []).map(([pattern, type]) => {
      return {
        pattern: new NamePattern(textArgument(pattern, "tensor_types"), "tensor_types"),
        format: readFormat(type, `tensor_types: ${show(pattern)}`)!,
      };
    }),
  };
}

function texts(name: string, list: readonly string[] | undefined): void {
  if (list !== undefined && (!Array.isArray(list) || list.some((text) => typeof text !== "string" || text === "")))
    throw new InputError(`${name}: expected a list of parts of names, found ${show(list)}`);
}

function readType(type: string): FileType | undefined {
  if (typeof type === "string" && type.toUpperCase() === "COPY") return undefined;
  const found = typeof type === "string" ? fileTypeOf(type) : undefined;
  if (found) return found;
  throw new InputError(
    `type: expected one of ${fileTypes.map(({ name }) => name).join(", ")}, COPY, found ${show(type)}`,
  );
}

function readFormat(name: string | undefined, what: string): FormatName | undefined {
  if (name === undefined) return undefined;
  const upper = typeof name === "string" ? (name.toUpperCase() as FormatName) : undefined;
  if (upper && Object.hasOwn(formats, upper)) return upper;
  throw new InputError(`${what}: expected one of ${Object.keys(formats).join(", ")}, found ${show(name)}`);
}
