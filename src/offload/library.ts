// The kernels compiled for the host (cpp/native/), as a shared library that the runtime's FFI calls: its functions, and whether
// there is one that belongs to this build. cpp/native/entries.def is the twin that documents them.

import type { Foreign, ForeignFunction, ForeignSignature } from "../platform/platform.ts";
import { NATIVE_SOURCES } from "./sources.ts";

/** A memory: where its first byte is, and its bytes. */
const memory = ["u64", "u64"] as const;
const u32 = (count: number) => Array.from({ length: count }, () => "u32" as const);
const asked = (count: number): ForeignSignature => ({ parameters: u32(count), result: "u32" });
const checked = (...parameters: ForeignSignature["parameters"]): ForeignSignature => ({
  parameters: [...memory, ...parameters],
  result: "u32",
});

const signatures = {
  sources: asked(0),
  address: { parameters: ["bytes"], result: "u64" },
  levels: asked(0),
  level_name: { parameters: ["u32", "bytes"], result: "u32" },
  choose: asked(1),

  vec_kind: asked(1),
  tile_kind: asked(1),
  packed_bytes: asked(3),
  matmul_scratch: asked(1),
  kv_row_bytes: asked(2),
  attention_scratch: asked(2),
  attention_matrix: asked(3),

  pack: checked(...u32(1)),
  matvec: checked(...u32(2)),
  matmul: checked(...u32(2)),
  dequantize: checked(...u32(4)),
  repack_q4_0: checked(...u32(2)),
  repack_q4_k: checked(...u32(2)),
  rms_norm: checked(...u32(5), "f32"),
  add_rows: checked(...u32(1)),
  silu_mul: checked(...u32(5)),
  gelu_mul: checked(...u32(5)),
  rope_inv_freq: checked("f64", ...u32(2)),
  rope_table: checked(...u32(3), "f32", "u32"),
  attention_store: checked(...u32(1)),
  attention: checked(...u32(1)),
  attention_eager: checked(...u32(1)),
  router_logits: checked(...u32(5)),
  select_experts: checked(...u32(5)),
} satisfies Record<string, ForeignSignature>;

export type NativeLibrary = { readonly [name in keyof typeof signatures]: ForeignFunction };

/** A library that was opened, as the team's threads are told of it: they open it, too. */
export interface NativeKernels {
  readonly path: string;
  /** Which of its levels computes, e.g. `avx512_vnni`. */
  readonly level: string;
}

/**
 * Opens the library, in this thread.
 * @returns the reason where it cannot be, or belongs to other sources
 */
export async function openNative(platform: Foreign, path: string): Promise<NativeLibrary | { reason: string }> {
  const prefixed = Object.fromEntries(
    Object.entries(signatures).map(([name, signature]) => [`tramontane_${name}`, signature]),
  );
  const opened = await platform.open_library(path, prefixed);
  if ("reason" in opened) return opened;
  const library = Object.fromEntries(
    Object.keys(signatures).map((name) => [name, opened.functions[`tramontane_${name}`]]),
  ) as unknown as NativeLibrary;
  const found = library.sources();
  if (found !== NATIVE_SOURCES)
    return { reason: `${path} was built from other sources: expected ${hex(NATIVE_SOURCES)}, found ${hex(found)}` };
  return library;
}

/** Opens the library, whose level is the best that the processor has. */
export async function chooseLevel(
  platform: Foreign,
  path: string,
): Promise<{ native: NativeKernels; library: NativeLibrary } | { reason: string }> {
  const library = await openNative(platform, path);
  if (!("sources" in library)) return library;
  const [level] = levelsOf(library);
  if (level === undefined) return { reason: `${path}: this processor has none of its vector units` };
  return { native: { path, level }, library };
}

/** The levels that this processor runs, the best first. */
export function levelsOf(library: NativeLibrary): string[] {
  return Array.from({ length: library.levels() }, (_, i) => {
    const name = new Uint8Array(16);
    library.level_name(i, name);
    return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
  });
}

const hex = (hash: number) => (hash >>> 0).toString(16).padStart(8, "0");
