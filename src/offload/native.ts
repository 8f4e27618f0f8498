// Native kernels on a memory: the same functions as a WebAssembly instance's, the same bits, on the very addresses. What they
// would touch is checked by the library before it touches anything.
import { EngineError } from "../errors.ts";
import type { FormatKernels, KernelInstance } from "../kernels/abi.ts";
import type { BlockFormat } from "../quant/formats.ts";
import type { NativeLibrary } from "./library.ts";

/** @param wasm - an instance on the same memory, for what the library does not have: probes */
export function nativeInstance(
  library: NativeLibrary,
  memory: WebAssembly.Memory,
  wasm: KernelInstance,
): KernelInstance {
  const at = library.address(new Uint8Array(memory.buffer));
  const size = memory.buffer.byteLength;
  const refused = (name: string) =>
    new EngineError(`${name}: native kernels were to touch what is not in their memory of ${size} bytes`);

  const args = (name: "pack" | "add_rows" | "attention_store" | "attention" | "attention_eager") => {
    const call = library[name];
    return (address: number): void => {
      if (call(at, size, address)) throw refused(name);
    };
  };
  const five = (name: "silu_mul" | "gelu_mul" | "router_logits" | "select_experts") => {
    const call = library[name];
    return (a: number, b: number, c: number, d: number, e: number): void => {
      if (call(at, size, a, b, c, d, e)) throw refused(name);
    };
  };
  const repack = (name: "repack_q4_0" | "repack_q4_k") => (w: number, bytes: number) => {
    if (library[name](at, size, w, bytes)) throw refused(name);
  };

  const formats = new Map<number, FormatKernels>();
  const format = (f: BlockFormat): FormatKernels => {
    let found = formats.get(f.id);
    if (!found) {
      found = {
        matvec(address) {
          if (library.matvec(at, size, f.id, address)) throw refused(`matvec of ${f.name}`);
        },
        matmul(address) {
          if (library.matmul(at, size, f.id, address)) throw refused(`matmul of ${f.name}`);
        },
        dequantize(src, dst, n) {
          if (library.dequantize(at, size, f.id, src, dst, n)) throw refused(`dequantize of ${f.name}`);
        },
      };
      formats.set(f.id, found);
    }
    return found;
  };

  return {
    ...wasm,
    vec_kind: library.vec_kind,
    tile_kind: library.tile_kind,
    packed_bytes: library.packed_bytes,
    matmul_scratch: library.matmul_scratch,
    kv_row_bytes: library.kv_row_bytes,
    attention_scratch: library.attention_scratch,
    attention_matrix: library.attention_matrix,
    pack: args("pack"),
    add_rows: args("add_rows"),
    attention_store: args("attention_store"),
    attention: args("attention"),
    attention_eager: args("attention_eager"),
    silu_mul: five("silu_mul"),
    gelu_mul: five("gelu_mul"),
    router_logits: five("router_logits"),
    select_experts: five("select_experts"),
    repack_q4_0: repack("repack_q4_0"),
    repack_q4_k: repack("repack_q4_k"),
    rms_norm(x, weight, dst, rows, cols, eps) {
      if (library.rms_norm(at, size, x, weight, dst, rows, cols, eps)) throw refused("rms_norm");
    },
    rope_inv_freq(theta, dim, inv_freq) {
      if (library.rope_inv_freq(at, size, theta, dim, inv_freq)) throw refused("rope_inv_freq");
    },
    rope_table(position, inv_freq, half, scale, table) {
      if (library.rope_table(at, size, position, inv_freq, half, scale, table)) throw refused("rope_table");
    },
    format,
  };
}
