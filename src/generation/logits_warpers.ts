// The warpers: how sampling shapes the distribution. Each checks its setting once and names its twin in logits.wasm.
// Source of all: the classes of the same names in Hugging Face's transformers.
import type { Operation } from "../model/sampling.ts";
import { integer, number } from "./logits_rules.ts";
import { RowProcessor } from "./row_processor.ts";

/** Warpers with one number and `min_tokens_to_keep`, which is above 1 for beams. */
abstract class CutoffWarper extends RowProcessor {
  protected readonly value: number;
  protected readonly keep: number;
  constructor(name: string, value: number, expected: string, holds: (value: number) => boolean, keep: number) {
    super();
    this.value = number(name, value, expected, holds);
    this.keep = integer("min_tokens_to_keep", keep, 1);
  }
}

const from0To1 = ["a number of 0 to 1", (v: number) => v >= 0 && v <= 1] as const;
const between0And1 = ["a number above 0 and below 1", (v: number) => v > 0 && v < 1] as const;

/** Divides the scores by the temperature. */
export class TemperatureLogitsWarper extends RowProcessor {
  private readonly temperature: number;
  /** @throws ConfigError unless above 0 (greedy search is `do_sample: false`) */
  constructor(temperature: number) {
    super();
    this.temperature = number("temperature", temperature, "a number above 0", (v) => v > 0 && v < Infinity);
  }
  operations(): readonly Operation[] {
    return [{ name: "temperature", numbers: [this.temperature] }];
  }
}

/** Of the 100 likeliest keeps as many as stay within `top_h` times the entropy ("Top-H Decoding", 2025). */
export class TopHLogitsWarper extends RowProcessor {
  private readonly top_h: number;
  /** @throws ConfigError unless in (0, 1] */
  constructor(top_h: number) {
    super();
    this.top_h = number("top_h", top_h, "a number above 0 and up to 1", (v) => v > 0 && v <= 1);
  }
  operations(): readonly Operation[] {
    return [{ name: "top_h", numbers: [this.top_h], scratch: true }];
  }
}

/** Keeps the k largest scores and what equals the last of them. */
export class TopKLogitsWarper extends RowProcessor {
  private readonly top_k: number;
  /** @throws ConfigError unless an integer above 0 */
  constructor(top_k: number, min_tokens_to_keep = 1) {
    super();
    this.top_k = Math.max(integer("top_k", top_k, 1), integer("min_tokens_to_keep", min_tokens_to_keep, 1));
  }
  operations(): readonly Operation[] {
    return [{ name: "top_k", numbers: [Math.min(this.top_k, 2 ** 31 - 1)], scratch: true }];
  }
}

/** Keeps the likeliest tokens whose probabilities together reach `top_p` ("The Curious Case of Neural Text Degeneration"). */
export class TopPLogitsWarper extends CutoffWarper {
  /** @throws ConfigError unless in [0, 1] */
  constructor(top_p: number, min_tokens_to_keep = 1) {
    super("top_p", top_p, ...from0To1, min_tokens_to_keep);
  }
  operations(): readonly Operation[] {
    return [{ name: "top_p", numbers: [this.value, this.keep], scratch: true }];
  }
}

/** Removes tokens less likely than `min_p` times the likeliest ("Min-p Sampling", 2024). */
export class MinPLogitsWarper extends CutoffWarper {
  /** @throws ConfigError unless in [0, 1] */
  constructor(min_p: number, min_tokens_to_keep = 1) {
    super("min_p", min_p, ...from0To1, min_tokens_to_keep);
  }
  operations(): readonly Operation[] {
    return [{ name: "min_p", numbers: [this.value, this.keep], scratch: true }];
  }
}

/** Keeps the tokens whose surprise is nearest to the entropy ("Locally Typical Sampling", 2022). */
export class TypicalLogitsWarper extends CutoffWarper {
  /** @throws ConfigError unless in (0, 1) */
  constructor(typical_p: number, min_tokens_to_keep = 1) {
    super("typical_p", typical_p, ...between0And1, min_tokens_to_keep);
  }
  operations(): readonly Operation[] {
    return [{ name: "typical_p", numbers: [this.value, this.keep], scratch: true }];
  }
}

/** Removes tokens of a probability below epsilon ("Truncation Sampling as Language Model Desmoothing", 2022). */
export class EpsilonLogitsWarper extends CutoffWarper {
  /** @throws ConfigError unless in (0, 1) */
  constructor(epsilon: number, min_tokens_to_keep = 1) {
    super("epsilon_cutoff", epsilon, ...between0And1, min_tokens_to_keep);
  }
  operations(): readonly Operation[] {
    return [{ name: "epsilon_cutoff", numbers: [this.value, this.keep], scratch: true }];
  }
}

/** The same with a limit that falls as the entropy rises. */
export class EtaLogitsWarper extends CutoffWarper {
  /** @throws ConfigError unless in (0, 1) */
  constructor(epsilon: number, min_tokens_to_keep = 1) {
    super("eta_cutoff", epsilon, ...between0And1, min_tokens_to_keep);
  }
  operations(): readonly Operation[] {
    return [{ name: "eta_cutoff", numbers: [this.value, this.keep], scratch: true }];
  }
}

/** Turns scores into log-probabilities. */
export class LogitNormalization extends RowProcessor {
  operations(): readonly Operation[] {
    return [{ name: "log_softmax", scratch: true }];
  }
}
