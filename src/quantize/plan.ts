// What becomes of each tensor: its format, and why it is not the one that was asked for.
import { type Imatrix, importanceOf } from "../checkpoint/imatrix.ts";
import { showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type FileFormat, type FormatName, formats } from "../quant/formats.ts";
import {
  type FileType,
  fileTypes,
  fitting,
  formatIn,
  type MixShape,
  needsImportance,
  type TensorKind,
} from "../quant/mixes.ts";
import type { NamePattern } from "./name_pattern.ts";
import type { CheckedOptions } from "./options.ts";
import type { QuantizeSource, SourceTensor } from "./source.ts";

export interface PlannedTensor extends SourceTensor {
  /** What it was and what it becomes. */
  readonly from: FileFormat;
  readonly to: FileFormat;
  /** (experts, columns), where an importance matrix has it and the format heeds it. */
  readonly importance: Float32Array | undefined;
}

export interface QuantizePlan {
  readonly tensors: readonly PlannedTensor[];
  /** What the caller should know: fallbacks, names that matched nothing. */
  readonly warnings: readonly string[];
  /** Entries of the importance matrix that count. */
  readonly entries: number;
  /** `general.file_type`: what was asked for, or what options have made of most weights. Undefined for COPY. */
  readonly file_type: number | undefined;
}

/** @throws {@link InputError} when a tensor cannot become what was asked for: nothing is written then */
export function planTensors(
  source: QuantizeSource,
  options: CheckedOptions,
  imatrix: Imatrix | undefined,
): QuantizePlan {
  const warnings: string[] = [];
  const entries = new Map([...(imatrix?.entries ?? [])].filter(([name]) => counts(name, options)));
  const matrix = imatrix && { ...imatrix, entries };
  const used = new Set<string>();
  const matched = new Set<NamePattern>();
  const tensors = kept(source, options).map((tensor): PlannedTensor => {
    const from = tensor.matrices[0].format;
    const to = formats[formatOf(tensor, from, source.shape, options, imatrix !== undefined, matched, warnings)];
    const { name } = tensor;
    if (to !== from && from.quantized && !options.allow_requantize)
      throw new InputError(
        `${showName(name)}: it is ${from.name} already, and as ${to.name} would be quantized twice: take the model in full precision, or allow_requantize`,
      );
    const importance = tensor.kind && matrix && importanceFor(matrix, tensor, source.shape.experts);
    if (importance) used.add(name);
    else if (tensor.kind && to !== from && needed(to.name, tensor.kind, options, imatrix))
      throw new InputError(
        `${showName(name)}: ${to.name} needs an importance matrix, ${imatrix ? `which ${imatrix.file} does not have for it` : "and none was given: `tramontane imatrix`, or imatrix(), makes one"}`,
      );
    return { ...tensor, from, to, importance };
  });
  for (const { pattern } of options.tensor_types)
    if (!matched.has(pattern)) warnings.push(`tensor_types: ${pattern.source} matches no tensor that is quantized`);
  const names = new Set(source.tensors.map(({ name }) => entryOf(name).entry));
  for (const name of entries.keys())
    if (!names.has(name)) warnings.push(`${imatrix!.file}: ${showName(name)} is no tensor of this model`);
  if (imatrix && used.size === 0) warnings.push(`${imatrix.file}: no entry is of a tensor that is quantized`);
  return { tensors, warnings, entries: entries.size, file_type: fileType(source, tensors, options, imatrix) };
}

/** The entry of an importance matrix that a tensor is in: all experts of a layer are in one, though they may stand apart. */
function entryOf(name: string): { entry: string; expert?: number } {
  const apart = /^(blk\.\d+\.ffn_(?:gate|up|down))\.(\d+)\.weight$/.exec(name);
  return apart ? { entry: `${apart[1]}_exps.weight`, expert: Number(apart[2]) } : { entry: name };
}

function importanceFor(matrix: Imatrix, { source_name, matrices }: KeptTensor, experts: number) {
  const { entry, expert } = entryOf(source_name);
  const [{ cols }] = matrices;
  if (expert === undefined) return importanceOf(matrix, entry, matrices.length, cols);
  return expert < experts
    ? importanceOf(matrix, entry, experts, cols)?.subarray(expert * cols, (expert + 1) * cols)
    : undefined;
}

/** llama-quantize has what was asked for, even where options leave no tensor of it. */
function fileType(
  source: QuantizeSource,
  tensors: readonly PlannedTensor[],
  options: CheckedOptions,
  imatrix: Imatrix | undefined,
): number | undefined {
  const { type } = options;
  if (!type) return undefined;
  const plain = { ...options, tensor_types: [], output_tensor_type: undefined, token_embedding_type: undefined };
  const asked = (tensor: PlannedTensor): FormatName =>
    formatOf(tensor, tensor.from, source.shape, plain, imatrix !== undefined, new Set(), []);
  const most = mostOf(tensors, ({ to }) => to.name);
  if (most === mostOf(tensors, asked)) return type.id;
  return (fileTypes.find(({ name }) => name === most) ?? fileTypes.find(({ base }) => base === most) ?? type).id;
}

/** The format of most weights. */
function mostOf(tensors: readonly PlannedTensor[], formatOf: (tensor: PlannedTensor) => FormatName): FormatName {
  const weights = new Map<FormatName, number>();
  for (const tensor of tensors) {
    const format = formatOf(tensor);
    weights.set(format, (weights.get(format) ?? 0) + tensor.shape.reduce((a, b) => a * b, 1));
  }
  return [...weights].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

/** Q2_K_S is all Q2_K, which is of no use without an importance matrix, but for the embedding. */
const needed = (
  format: FormatName,
  kind: TensorKind,
  { type }: CheckedOptions,
  imatrix: Imatrix | undefined,
): boolean => needsImportance(format, kind) || (type?.name === "Q2_K_S" && format === "Q2_K" && !imatrix);

function counts(name: string, { include_weights, exclude_weights }: CheckedOptions): boolean {
  if (include_weights?.length) return include_weights.some((part) => name.includes(part));
  return !exclude_weights?.some((part) => name.includes(part));
}

/** A tensor whose layer may have another number than in the source, which an importance matrix names it by. */
interface KeptTensor extends SourceTensor {
  readonly source_name: string;
}

/** The tensors of the layers that stay, numbered anew. */
function kept({ tensors, shape }: QuantizeSource, { prune_layers = [] }: CheckedOptions): KeptTensor[] {
  const gone = new Set(prune_layers);
  for (const layer of gone)
    if (layer >= shape.layers)
      throw new InputError(`prune_layers: expected layers below ${shape.layers}, found ${layer}`);
  if (gone.size === shape.layers) throw new InputError("prune_layers: expected a layer to be left, found none");
  const numbers = new Map<number, number>();
  for (let i = 0; i < shape.layers; i++) if (!gone.has(i)) numbers.set(i, numbers.size);
  return tensors
    .filter(({ layer }) => !gone.has(layer))
    .map((tensor) => {
      const layer = numbers.get(tensor.layer) ?? tensor.layer;
      return { ...tensor, source_name: tensor.name, layer, name: tensor.name.replace(/^blk\.\d+\./, `blk.${layer}.`) };
    });
}

function formatOf(
  tensor: SourceTensor,
  from: FileFormat,
  shape: MixShape,
  options: CheckedOptions,
  imatrix: boolean,
  matched: Set<NamePattern>,
  warnings: string[],
): FormatName {
  const { kind, name } = tensor;
  const { type } = options;
  if (tensor.as_f32) return "F32";
  if (!type || !kind) return from.name;
  if (kind === "output" && options.leave_output_tensor) return from.name;
  const [{ cols }] = tensor.matrices;
  const wanted =
    overridden(kind, name, type, shape, options, matched) ??
    formatIn(type, { kind, layer: tensor.layer, cols }, shape, imatrix, options.pure);
  const fits = fitting(wanted, cols);
  if (fits !== wanted)
    warnings.push(`${showName(name)}: ${cols} columns are no whole blocks of ${wanted}: it becomes ${fits}`);
  return fits;
}

/** What an option says of a tensor. Where the embedding gives the logits, too, its own option is before that of the output. */
function overridden(
  kind: TensorKind,
  name: string,
  { base }: FileType,
  { tied }: MixShape,
  { output_tensor_type, token_embedding_type, tensor_types }: CheckedOptions,
  matched: Set<NamePattern>,
): FormatName | undefined {
  const plain = base === "F32" || base === "F16" || base === "BF16";
  const lower = name.toLowerCase();
  for (const { pattern, format } of tensor_types)
    if (!plain && pattern.test(lower)) {
      matched.add(pattern);
      return format;
    }
  if (kind === "token_embd") return token_embedding_type ?? (tied ? output_tensor_type : undefined);
  return kind === "output" ? output_tensor_type : undefined;
}
