// All matrices of bound weights with their roles, and their bytes.
import type { MatrixRef, MixtralWeights, StoredMatrix } from "../../src/weights/weights.ts";

/** A matrix that stands in a file. */
export function stored(matrix: MatrixRef): StoredMatrix {
  if (matrix.recipe) throw new Error(`${matrix.name} is made`);
  return matrix;
}

/** Every matrix once, by role: `layers.0.experts.3.w1`. */
export function allMatrices(weights: MixtralWeights): [string, StoredMatrix][] {
  const list: [string, StoredMatrix][] = [["embed_tokens", stored(weights.embed_tokens)]];
  for (const [i, { experts, ...layer }] of weights.layers.entries()) {
    for (const [role, matrix] of Object.entries(layer)) list.push([`layers.${i}.${role}`, stored(matrix as MatrixRef)]);
    for (const [j, expert] of experts.entries())
      for (const [role, matrix] of Object.entries(expert))
        list.push([`layers.${i}.experts.${j}.${role}`, stored(matrix)]);
  }
  list.push(["norm", stored(weights.norm)]);
  const { head } = weights;
  if (head) list.push([head.name, stored(head.weight)]);
  if (head?.bias) list.push([`${head.name}.bias`, stored(head.bias)]);
  return list;
}

export async function bytesOf(matrix: MatrixRef): Promise<Uint8Array> {
  const { bytes: size, file, offset } = stored(matrix);
  const bytes = new Uint8Array(size);
  await file.read(offset, bytes);
  return bytes;
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
