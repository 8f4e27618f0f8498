// Brings an adapter into a bank: every matrix in the file's own floats, cut out of the tensors that hold several and turned
// round where the file has it otherwise, so that products find whole rows.
import type { Adapter, Factor, LowRank } from "../adapters/adapter.ts";
import { copyFactor, interleavedRow, readTensor, transpose } from "../adapters/factor.ts";
import type { ModelShape } from "../config/shape.ts";
import {
  type AdapterLayer,
  type BankedFactor,
  type BankedPair,
  innerBytes,
  type TeamAdapter,
} from "./adapter_layout.ts";
import { alignUp } from "./bank.ts";
import type { RunState } from "./layout.ts";

/** A matrix and where it is to be. */
interface PlacedFactor {
  readonly factor: Factor;
  /** The row of the factor that is row i; i itself where absent. */
  readonly row_of?: (i: number) => number;
  /** Bytes from the adapter's first. */
  readonly offset: number;
}

/** What an adapter will be in memory; addresses are counted from its first byte. */
export interface AdapterPlan {
  readonly layers: readonly AdapterLayer[];
  readonly embed_tokens?: BankedPair;
  readonly head?: BankedPair;
  readonly whole_embed_tokens?: BankedFactor;
  readonly whole_head?: BankedFactor;
  readonly inner: readonly [number, number];
  readonly factors: readonly PlacedFactor[];
  /** Bytes of matrices, and with room to compute. */
  readonly weight_bytes: number;
  readonly bytes: number;
}

/** @param interleaved - whether the model's rows of q and k stand in the order that rotates adjacent pairs: so must B's */
export function planAdapter(
  { low_rank, replacements }: Pick<Adapter, "low_rank" | "replacements">,
  shape: ModelShape,
  state: RunState,
  interleaved: boolean,
): AdapterPlan {
  const placing = new Placing();
  const layers: AdapterLayer[] = shape.layers.map(() => ({}));
  let top: Pick<AdapterPlan, "embed_tokens" | "head" | "whole_embed_tokens" | "whole_head"> = {};
  for (const one of low_rank) {
    const { role, layer, expert } = one;
    const rotated = interleaved && (role === "q_proj" || role === "k_proj");
    const pair = placing.pair(one, rotated ? shape.layers[layer].head_dim : undefined);
    if (role === "embed_tokens" || role === "head") top = { ...top, [role]: pair };
    else if (role === "w1" || role === "w2" || role === "w3")
      (layers[layer][role] ??= Array.from({ length: shape.layers[layer].experts }, () => undefined))[expert] = pair;
    else layers[layer][role] = pair;
  }
  for (const { role, weight } of replacements) top = { ...top, [`whole_${role}`]: placing.place(weight) };
  const weight_bytes = placing.bytes;
  const [chunk, between] = state.lanes.map((lane) => innerBytes(shape, lane, { layers, ...top }));
  const inner = [weight_bytes, alignUp(weight_bytes + chunk, 64)] as const;
  return { layers, ...top, inner, factors: placing.factors, weight_bytes, bytes: inner[1] + between };
}

/** Gives matrices their places. What two of the model's matrices have in common (A of w1 and w3) stands once. */
class Placing {
  readonly factors: PlacedFactor[] = [];
  bytes = 0;
  private readonly known = new Map<string, BankedFactor>();

  place(factor: Factor, head_dim?: number): BankedFactor {
    const { tensor, rows, cols, first_row, first_col, col_step, transposed } = factor;
    const id = [tensor.name, rows, cols, first_row, first_col, col_step, transposed, head_dim].join(" ");
    let place = this.known.get(id);
    if (!place) {
      const { format } = tensor;
      place = { address: this.bytes, format };
      this.known.set(id, place);
      this.factors.push({ factor, row_of: head_dim ? interleavedRow(head_dim) : undefined, offset: this.bytes });
      this.bytes = alignUp(this.bytes + rows * cols * format.block_bytes, 64);
    }
    return place;
  }

  pair({ role, rank, scale, a, b }: LowRank, head_dim?: number): BankedPair {
    const embedding = role === "embed_tokens";
    const [first, second] = embedding ? [b, transpose(a)] : [a, b];
    return { rank, scale, a: this.place(first), b: this.place(second, head_dim) };
  }
}

/**
 * Reads an adapter's matrices to where they are to be.
 * @param address - of the adapter's first byte in the memory
 * @param about - what else tells it from others
 * @returns a number in hexadecimal that tells one adapter's values from another's
 * @throws {@link CheckpointError} when a value is NaN or infinite, the signal's reason when aborted
 */
export async function loadFactors(
  { factors }: AdapterPlan,
  memory: WebAssembly.Memory,
  address: number,
  about: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  let hash = mixed(0, new Uint8Array(Uint16Array.from(about, (_, i) => about.charCodeAt(i)).buffer));
  const inOrder = factors.toSorted((a, b) => a.factor.tensor.offset - b.factor.tensor.offset);
  let tensor: Factor["tensor"] | undefined;
  let bytes = new Uint8Array();
  for (const { factor, row_of, offset } of inOrder) {
    signal?.throwIfAborted();
    if (factor.tensor !== tensor) {
      tensor = factor.tensor;
      bytes = await readTensor(factor);
      hash = mixed(hash, bytes);
    }
    copyFactor(factor, bytes, memory.buffer, address + offset, row_of);
  }
  return hash.toString(16).padStart(13, "0");
}

/** Goes on with a hash of 52 bits over some bytes: two sums of products, each of 26. */
function mixed(hash: number, bytes: Uint8Array<ArrayBuffer>): number {
  let low = (hash % 2 ** 26) ^ bytes.length;
  let high = Math.floor(hash / 2 ** 26);
  const words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
  for (const word of words) {
    low = Math.imul(low ^ word, 0x01000193);
    high = Math.imul(high ^ word, 0x5bd1e995) ^ (high >>> 15);
  }
  return (low & 0x3ffffff) + (high & 0x3ffffff) * 2 ** 26;
}

/** An adapter's plan at the place it was given. */
export function placeAdapter(plan: AdapterPlan, id: number, bank: number, start: number): TeamAdapter {
  const factor = ({ address, format }: BankedFactor): BankedFactor => ({ address: start + address, format });
  const pair = <T extends BankedPair | undefined>(given: T): T =>
    (given && { ...given, a: factor(given.a), b: factor(given.b) }) as T;
  const layer = (given: AdapterLayer): AdapterLayer =>
    Object.fromEntries(
      Object.entries(given).map(([role, value]) => [role, Array.isArray(value) ? value.map(pair) : pair(value)]),
    );
  const { embed_tokens, head, whole_embed_tokens, whole_head, inner } = plan;
  return {
    id,
    bank,
    layers: plan.layers.map(layer),
    ...(embed_tokens ? { embed_tokens: pair(embed_tokens) } : {}),
    ...(head ? { head: pair(head) } : {}),
    ...(whole_embed_tokens ? { whole_embed_tokens: factor(whole_embed_tokens) } : {}),
    ...(whole_head ? { whole_head: factor(whole_head) } : {}),
    inner: [start + inner[0], start + inner[1]],
  };
}
