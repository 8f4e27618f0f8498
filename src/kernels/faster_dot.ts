// Chooses between the two relaxed dots by timing them: an engine that lowers the one of four products to one instruction
// (VNNI) multiplies a third faster with it, any other half as fast. The bits are the same.
import { type Dot, dots, type KernelExports } from "./abi.ts";

/** Steps of a dot's peak loop after which engines optimize it: V8 from 900,000 on, in a millisecond. */
const WARM_STEPS = 1_000_000;

const TIMED_STEPS = 20_000;
const REPEATS = 5;

export class FasterDot {
  private readonly kernels: Pick<KernelExports, "roof_dot_i16" | "roof_dot_i32">;
  private prepared = false;
  private chosen: Dot | undefined;

  /** @param kernels - of the relaxed build, on any memory: none is touched */
  constructor(kernels: Pick<KernelExports, "roof_dot_i16" | "roof_dot_i32">) {
    this.kernels = kernels;
  }

  /** Makes the engine optimize the loops that are to be timed, which it does in the background. Takes two milliseconds. */
  prepare(): void {
    if (this.prepared) return;
    this.prepared = true;
    this.kernels.roof_dot_i16(WARM_STEPS);
    this.kernels.roof_dot_i32(WARM_STEPS);
  }

  /** The faster dot, timed when this is first called, a while after `prepare`. */
  choose(): Dot {
    if (this.chosen === undefined) {
      const times = { i16: Number.POSITIVE_INFINITY, i32: Number.POSITIVE_INFINITY };
      for (let i = 0; i < REPEATS; i++) {
        for (const name of ["i16", "i32"] as const) {
          const start = performance.now();
          this.kernels[`roof_dot_${name}`](TIMED_STEPS);
          times[name] = Math.min(times[name], performance.now() - start);
        }
      }
      this.chosen = times.i32 < times.i16 ? dots.i32 : dots.i16;
    }
    return this.chosen;
  }
}
