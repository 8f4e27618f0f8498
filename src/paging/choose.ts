// Whether all experts are to have places of their own, or come when they are needed: decided once, with the reason.
import type { ModelShape } from "../config/shape.ts";
import { InputError } from "../errors.ts";
import { bytesOf, expertMatrices, type MixtralWeights } from "../weights/weights.ts";
import { layOutPaging, type PagingLayout } from "./layout.ts";

/** Of the free memory, what is left to the system and to others where nothing else is said. */
const LEFT_SHARE = 0.05;

export interface PagingChoice {
  readonly paging?: PagingLayout;
  /** Why experts come and go. */
  readonly reason?: string;
}

export interface PagingOptions {
  readonly memory_budget?: number | "auto" | undefined;
  readonly mmap?: "auto" | boolean | undefined;
  /** Whether the weights could be mapped. */
  readonly mapped: boolean;
  /** Whether the weights lie in files, and are neither drawn nor in memory already. */
  readonly on_disk: boolean;
  /** Bytes of memory, where the runtime tells. */
  readonly free: number | undefined;
  /** Of all matrices. */
  readonly weight_bytes: number;
  /** Bytes that caches are to have at least, and what else the engine takes: what steps work in, and its threads. */
  readonly beside: number;
}

/** @throws {@link InputError} where a budget was given that cannot be kept, MemoryError where it is too small */
export function choosePaging(shape: ModelShape, weights: MixtralWeights, options: PagingOptions): PagingChoice {
  const { memory_budget = "auto", mmap, mapped, on_disk, free = Infinity, weight_bytes, beside } = options;
  const experts = expertMatrices(weights);
  const bytes = bytesOf(experts);
  const others = weight_bytes - bytes + beside;
  const made = experts.find(({ recipe }) => recipe !== undefined);
  /** What the system can hold of files beside the slots is for nothing where it is less than what these hold. */
  const layOut = (budget: number) => layOutPaging(shape, weights, budget, free - others - budget < budget);
  if (memory_budget !== "auto") {
    const budget = memory_budget <= 1 ? Math.floor(memory_budget * bytes) : memory_budget;
    if (budget >= bytes) return {};
    if (mmap === true)
      throw new InputError("memory_budget: it reads experts when they are needed: mmap: true maps all");
    if (made)
      throw new InputError(
        `memory_budget: ${made.name} is made while the model loads, and cannot be read again: write a file of it first (quantize)`,
      );
    return { paging: layOut(budget), reason: "memory_budget was given" };
  }
  const room = Math.floor(free * (1 - LEFT_SHARE) - others);
  if (bytes <= room || mmap === true || made || !on_disk) return {};
  // Mapped weights leave room by themselves; but the system, which knows no experts, keeps the wrong ones when it must choose.
  if (mapped && weight_bytes <= free) return {};
  // Too little even for a step: mapped weights come and go as the system likes.
  const reason = `experts take ${bytes} bytes, of ${free} bytes of free memory ${room} are left for them`;
  try {
    return { paging: layOut(room), reason };
  } catch (error) {
    if (mapped) return {};
    throw error;
  }
}
