// All matrices of bound weights with their roles, and their bytes.
import type { MatrixRef, MixtralWeights } from "../../src/weights/weights.ts";

/** Every matrix once, by role: `layers.0.experts.3.w1`. */
export function allMatrices(weights: MixtralWeights): [string, MatrixRef][] {
  const list: [string, MatrixRef][] = [["embed_tokens", weights.embed_tokens]];
  for (const [i, { experts, ...layer }] of weights.layers.entries()) {
    for (const [role, matrix] of Object.entries(layer)) list.push([`layers.${i}.${role}`, matrix as MatrixRef]);
    for (const [j, expert] of experts.entries())
      for (const [role, matrix] of Object.entries(expert)) list.push([`layers.${i}.experts.${j}.${role}`, matrix]);
  }
  list.push(["norm", weights.norm]);
  const { head } = weights;
  if (head) list.push([head.name, head.weight]);
  if (head?.bias) list.push([`${head.name}.bias`, head.bias]);
  return list;
}

export async function bytesOf(matrix: MatrixRef): Promise<Uint8Array> {
  const bytes = new Uint8Array(matrix.bytes);
  await matrix.file.read(matrix.offset, bytes);
  return bytes;
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
