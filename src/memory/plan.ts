// Decides which bank holds which weights, and at which address. A unit (a layer's attention, one expert, the embedding
// with the heads) stays within one bank, so that a product's input and output cross between banks only at its edges.

import type { LayerShape, ModelShape } from "../config/shape.ts";
import { MemoryError } from "../errors.ts";
import type { SourceFile } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { type BlockFormat, rowBytes } from "../quant/formats.ts";
import { copiesOf } from "../weights/column_orders.ts";
import {
  bytesOf,
  type ExpertWeights,
  expertMatrices,
  type LayerWeights,
  type MadeMatrix,
  type MatrixRef,
  type MixtralWeights,
  type StoredMatrix,
} from "../weights/weights.ts";
import { alignUp } from "./bank.ts";
import type { Linear, MatrixStack } from "./linear.ts";
import { memoryFormat } from "./repack.ts";

/** A small f32 array (norm weight, router) that is copied, dequantized, into a bank. */
export interface Constant {
  readonly bank: number;
  readonly address: number;
  readonly from: MatrixRef;
}

/** An order of columns, u32, that is copied into a bank. */
export interface PlacedOrder {
  readonly bank: number;
  readonly address: number;
  readonly order: Uint32Array;
}

/** A matrix of the checkpoint in a bank. */
export interface PlacedMatrix<Ref extends MatrixRef = MatrixRef> {
  readonly bank: number;
  readonly address: number;
  readonly from: Ref;
  /** That it has there. */
  readonly format: BlockFormat;
}

/** File bytes [offset, offset + bytes) that stand at `address` of a bank: some matrices, and what lies between them. */
export interface Segment {
  readonly bank: number;
  readonly address: number;
  readonly file: SourceFile;
  readonly offset: number;
  readonly bytes: number;
  readonly matrices: readonly PlacedMatrix<StoredMatrix>[];
}

export interface BankedLayer {
  readonly shape: LayerShape;
  /** Where the layer's attention, norms and router are, and its residual stream while it runs. */
  readonly bank: number;
  readonly input_layernorm: number; // address, f32 (hidden)
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly o_proj: Linear;
  readonly post_attention_layernorm: number;
  /**
   * The address of f32 (experts, hidden), or weights that want quantized activations. Null where there is one expert, which
   * every row goes to.
   */
  readonly router: number | Linear | null;
  /** Of all experts; an expert's three are in one bank, not always the layer's. */
  readonly w1: Linear;
  readonly w2: Linear;
  readonly w3: Linear;
}

export interface BankedModel {
  /** In bank 0, as are the norm and the head. */
  readonly embed_tokens: Linear;
  readonly layers: readonly BankedLayer[];
  readonly norm: number;
  readonly head: Linear | null; // (outputs, hidden)
  readonly qk_interleaved: boolean;
}

/** Room in a bank for an expert that comes and goes. */
export interface Slot {
  readonly bank: number;
  readonly address: number;
}

/** How many slots there are to be in the place of the experts, and bytes of each. */
export interface SlotSizes {
  readonly slots: number;
  readonly slot_bytes: number;
}

export interface WeightPlan {
  readonly model: BankedModel;
  readonly constants: readonly Constant[];
  readonly orders: readonly PlacedOrder[];
  readonly segments: readonly Segment[];
  /** Where experts come into while the model runs; none where all have places of their own. */
  readonly slots: readonly Slot[];
  /** What is made, in the order of the files. */
  readonly made: readonly PlacedMatrix<MadeMatrix>[];
  /** Bytes of each bank, low region included. */
  readonly bank_bytes: readonly number[];
  /** Bytes of weights as memory holds them: those of the files but for what is made. */
  readonly weight_bytes: number;
  /** Those of them that are made. */
  readonly made_bytes: number;
  /** Those of them that have no place of their own. */
  readonly paged_bytes: number;
}

/** What must stay together in a bank. */
interface Unit {
  what: string;
  matrices: MatrixRef[];
  constants: MatrixRef[];
  /** Of a slot. */
  slot_bytes?: number;
}

/**
 * @param low - bytes of the low region of every bank
 * @param page_size - the system's page, which mapped addresses keep
 * @param capacity - bytes of a bank at most
 * @param mapped - whether the file's bytes are mapped: else some formats are repacked
 * @param paged - where experts come and go: the room that they have
 * @throws {@link MemoryError} when a unit does not fit a bank
 */
export function planWeights(
  shape: ModelShape,
  weights: MixtralWeights,
  low: number,
  page_size: number,
  capacity: number,
  mapped: boolean,
  paged?: SlotSizes,
): WeightPlan {
  const banks = packUnits(weights, low, page_size, capacity, paged);
  const laid = layOut(banks, low, page_size, mapped);
  const paged_bytes = paged ? bytesOf(expertMatrices(weights)) : 0;
  return {
    model: bankedModel(shape, weights, laid),
    constants: [...laid.constants.values()],
    orders: laid.orders,
    segments: laid.segments,
    slots: laid.slots,
    made: laid.made,
    bank_bytes: laid.bank_bytes,
    weight_bytes: bytesOf(laid.matrices.keys()) + paged_bytes,
    made_bytes: bytesOf(laid.made.map(({ from }) => from)),
    paged_bytes,
  };
}

/**
 * The units of each bank. First fit in file order; a layer that would not fit what is left of a bank begins a new one,
 * unless it is larger than a whole bank: then it spreads, unit by unit.
 */
function packUnits(
  weights: MixtralWeights,
  low: number,
  page_size: number,
  capacity: number,
  paged: SlotSizes | undefined,
): Unit[][] {
  const banks: Unit[][] = [[]];
  let room = capacity - low;
  const need = (units: readonly Unit[]) => units.reduce((sum, unit) => sum + unitBytes(unit, page_size), 0);
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
  const { embed_tokens, head, norm } = weights;
  put({
    what: "embedding and head",
    matrices: [...new Set([embed_tokens, ...(head ? [head.weight] : [])])],
    constants: [norm, ...(head?.bias ? [head.bias] : [])],
  });
  for (const [i, layer] of weights.layers.entries()) {
    const units = layerUnits(layer, i, !paged);
    const bytes = need(units);
    if (bytes > room && bytes <= capacity - low) {
      banks.push([]);
      room = capacity - low;
    }
    units.forEach(put);
  }
  for (let slot = 0; slot < (paged?.slots ?? 0); slot++)
    put({ what: "room for an expert", matrices: [], constants: [], slot_bytes: paged!.slot_bytes });
  return banks;
}

function layerUnits(layer: LayerWeights, i: number, with_experts: boolean): Unit[] {
  const attention: Unit = {
    what: `attention of layer ${i}`,
    matrices: [layer.q_proj, layer.k_proj, layer.v_proj, layer.o_proj],
    constants: [layer.input_layernorm, layer.post_attention_layernorm],
  };
  if (layer.router) (multiplied(layer.router) ? attention.matrices : attention.constants).push(layer.router);
  const expert = (weights: ExpertWeights, e: number): Unit => ({
    what: `expert ${e} of layer ${i}`,
    matrices: [weights.w1, weights.w3, weights.w2],
    constants: [],
  });
  return [attention, ...(with_experts ? layer.experts.map(expert) : [])];
}

/** Whether a router has products of its own; else it is small, and f32. */
export const multiplied = ({ format }: MatrixRef): boolean => format.row_head !== undefined;

/** Bytes that a unit may take at most, each matrix on pages of its own. */
const unitBytes = (unit: Unit, page_size: number): number =>
  unit.matrices.reduce((sum, m) => sum + alignUp(m.bytes, page_size) + 2 * page_size, 0) +
  unit.constants.reduce((sum, m) => sum + m.rows * m.cols * 4 + 64, 0) +
  unit.matrices.reduce((sum, { order }) => sum + (order ? order.byteLength + 64 : 0), 0) +
  alignUp(unit.slot_bytes ?? 0, page_size);

/** Where everything stands. */
interface LaidOut {
  readonly matrices: Map<MatrixRef, PlacedMatrix>;
  readonly constants: Map<MatrixRef, Constant>;
  readonly orders: PlacedOrder[];
  readonly segments: Segment[];
  readonly slots: Slot[];
  readonly made: PlacedMatrix<MadeMatrix>[];
  readonly bank_bytes: number[];
}

/**
 * Each bank: the low region, the constants, the orders of columns, what is made, then the files' ranges, each at its own offset
 * within a page, and slots.
 */
function layOut(banks: readonly (readonly Unit[])[], low: number, page_size: number, mapped: boolean): LaidOut {
  const laid: LaidOut = {
    matrices: new Map(),
    constants: new Map(),
    orders: [],
    segments: [],
    slots: [],
    made: [],
    bank_bytes: [],
  };
  for (const [bank, units] of banks.entries()) {
    let next = low;
    for (const from of units.flatMap((unit) => unit.constants)) {
      laid.constants.set(from, { bank, address: next, from });
      next = alignUp(next + from.rows * from.cols * 4, 64);
    }
    const matrices = units.flatMap((unit) => unit.matrices);
    for (const order of new Set(matrices.flatMap(({ order }) => order ?? []))) {
      laid.orders.push({ bank, address: next, order });
      next = alignUp(next + order.byteLength, 64);
    }
    for (const from of matrices.filter(isMade)) {
      const placed = { bank, address: next, from, format: memoryFormat(from, mapped) };
      laid.made.push(placed);
      laid.matrices.set(from, placed);
      next = alignUp(next + from.bytes, 64);
    }
    next = alignUp(next, page_size);
    const stored = matrices.filter((matrix) => !isMade(matrix));
    for (const { file, offset, end, matrices: inside } of mergeRanges(stored, page_size)) {
      const address = next + (offset % page_size);
      const placed = inside.map((from) => {
        return { bank, address: address + from.offset - offset, from, format: memoryFormat(from, mapped) };
      });
      laid.segments.push({ bank, address, file, offset, bytes: end - offset, matrices: placed });
      for (const matrix of placed) laid.matrices.set(matrix.from, matrix);
      next = alignUp(address + end - offset, page_size);
    }
    for (const { slot_bytes } of units) {
      if (slot_bytes === undefined) continue;
      laid.slots.push({ bank, address: next });
      next = alignUp(next + slot_bytes, page_size);
    }
    laid.bank_bytes.push(next);
  }
  return laid;
}

const isMade = (matrix: MatrixRef): matrix is MadeMatrix => matrix.recipe !== undefined;

interface Range {
  file: SourceFile;
  offset: number;
  end: number;
  matrices: StoredMatrix[];
}

/** The file ranges of some matrices in file order, neighbours on the same or adjoining pages made one. */
function mergeRanges(matrices: StoredMatrix[], page_size: number): Range[] {
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

function bankedModel(shape: ModelShape, weights: MixtralWeights, laid: LaidOut): BankedModel {
  const { matrices, constants, orders } = laid;
  const count = 4 + weights.layers.reduce((sum, { experts }) => sum + 5 + 3 * experts.length, 0);
  const tables = new Tables(count);
  const copies = copiesOf(weights);
  const stacked = (ref: MatrixRef): Stacked => {
    // An expert without a place of its own gets one when it is wanted, as it stands in the file.
    const placed = matrices.get(ref) ?? { bank: 0, address: 0, from: ref, format: ref.format };
    const order = ref.order && orders.find(({ bank, order }) => bank === placed.bank && order === ref.order);
    return { ...placed, order: order?.address ?? 0, copy: copies.get(ref) ?? 0 };
  };
  const linear = (refs: readonly MatrixRef[]): Linear => ({ weights: tables.stack(refs, stacked) });
  const constant = (matrix: MatrixRef) => constants.get(matrix)!.address;
  const embed_tokens = linear([weights.embed_tokens]);
  const { head } = weights;
  return {
    embed_tokens,
    layers: weights.layers.map((layer, i) => ({
      shape: shape.layers[i],
      bank: matrices.get(layer.q_proj)!.bank,
      input_layernorm: constant(layer.input_layernorm),
      q_proj: linear([layer.q_proj]),
      k_proj: linear([layer.k_proj]),
      v_proj: linear([layer.v_proj]),
      o_proj: linear([layer.o_proj]),
      post_attention_layernorm: constant(layer.post_attention_layernorm),
      router: layer.router && (multiplied(layer.router) ? linear([layer.router]) : constant(layer.router)),
      w1: linear(layer.experts.map(({ w1 }) => w1)),
      w2: linear(layer.experts.map(({ w2 }) => w2)),
      w3: linear(layer.experts.map(({ w3 }) => w3)),
    })),
    norm: constant(weights.norm),
    head: head && {
      ...(head.weight === weights.embed_tokens ? embed_tokens : linear([head.weight])),
      ...(head.bias ? { bias: constant(head.bias) } : {}),
    },
    qk_interleaved: weights.qk_interleaved,
  };
}

/** A matrix as a stack has it. */
interface Stacked extends PlacedMatrix {
  readonly order: number;
  readonly copy: number;
}

/** The banks and addresses of all matrices, in shared buffers of which each stack has a part. */
class Tables {
  private readonly banks: Uint16Array;
  private readonly addresses: Uint32Array;
  private readonly orders: Uint32Array;
  private used = 0;

  constructor(matrices: number) {
    this.banks = new Uint16Array(sharedBuffer(matrices * 2));
    this.addresses = new Uint32Array(sharedBuffer(matrices * 4));
    this.orders = new Uint32Array(sharedBuffer(matrices * 4));
  }

  stack(refs: readonly MatrixRef[], at: (ref: MatrixRef) => Stacked): MatrixStack {
    const from = this.used;
    this.used += refs.length;
    const [{ name, rows, cols }] = refs;
    const banks = this.banks.subarray(from, this.used);
    const addresses = this.addresses.subarray(from, this.used);
    const orders = this.orders.subarray(from, this.used);
    const stacked = refs.map(at);
    for (const [i, { bank, address, order }] of stacked.entries()) {
      banks[i] = bank;
      addresses[i] = address;
      orders[i] = order;
    }
    const [formats, copies] = [stacked.map(({ format }) => format), stacked.map(({ copy }) => copy)];
    return { name, rows, cols, formats, banks, addresses, orders, copies };
  }
}

/** Bytes between two rows of a stack's matrix. */
export const stackRowBytes = ({ formats, cols }: MatrixStack, i: number): number => rowBytes(formats[i], cols);
