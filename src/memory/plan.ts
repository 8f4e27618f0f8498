// Decides which bank holds which weights, and at which address. A unit (a layer's attention, one expert, the embedding
// with the head) stays within one bank, so that a product's input and output cross between banks only at its edges.
import { MemoryError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { type BlockFormat, rowBytes } from "../quant/formats.ts";
import type { ExpertWeights, MatrixRef, MixtralWeights } from "../weights/weights.ts";
import { alignUp } from "./bank.ts";

/** A matrix in a bank. Plain data: it is sent to the threads. */
export interface Placed {
  readonly name: string;
  readonly bank: number;
  readonly address: number;
  readonly format: BlockFormat;
  readonly rows: number;
  readonly cols: number;
  readonly row_bytes: number;
}

/** A small f32 array (norm weight, router) that is copied, dequantized, into a bank. */
export interface Constant {
  readonly bank: number;
  readonly address: number;
  readonly from: MatrixRef;
}

/** File bytes [offset, offset + bytes) that stand at `address` of a bank. */
export interface Segment {
  readonly bank: number;
  readonly address: number;
  readonly file: SourceFile;
  readonly offset: number;
  readonly bytes: number;
}

export interface PlacedExpert {
  readonly w1: Placed;
  readonly w2: Placed;
  readonly w3: Placed;
}

export interface PlacedLayer {
  /** Where the layer's attention, norms and router are, and its residual stream while it runs. */
  readonly bank: number;
  readonly input_layernorm: number; // address, f32 (hidden)
  readonly q_proj: Placed;
  readonly k_proj: Placed;
  readonly v_proj: Placed;
  readonly o_proj: Placed;
  readonly post_attention_layernorm: number;
  readonly gate: number; // address, f32 (experts, hidden)
  readonly experts: readonly PlacedExpert[]; // each in one bank, not always the layer's
}

export interface PlacedModel {
  /** In bank 0, as are the norm and the head. */
  readonly embed_tokens: Placed;
  readonly layers: readonly PlacedLayer[];
  readonly norm: number;
  readonly lm_head: Placed | null;
  readonly qk_interleaved: boolean;
}

export interface WeightPlan {
  readonly model: PlacedModel;
  readonly constants: readonly Constant[];
  readonly segments: readonly Segment[];
  /** Bytes of each bank, low region included. */
  readonly bank_bytes: readonly number[];
  /** Bytes of weights as the files hold them. */
  readonly weight_bytes: number;
}

/** What must stay together in a bank. */
interface Unit {
  what: string;
  matrices: MatrixRef[];
  constants: MatrixRef[];
}

/**
 * @param low - bytes of the low region of every bank
 * @param page_size - the system's page, which mapped addresses keep
 * @param capacity - bytes of a bank at most
 * @throws {@link MemoryError} when a unit does not fit a bank
 */
export function planWeights(weights: MixtralWeights, low: number, page_size: number, capacity: number): WeightPlan {
  const layers = weights.layers.map((layer, i) => layerUnits(layer, i));
  const shared: Unit = {
    what: "embedding and head",
    matrices: [
      weights.embed_tokens,
      ...(weights.lm_head && weights.lm_head !== weights.embed_tokens ? [weights.lm_head] : []),
    ],
    constants: [weights.norm],
  };

  // First fit in file order; a layer that would not fit what is left of a bank begins a new one, unless it is larger
  // than a whole bank: then it spreads, unit by unit.
  const banks: Unit[][] = [[]];
  let room = capacity - low;
  const need = (units: Unit[]) => units.reduce((sum, unit) => sum + unitBytes(unit, page_size), 0);
  const put = (unit: Unit) => {
    const bytes = need([unit]);
    if (bytes > capacity - low)
      throw new MemoryError(
        `${unit.what}: needs ${bytes} bytes in one bank, which has ${capacity - low} for weights`,
        bytes,
        capacity - low,
      );
    if (bytes > room) {
      banks.push([]);
      room = capacity - low;
    }
    banks[banks.length - 1].push(unit);
    room -= bytes;
  };
  put(shared);
  for (const units of layers) {
    const bytes = need(units);
    if (bytes > room && bytes <= capacity - low) {
      banks.push([]);
      room = capacity - low;
    }
    units.forEach(put);
  }

  const placed = new Map<MatrixRef, Placed>();
  const constants = new Map<MatrixRef, Constant>();
  const segments: Segment[] = [];
  const bank_bytes = banks.map((units, bank) => {
    let next = low;
    for (const from of units.flatMap((unit) => unit.constants)) {
      constants.set(from, { bank, address: next, from });
      next = alignUp(next + from.rows * from.cols * 4, 64);
    }
    next = alignUp(next, page_size);
    const matrices = units.flatMap((unit) => unit.matrices);
    for (const range of mergeRanges(matrices, page_size)) {
      const address = next + (range.offset % page_size);
      segments.push({ bank, address, file: range.file, offset: range.offset, bytes: range.end - range.offset });
      for (const matrix of range.matrices) {
        placed.set(matrix, {
          name: matrix.name,
          bank,
          address: address + matrix.offset - range.offset,
          format: matrix.format,
          rows: matrix.rows,
          cols: matrix.cols,
          row_bytes: rowBytes(matrix.format, matrix.cols),
        });
      }
      next = alignUp(address + range.end - range.offset, page_size);
    }
    return next;
  });

  const at = (matrix: MatrixRef) => placed.get(matrix)!;
  const constant = (matrix: MatrixRef) => constants.get(matrix)!.address;
  const model: PlacedModel = {
    embed_tokens: at(weights.embed_tokens),
    layers: weights.layers.map((layer) => ({
      bank: at(layer.q_proj).bank,
      input_layernorm: constant(layer.input_layernorm),
      q_proj: at(layer.q_proj),
      k_proj: at(layer.k_proj),
      v_proj: at(layer.v_proj),
      o_proj: at(layer.o_proj),
      post_attention_layernorm: constant(layer.post_attention_layernorm),
      gate: constant(layer.gate),
      experts: layer.experts.map(({ w1, w2, w3 }) => ({ w1: at(w1), w2: at(w2), w3: at(w3) })),
    })),
    norm: constant(weights.norm),
    lm_head: weights.lm_head && at(weights.lm_head),
    qk_interleaved: weights.qk_interleaved,
  };
  const weight_bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  return { model, constants: [...constants.values()], segments, bank_bytes, weight_bytes };
}

function layerUnits(layer: MixtralWeights["layers"][number], i: number): Unit[] {
  const attention: Unit = {
    what: `attention of layer ${i}`,
    matrices: [layer.q_proj, layer.k_proj, layer.v_proj, layer.o_proj],
    constants: [layer.input_layernorm, layer.post_attention_layernorm, layer.gate],
  };
  const expert = (weights: ExpertWeights, e: number): Unit => ({
    what: `expert ${e} of layer ${i}`,
    matrices: [weights.w1, weights.w3, weights.w2],
    constants: [],
  });
  return [attention, ...layer.experts.map(expert)];
}

/** Bytes that a unit may take at most, each matrix on pages of its own. */
const unitBytes = (unit: Unit, page_size: number): number =>
  unit.matrices.reduce((sum, m) => sum + alignUp(m.bytes, page_size) + 2 * page_size, 0) +
  unit.constants.reduce((sum, m) => sum + m.rows * m.cols * 4 + 64, 0);

interface Range {
  file: SourceFile;
  offset: number;
  end: number;
  matrices: MatrixRef[];
}

/** The file ranges of some matrices in file order, neighbours on the same or adjoining pages made one. */
function mergeRanges(matrices: MatrixRef[], page_size: number): Range[] {
  const files = [...new Set(matrices.map((matrix) => matrix.file))];
  const sorted = [...matrices].sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.offset - b.offset);
  const ranges: Range[] = [];
  for (const matrix of sorted) {
    const last = ranges[ranges.length - 1];
    const end = matrix.offset + matrix.bytes;
    if (last && last.file === matrix.file && matrix.offset <= alignUp(last.end, page_size)) {
      last.end = Math.max(last.end, end);
      last.matrices.push(matrix);
    } else ranges.push({ file: matrix.file, offset: matrix.offset, end, matrices: [matrix] });
  }
  return ranges;
}
