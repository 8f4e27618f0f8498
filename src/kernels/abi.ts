// The kernels' exports as TypeScript sees them; cpp/kernels.h is the twin that documents every argument.
import type { BlockFormat } from "../quant/formats.ts";
import { struct } from "./structs.ts";

/** All arguments are numbers: addresses (bytes in the instance's memory), counts, and a few floats. */
type Kernel<Arguments extends number[], Result = void> = (...args: Arguments) => Result;

export interface KernelExports {
  __stack_pointer: WebAssembly.Global;
  vec_kind: Kernel<[format: number], number>;
  tile_kind: Kernel<[format: number], number>;
  packed_bytes: Kernel<[kind: number, cols: number, tokens: number], number>;
  pack: Kernel<[args: number]>;
  matmul_scratch: Kernel<[cols: number], number>;
  repack_q4_0: Kernel<[w: number, bytes: number]>;
  repack_q4_k: Kernel<[w: number, bytes: number]>;
  rms_norm: Kernel<[x: number, weight: number, dst: number, rows: number, cols: number, eps: number]>;
  add_rows: Kernel<[args: number]>;
  silu_mul: Kernel<[gate: number, up: number, tokens: number, cols: number, stride: number]>;
  gelu_mul: Kernel<[gate: number, up: number, tokens: number, cols: number, stride: number]>;
  rope_inv_freq: Kernel<[theta: number, dim: number, inv_freq: number]>;
  rope_table: Kernel<[position: number, inv_freq: number, half: number, scale: number, table: number]>;
  kv_row_bytes: Kernel<[head_dim: number, type: number], number>;
  attention_store: Kernel<[args: number]>;
  attention_scratch: Kernel<[group: number, head_dim: number], number>;
  attention: Kernel<[args: number]>;
  attention_matrix: Kernel<[group: number, rows: number, keys: number], number>;
  attention_eager: Kernel<[args: number]>;
  router_logits: Kernel<[x: number, gate: number, cols: number, experts: number, logits: number]>;
  select_experts: Kernel<[logits: number, experts: number, k: number, picked: number, weights: number]>;
  probe_dot: Kernel<[a: number, b: number, out: number]>;
  roof_dot_i16: Kernel<[steps: number], number>;
  roof_dot_i32: Kernel<[steps: number], number>;
}

/** Which relaxed dot products of many tokens gather with: the same bits, another speed. */
export const dots = { i16: 0, i32: 1 } as const;
export type Dot = (typeof dots)[keyof typeof dots];

/** @param args - address of `productArgs` */
export type Product = Kernel<[args: number]>;
export type Dequantize = Kernel<[src: number, dst: number, n: number]>;

/** The product kernels of one format. */
export interface FormatKernels {
  matvec: Product;
  matmul: Product;
  dequantize: Dequantize;
}

/** A kernel instance: on one memory, in one thread. */
export interface KernelInstance extends KernelExports {
  /** The products of a format: `matvec_q4_0` and so on. */
  format(f: BlockFormat): FormatKernels;
}

/** Makes a thread's instance on a memory; its stack ends at `stack_top`. */
export type Instantiate = (memory: WebAssembly.Memory, stack_top: number) => KernelInstance;

/** Makes an instance on a memory; its stack ends (grows down from) `stack_top`, a multiple of 16. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory, stack_top: number): KernelInstance {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  (exports as unknown as KernelExports).__stack_pointer.value = stack_top;
  const products = new Map<string, FormatKernels>();
  const format = (f: BlockFormat): FormatKernels => {
    let found = products.get(f.name);
    if (!found) {
      const name = f.name.toLowerCase();
      found = {
        matvec: exports[`matvec_${name}`] as Product,
        matmul: exports[`matmul_${name}`] as Product,
        dequantize: exports[`dequantize_${name}`] as Dequantize,
      };
      products.set(f.name, found);
    }
    return found;
  };
  return { ...(exports as unknown as KernelExports), format };
}

/**
 * Bytes [1024, 65536) of every memory belong to the kernels' constant data, the grids of the IQ formats: the linker places
 * it, and the first instance on a memory writes it (tests/kernels/data.test.ts). Those before belong to the logits module.
 */
export const DATA_START = 1024;
export const DATA_END = 65536;

/** Stack of each instance, bytes. */
export const STACK_BYTES = 65536;

/** The top of a thread's stack, which are one after the other; the host's instances use thread === threads. */
export const stackTop = (thread: number): number => DATA_END + (thread + 1) * STACK_BYTES;

// The structs of cpp/kernels.h, which documents every field.

export const packArgs = struct({
  kind: "u32",
  x: "u32",
  stride: "u32",
  tokens: "u32",
  dst: "u32",
  cols: "u32",
  col0: "u32",
  col1: "u32",
  from: "u32",
  to: "u32",
  threshold: "f32",
  order: "u32",
});

export const productArgs = struct({
  w: "u32",
  x: "u32",
  out: "u32",
  cols: "u32",
  rows: "u32",
  tokens: "u32",
  out_stride: "u32",
  scratch: "u32",
  dot: "u32",
  read_ahead: "u32",
});

export const addRowsArgs = struct({
  dst: "u32",
  dst_stride: "u32",
  index: "u32",
  src: "u32",
  src_stride: "u32",
  scale: "u32",
  tokens: "u32",
  cols: "u32",
});

export const attentionArgs = struct({
  q: "u32",
  k: "u32",
  v: "u32",
  table: "u32",
  rotated: "u32",
  out: "u32",
  keys: "u32",
  values: "u32",
  pages: "u32",
  page_bytes: "u32",
  first_block: "u32",
  hidden: "u32",
  q_stride: "u32",
  kv_stride: "u32",
  group: "u32",
  head_dim: "u32",
  interleaved: "u32",
  first: "u32",
  row0: "u32",
  row1: "u32",
  window: "u32",
  type: "u32",
  scale: "f32",
  scratch: "u32",
  matrix: "u32",
});
