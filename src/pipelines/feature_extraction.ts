// pipeline("feature-extraction", …): hidden states of texts, or one vector for each.
import { givenOptions } from "../arguments.ts";
import { namesOf } from "../config/option_names.ts";
import { show } from "../config/show.ts";
import { InputError } from "../errors.ts";
import type { BaseModel } from "../model/base_model.ts";
import { Tensor } from "../tensor.ts";
import type { PipelineModels } from "./models.ts";
import { Pipeline, textsOf } from "./pipeline.ts";

/** What becomes of a text's tokens. */
export type Pooling = "none" | "mean" | "last_token" | "cls";

/** What a call may be told. */
export interface FeatureExtractionOptions {
  /**
   * What becomes of a text's tokens: `none`, all of them; `mean`, their mean; `last_token`; `cls`, the first.
   * @default "none"
   */
  pooling?: Pooling | undefined;
  /** Whether each vector is scaled to length 1. @default false */
  normalize?: boolean | undefined;
}

const known = namesOf<FeatureExtractionOptions>({ pooling: true, normalize: true });

/** Hidden states of texts, or one vector for each. */
export interface FeatureExtractionPipeline {
  /** float32 (texts, hidden); with `pooling: "none"` (texts, tokens, hidden), zeros behind the shorter ones. */
  (texts: string | readonly string[], options?: FeatureExtractionOptions): Promise<Tensor>;
}

const POOLINGS: readonly Pooling[] = ["none", "mean", "last_token", "cls"];

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: this is how a class gets a call signature
export class FeatureExtractionPipeline extends Pipeline<BaseModel> {
  readonly task = "feature-extraction";

  /** @internal */
  async _call(input: string | readonly string[], options: FeatureExtractionOptions = {}): Promise<Tensor> {
    const { pooling = "none", normalize = false } = givenOptions(options, this.task, known);
    const texts = textsOf(this.task, input);
    if (!POOLINGS.includes(pooling))
      throw new InputError(`pooling: expected ${POOLINGS.join(", ")}, found ${show(pooling)}`);
    const model: PipelineModels["feature-extraction"] = this.model;
    const states = await Promise.all(
      texts.map(async (text) => {
        const input_ids = [this.tokenizer.encode(text)];
        return (await model({ input_ids, use_cache: false })).last_hidden_state;
      }),
    );
    const width = model.config.hidden_size;
    const rows = states.map((state) => pool(state.data as Float32Array, width, pooling));
    if (normalize) for (const row of rows) scaleToOne(row, width);
    const longest = Math.max(0, ...rows.map((row) => row.length));
    const data = new Float32Array(rows.length * longest);
    for (const [i, row] of rows.entries()) data.set(row, i * longest);
    return new Tensor(
      "float32",
      data,
      pooling === "none" ? [rows.length, longest / width, width] : [rows.length, width],
    );
  }
}

/** A copy of what is kept of the states (tokens, width). */
function pool(states: Float32Array, width: number, pooling: Pooling): Float32Array {
  if (pooling === "none") return states.slice();
  if (pooling === "cls") return states.slice(0, width);
  if (pooling === "last_token") return states.slice(states.length - width);
  const sums = new Float64Array(width);
  for (let i = 0; i < states.length; i++) sums[i % width] += states[i];
  return Float32Array.from(sums, (sum) => (sum * width) / states.length);
}

function scaleToOne(vectors: Float32Array, width: number): void {
  for (let at = 0; at < vectors.length; at += width) {
    const vector = vectors.subarray(at, at + width);
    let square = 0;
    for (const value of vector) square += value * value;
    const length = Math.sqrt(square);
    if (length > 0) for (let i = 0; i < width; i++) vector[i] /= length;
  }
}
