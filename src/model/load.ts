// The order of loading: memories, threads and weights beside each other, and their undoing where one of them fails.

import { checkTensors } from "../checkpoint/check_tensors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { widest } from "../config/shape.ts";
import { Converters } from "../convert/converters.ts";
import { MemoryError } from "../errors.ts";
import { type KernelInstance, stackTop } from "../kernels/abi.ts";
import { loadLogits } from "../kernels/logits.ts";
import { CHOICE_WORDS } from "../kernels/read_ahead.ts";
import { createBank } from "../memory/bank.ts";
import { emptyBanks, loadConstants, loadSegments } from "../memory/load.ts";
import type { WeightPlan } from "../memory/plan.ts";
import { FileWatch } from "../memory/watch.ts";
import type { PagerSetup } from "../paging/pager.ts";
import type { ReaderSetup } from "../paging/reader.ts";
import { Readers } from "../paging/readers.ts";
import type { Platform } from "../platform/platform.ts";
import { sharedBuffer } from "../platform/shared_buffer.ts";
import { Team } from "../threads/team.ts";
import type { HeadName, MadeMatrix } from "../weights/weights.ts";
import { Engine, type EngineTeam } from "./engine.ts";
import type { LoadOptions } from "./options.ts";
import { type EnginePlan, ownBytes, planEngine } from "./plan.ts";
import { Rotary } from "./rotary.ts";
import type { Setup } from "./step.ts";

/**
 * Loads a checkpoint's weights and starts the team. The checkpoint stays the caller's, to be closed when this returns.
 * @param head - the head of the model's class
 * @throws MemoryError when a memory cannot be had, CheckpointError when a file fails, the signal's reason when aborted
 */
export async function loadEngine(
  platform: Platform,
  checkpoint: Checkpoint,
  options: LoadOptions,
  head: HeadName | null,
): Promise<Engine> {
  const { signal } = options;
  signal?.throwIfAborted();
  const plan = await planEngine(platform, checkpoint, options, head);
  signal?.throwIfAborted();
  if (options.check_tensors) await checkTensors(checkpoint, signal);
  checkMemory(platform, checkpoint, plan);
  const { state, source, weights } = plan;
  const banks = plan.bank_bytes.map((bytes, i) => createBank(bytes, `memory ${i} of ${plan.bank_bytes.length}`));
  const { paging } = plan;
  const readers =
    paging &&
    new Readers(
      paging,
      weights.slots,
      state.threads,
      widest(plan.shape, (l) => l.experts),
    );
  let team: EngineTeam | undefined;
  try {
    const kernels = banks.map((memory) => plan.kernels.instantiate(memory, stackTop(state.threads)));
    const rotary = prepareRotary(plan, banks, kernels);
    // Threads start while the weights come in; a failure of either is waited for with the other.
    // Where there are no threads, who computes reads.
    const alone = platform.alone !== undefined;
    const reader = alone ? readers?.readerSetup(banks) : undefined;
    const setup = setupOf(plan, banks, rotary.scale, options, readers?.setup, reader);
    const starting: Promise<EngineTeam> = Team.start(platform, state.threads, setup, setup.profile, signal);
    plan.kernels.build.faster_dot?.prepare();
    const progress = progressOf(options, checkpoint, weights);
    for (const { bank, address, order } of weights.orders)
      new Uint32Array(banks[bank].buffer, address, order.length).set(order);
    const results = await Promise.allSettled([
      starting,
      alone ? undefined : readers?.start(platform, banks, signal),
      loadSegments(weights, banks, kernels, source, signal, (bytes) => progress("read", bytes)),
      loadMade(
        platform,
        plan,
        banks,
        signal,
        (bytes) => progress("made", bytes),
        (make) => loadConstants(weights, banks, kernels, state.lanes[0].x, make, signal),
      ),
    ]);
    if (results[0].status === "fulfilled") team = results[0].value;
    for (const result of results) if (result.status === "rejected") throw result.reason;
    await new FileWatch(checkpoint.files).checkLoaded();
    signal?.throwIfAborted();
    return new Engine(platform, plan, banks, team!, rotary, setup.choices, options, readers);
  } catch (error) {
    await team?.dispose();
    await readers?.dispose();
    await emptyBanks(platform, banks, false);
    throw error;
  }
}

/** @throws {@link MemoryError} when weights that cannot be mapped are more than what is free */
function checkMemory(platform: Platform, checkpoint: Checkpoint, plan: EnginePlan): void {
  const available = platform.available_memory();
  const needed = ownBytes(plan);
  if (available === undefined || needed <= available) return;
  const { source } = plan;
  const why = source.mapper ? "they are made while it loads" : `they cannot be mapped: ${source.reason}`;
  throw new MemoryError(
    `${checkpoint.path}: its weights take ${needed} bytes of memory (${why}), ${available} are free`,
    needed,
    available,
  );
}

/** Writes the standard frequencies where the threads look for them. */
function prepareRotary(
  { shape, kv, state, logits }: EnginePlan,
  banks: readonly WebAssembly.Memory[],
  kernels: readonly KernelInstance[],
): Rotary {
  const [home] = kv.banks;
  kernels[home].rope_inv_freq(shape.rope.rope_theta, shape.rope_dim, state.inv_freq);
  const inv_freq = new Float32Array(banks[home].buffer, state.inv_freq, shape.rope_dim / 2);
  const rotary = new Rotary(shape, inv_freq.slice(), loadLogits(logits, banks[0]));
  inv_freq.set(rotary.standard);
  return rotary;
}

const setupOf = (
  { kernels, logits, shape, state, packings, int8_threshold, weights, kv, adapters }: EnginePlan,
  banks: readonly WebAssembly.Memory[],
  rope_scale: number,
  options: LoadOptions,
  paging: PagerSetup | undefined,
  reader: ReaderSetup | undefined,
): Setup => ({
  type: "forward",
  kernels: kernels.build.module,
  native: kernels.native,
  logits,
  shape,
  rope_scale,
  state,
  packings,
  int8_threshold,
  model: weights.model,
  kv,
  adapters,
  paging,
  reader,
  banks,
  choices: new Int32Array(sharedBuffer(CHOICE_WORDS * 4)),
  eager: options.attn_implementation === "eager",
  profile: !!options.profile,
});

/** Makes what is not read as it stands, with threads that are there for that alone; gives the constants' loading what it needs. */
async function loadMade(
  platform: Platform,
  { weights, state }: EnginePlan,
  banks: readonly WebAssembly.Memory[],
  signal: AbortSignal | undefined,
  loaded: (bytes: number) => void,
  constants: (make: (matrix: MadeMatrix) => Promise<Uint8Array>) => Promise<void>,
): Promise<void> {
  const matrices = weights.made.map(({ from }) => from);
  for (const { from } of weights.constants) if (from.recipe) matrices.push(from);
  if (matrices.length === 0) return constants(() => Promise.reject(new Error("nothing is made")));
  const converters = await Converters.start(platform, state.threads, matrices, signal);
  try {
    await constants((matrix) => converters.bytes(matrix));
    const wanted = weights.made.map(({ from: matrix, format: memory_format, bank, address }) => {
      return { matrix, memory_format, to: banks[bank].buffer, address };
    });
    await converters.make(wanted, signal, loaded);
  } finally {
    await converters.dispose();
  }
}

/** Tells `progress_callback` of the bytes that have come in, those that are read or mapped and those that are made. */
function progressOf(
  options: LoadOptions,
  checkpoint: Checkpoint,
  plan: WeightPlan,
): (what: "read" | "made", loaded: number) => void {
  const { progress_callback } = options;
  if (!progress_callback) return () => {};
  const total = plan.weight_bytes - plan.paged_bytes;
  const name = checkpoint.path;
  const file = checkpoint.files[0].path;
  const done = { read: 0, made: 0 };
  return (what, bytes) => {
    done[what] = bytes;
    const loaded = done.read + done.made;
    progress_callback({ status: "progress", name, file, loaded, total, progress: (100 * loaded) / total });
  };
}
