// What llama.cpp's quantizer makes of two models, and these models: fixtures/quantize.
import { readGGUF } from "../../src/checkpoint/gguf.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openRepository } from "../../src/checkpoint/repository.ts";
import { currentPlatform } from "../../src/platform/index.ts";
import { formats } from "../../src/quant/formats.ts";
import { bind, headOf } from "../../src/weights/bind.ts";
import { ggufNames } from "../../src/weights/names.ts";
import type { MatrixRef } from "../../src/weights/weights.ts";
import { demo, fixture, json } from "../fixtures.ts";
import { bytesOf } from "../weights/matrices.ts";
import type { Shop } from "./shop.ts";

/** A tensor in f32, (experts, rows, cols), and what its columns weigh, (experts, cols), where an importance matrix says. */
export interface SourceTensor {
  readonly cols: number;
  readonly experts: number;
  readonly values: Float32Array;
  readonly importance?: Float32Array;
}

/** [RMSE, weighted RMSE or null, largest error, SHA-256 or its beginning]. */
export type Entry = readonly [rmse: number, weighted: number | null, largest: number, sha256: string];

/** Source → tensor → format → with or without importance. */
type Errors = Record<string, Record<string, Record<string, Partial<Record<"none" | "imatrix", Entry>>>>>;

export const readErrors = (): Errors => json("fixtures/quantize/errors.json");

/** Importance by the name of the weight: mean squares of each expert's columns, 1 where an expert saw nothing. */
async function readImportance(path: string): Promise<Map<string, Float32Array>> {
  const file = await (await currentPlatform()).open(path);
  const { tensors } = await readGGUF(file);
  const floats = async (name: string) => {
    const { offset, bytes } = tensors.find((tensor) => tensor.name === name)!;
    const data = new Uint8Array(bytes);
    await file.read(offset, data);
    return new Float32Array(data.buffer);
  };
  const out = new Map<string, Float32Array>();
  for (const { name } of tensors) {
    if (!name.endsWith(".in_sum2")) continue;
    const weight = name.slice(0, -".in_sum2".length);
    const sums = await floats(name);
    const counts = await floats(`${weight}.counts`);
    const cols = sums.length / counts.length;
    out.set(
      weight,
      sums.map((sum, i) => {
        const count = counts[Math.floor(i / cols)];
        return count > 0 ? sum / count : 1;
      }),
    );
  }
  await file.close();
  return out;
}

/** The tensors of `source` or `demo` by GGUF's names, those that llama.cpp quantizes. */
export async function readSource(name: string, shop: Shop): Promise<Map<string, SourceTensor>> {
  const importance = await readImportance(fixture(`fixtures/quantize/imatrix/${name}.gguf`));
  const path = name === "demo" ? demo : fixture("fixtures/quantize/source.gguf");
  const checkpoint = await openCheckpoint(await openRepository(await currentPlatform(), path));
  const weights = bind(checkpoint, headOf(checkpoint));
  const { resolved_head_dim: D } = checkpoint.config;
  const out = new Map<string, SourceTensor>();
  const put = async (name: string, matrices: readonly MatrixRef[], interleave = false) => {
    const parts = await Promise.all(
      matrices.map(async (m) => shop.dequantize(m.format, await bytesOf(m), m.rows * m.cols)),
    );
    const [{ rows, cols }] = matrices;
    const values = new Float32Array(parts.length * rows * cols);
    for (const [e, part] of parts.entries()) {
      for (let r = 0; r < rows; r++) {
        // GGUF row 2i + h of a head is Hugging Face's h · D/2 + i.
        const j = r % D;
        const from = interleave ? r - j + (j % 2) * (D / 2) + (j >> 1) : r;
        values.set(part.subarray(from * cols, (from + 1) * cols), (e * rows + r) * cols);
      }
    }
    out.set(name, { cols, experts: parts.length, values, importance: importance.get(name) });
  };
  await put(ggufNames.embed_tokens, [weights.embed_tokens]);
  await put("output.weight", [weights.head!.weight]);
  for (const [i, layer] of weights.layers.entries()) {
    const names = ggufNames.layer(i);
    const turned = !weights.qk_interleaved;
    await put(names.q_proj, [layer.q_proj], turned);
    await put(names.k_proj, [layer.k_proj], turned);
    await put(names.v_proj, [layer.v_proj]);
    await put(names.o_proj, [layer.o_proj]);
    const merged = names.merged as { w1: string; w2: string; w3: string };
    for (const role of ["w1", "w2", "w3"] as const)
      await put(
        merged[role],
        layer.experts.map((expert) => expert[role]),
      );
  }
  await checkpoint.close();
  return out;
}

/** Sums in f64, as the fixtures': the root mean square, and that weighted by importance scaled to a mean of one. */
export function errorsOf(
  { cols, experts, values, importance }: SourceTensor,
  got: Float32Array,
): { rmse: number; weighted: number | undefined } {
  let plain = 0;
  let heavy = 0;
  const size = values.length / experts;
  for (let e = 0; e < experts; e++) {
    const weights = importance?.subarray(e * cols, (e + 1) * cols);
    const mean = weights ? weights.reduce((a, b) => a + b, 0) / cols : 1;
    for (let i = e * size; i < (e + 1) * size; i++) {
      const square = (values[i] - got[i]) ** 2;
      plain += square;
      if (weights) heavy += (weights[i % cols] / mean) * square;
    }
  }
  return {
    rmse: Math.sqrt(plain / values.length),
    weighted: importance && Math.sqrt(heavy / values.length),
  };
}

export { formats };
