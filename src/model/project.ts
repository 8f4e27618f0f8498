// Products of a step's packed rows with some matrices, each in place in a buffer of its own, split by the matrices' rows.
import type { Linear } from "../memory/linear.ts";
import type { PhasedStep, PhaseName, Phases } from "./phases.ts";
import type { Outputs, PackedRows, Products, Unit } from "./products.ts";

/**
 * @param after - is called for each unit when it was multiplied
 * @param skips - whether all outputs are to be what `after` makes of them
 */
export function* project(
  step: PhasedStep,
  products: Products,
  phases: Phases,
  phase: PhaseName,
  layer: number,
  input: PackedRows,
  wanted: readonly { readonly linear: Linear; readonly out: Outputs }[],
  after?: (unit: Unit) => void,
  skips = false,
): Generator<void, void, void> {
  const units = products.units(
    wanted.map(({ linear }) => linear.weights.rows),
    input.tokens,
    16,
  );
  yield* phases.units(step, phase, layer, units.length, (unit) => {
    const { part, from, to } = units[unit];
    const { linear, out } = wanted[part];
    if (!skips) products.multiply(linear, 0, input, from, to, { address: out.address + from * 4, stride: out.stride });
    after?.(units[unit]);
  });
}
