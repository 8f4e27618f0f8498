// Products of a step's packed rows with some matrices, each in place in a buffer of its own, split by the matrices' rows.
import type { Linear } from "../memory/linear.ts";
import type { PhasedStep, PhaseName, Phases } from "./phases.ts";
import type { Outputs, PackedRows, Products } from "./products.ts";

export function* project(
  step: PhasedStep,
  products: Products,
  phases: Phases,
  phase: PhaseName,
  layer: number,
  input: PackedRows,
  wanted: readonly { readonly linear: Linear; readonly out: Outputs }[],
): Generator<void, void, void> {
  const units = products.units(
    wanted.map(({ linear }) => linear.weights.rows),
    input.tokens,
    16,
  );
  yield* phases.units(step, phase, layer, units.length, (unit) => {
    const { part, from, to } = units[unit];
    const { linear, out } = wanted[part];
    products.multiply(linear, 0, input, from, to, { address: out.address + from * 4, stride: out.stride });
  });
}
