// The frequencies of rotary positions for every rope type. Most are the same for all positions; `dynamic` and `longrope`
// rotate by how far a call reaches. Sources: transformers' modeling_rope_utils.py; YaRN (2023), LongRoPE (2024), Llama 3.
import type { ModelShape } from "../config/shape.ts";
import type { ExactMath } from "./probabilities.ts";

const f32 = Math.fround;

export class Rotary {
  /** Of positions of calls that reach no further than the model was trained for: f32 (dim / 2). */
  readonly standard: Float32Array;
  /** What cosines and sines are multiplied by. */
  readonly scale: number;
  private readonly shape: ModelShape;
  private readonly math: ExactMath;
  private readonly base: Float32Array;
  /** Those of a longer call, by how far it reaches. */
  private long: { readonly reach: number; readonly inv_freq: Float32Array } | undefined;

  /** @param base - theta^(−2i/dim) as f32 */
  constructor(shape: ModelShape, base: Float32Array, math: ExactMath) {
    this.shape = shape;
    this.math = math;
    this.base = base;
    this.scale = f32(this.scaling());
    this.standard = this.ofType();
  }

  /** Positions up to which `standard` holds. */
  get limit(): number {
    const { rope, trained_positions } = this.shape;
    if (rope.rope_type === "dynamic") return trained_positions;
    return rope.rope_type === "longrope" ? this.original : Infinity;
  }

  /** The frequencies of a call. @param reach - its largest position + 1 */
  frequencies(reach: number): Float32Array {
    if (reach <= this.limit) return this.standard;
    const { rope } = this.shape;
    // Past its limit longrope knows one set.
    const key = rope.rope_type === "longrope" ? Infinity : reach;
    if (this.long?.reach !== key) {
      const inv_freq = rope.rope_type === "longrope" ? this.divided(rope.long_factor!) : this.ofTheta(reach);
      this.long = { reach: key, inv_freq };
    }
    return this.long.inv_freq;
  }

  private get original(): number {
    return this.shape.rope.original_max_position_embeddings ?? this.shape.trained_positions;
  }

  private ofType(): Float32Array {
    const { rope } = this.shape;
    switch (rope.rope_type) {
      case "linear":
        return this.base.map((inv) => inv / f32(rope.factor!));
      case "yarn":
        return this.yarn();
      case "llama3":
        return this.llama3();
      case "longrope":
        return this.divided(rope.short_factor!);
      default:
        return this.base;
    }
  }

  private divided(divisors: readonly number[]): Float32Array {
    return this.base.map((inv, i) => inv / f32(divisors[i]));
  }

  /** Dynamic NTK: theta grows with what is read beyond the trained positions. */
  private ofTheta(reach: number): Float32Array {
    const { math, shape } = this;
    const { rope_dim: dim, rope, trained_positions } = shape;
    const grown = (rope.factor! * reach) / trained_positions - (rope.factor! - 1);
    const log_theta = math.log(rope.rope_theta) + (dim / (dim - 2)) * math.log(grown);
    return this.base.map((_, i) => 1 / f32(math.exp((2 * i * log_theta) / dim)));
  }

  /** Few turns over the trained positions: stretched; many: as they are; between them a ramp. */
  private yarn(): Float32Array {
    const { math, shape } = this;
    const { rope_dim: dim, rope } = shape;
    const bound = (turns: number) =>
      (dim * math.log(this.original / (turns * 2 * Math.PI))) / (2 * math.log(rope.rope_theta));
    const whole = rope.truncate ?? true;
    const [from, to] = [bound(rope.beta_fast || 32), bound(rope.beta_slow || 1)];
    const low = Math.max(0, whole ? Math.floor(from) : from);
    let high = Math.min(dim - 1, whole ? Math.ceil(to) : to);
    if (low === high) high += 0.001;
    return this.base.map((inv, i) => {
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
      return inv * (1 - ramp) + (inv / rope.factor!) * ramp;
    });
  }

  /** Long waves stretched, short ones as they are, smoothly between. */
  private llama3(): Float32Array {
    const { factor, low_freq_factor, high_freq_factor } = this.shape.rope;
    return this.base.map((inv) => {
      const turns = (this.original * inv) / (2 * Math.PI);
      const kept = Math.min(1, Math.max(0, (turns - low_freq_factor!) / (high_freq_factor! - low_freq_factor!)));
      return inv * kept + (inv / factor!) * (1 - kept);
    });
  }

  private scaling(): number {
    const { math, shape } = this;
    const { rope, trained_positions } = shape;
    if (rope.rope_type !== "yarn" && rope.rope_type !== "longrope") return 1;
    if (rope.attention_factor) return rope.attention_factor;
    const factor = rope.factor ?? trained_positions / this.original;
    if (factor <= 1) return 1;
    if (rope.rope_type === "longrope") return Math.sqrt(1 + math.log(factor) / math.log(this.original));
    const scale = (k: number) => 0.1 * k * math.log(factor) + 1;
    return rope.mscale && rope.mscale_all_dim ? scale(rope.mscale) / scale(rope.mscale_all_dim) : scale(1);
  }
}
