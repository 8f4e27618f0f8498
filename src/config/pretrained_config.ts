// PreTrainedConfig: the fields that the config.json of every model of this family has, named as in Hugging Face's classes,
// checked once so that the rest of the engine can compute sizes from them. A class of its own says which more there are.
import { ConfigError } from "../errors.ts";
import { generationFields } from "./generation_config.ts";
import { normalizeRope, type RopeParameters } from "./rope_parameters.ts";
import * as rule from "./rules.ts";
import { show } from "./show.ts";

/** Where the values of a config stand, for messages. */
export interface ConfigSource {
  /** A file's path. */
  readonly where?: string;
  /** What that file calls a field, e.g. `llama.block_count` for `num_hidden_layers`. */
  readonly names?: Readonly<Record<string, string>>;
}

const special = rule.orNull(rule.tokenId);

/** Each field's rule and default. */
export type ConfigFields = Readonly<Record<string, readonly [rule.Rule, unknown]>>;

/** What a class of configs adds. */
export interface ConfigFamily {
  readonly model_type: string;
  /** Fields of its own, and other defaults of common ones. */
  readonly fields: ConfigFields;
  /** Other names of fields. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly rope_theta: number;
}

// Each field's rule and default. The upper bounds keep every product of two sizes exact in a double, and what a hostile
// file can make the engine iterate over small; they are far above any Mixtral.
export const commonFields = {
  vocab_size: [rule.integer(1, 2 ** 24), 32000],
  hidden_size: [rule.integer(1, 2 ** 20), 4096],
  intermediate_size: [rule.integer(1, 2 ** 22), 14336],
  num_hidden_layers: [rule.integer(1, 1024), 32],
  num_attention_heads: [rule.integer(1, 4096), 32],
  num_key_value_heads: [rule.orNull(rule.integer(1, 4096)), 8],
  head_dim: [rule.orNull(rule.integer(2, 2 ** 16)), null],
  hidden_act: [rule.oneOf("silu", "gelu"), "silu"],
  max_position_embeddings: [rule.integer(1, 2 ** 31 - 1), 131072],
  initializer_range: [rule.number(0, Infinity), 0.02],
  rms_norm_eps: [rule.positive, 1e-5],
  use_cache: [rule.flag, true],
  tie_word_embeddings: [rule.flag, false],
  pad_token_id: [special, null],
  bos_token_id: [special, 1],
  eos_token_id: [rule.either(special, rule.listOf(rule.tokenId)), 2],
  sliding_window: [rule.orNull(rule.integer(1, 2 ** 31 - 1)), null],
  attention_dropout: [rule.number(0, 1), 0],
  output_hidden_states: [rule.flag, false],
  output_attentions: [rule.flag, false],
  return_dict: [rule.flag, true],
  dtype: [rule.orNull(rule.text), null],
  architectures: [rule.orNull(rule.listOf(rule.text)), null],
  problem_type: [
    rule.orNull(rule.oneOf("regression", "single_label_classification", "multi_label_classification")),
    null,
  ],
  transformers_version: [rule.orNull(rule.text), null],
  quantization_config: [rule.orNull(rule.dictionary), null],
} satisfies ConfigFields;

/** Keys that become another field, and so are not kept under their own name. */
const renamed = ["rope_theta", "rope_scaling", "rope_parameters", "torch_dtype", "num_labels", "id2label"];

/**
 * A model's shape and settings. Unknown keys are kept as properties; generation settings (`temperature`, …) in a config are
 * dropped, as transformers drops them.
 * Source: transformers 5; the checks of one field against another are this engine's own.
 */
export abstract class PreTrainedConfig {
  abstract readonly model_type: string;
  declare vocab_size: number;
  declare hidden_size: number;
  /** Width of a feed-forward block, or of each expert. */
  declare intermediate_size: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_key_value_heads: number;
  /** Null means hidden_size / num_attention_heads: see {@link resolved_head_dim}. */
  declare head_dim: number | null;
  declare hidden_act: "silu" | "gelu";
  declare max_position_embeddings: number;
  declare initializer_range: number;
  declare rms_norm_eps: number;
  declare use_cache: boolean;
  declare tie_word_embeddings: boolean;
  declare pad_token_id: number | null;
  declare bos_token_id: number | null;
  declare eos_token_id: number | number[] | null;
  /** A position attends to exactly this many positions, itself included; null means to all before it. */
  declare sliding_window: number | null;
  declare attention_dropout: number;
  declare rope_parameters: RopeParameters;
  declare output_hidden_states: boolean;
  declare output_attentions: boolean;
  declare return_dict: boolean;
  declare dtype: string | null;
  declare architectures: string[] | null;
  /** Label by class index, for the classification heads. */
  declare id2label: Record<string, string>;
  declare label2id: Record<string, number>;
  declare problem_type: "regression" | "single_label_classification" | "multi_label_classification" | null;
  declare transformers_version: string | null;
  declare quantization_config: Record<string, unknown> | null;
  // Hidden, not `private`: the properties of a config are the file's fields, whatever their names.
  readonly #unknown: Record<string, unknown> = Object.create(null);
  readonly #source: ConfigSource;
  readonly #fields: ConfigFields;

  /**
   * @internal
   * @param values - any of the fields; the others take transformers' defaults
   * @param source - where the values stand, for messages
   * @throws {@link ConfigError} when a field has a wrong type, is out of range, or is at odds with another
   */
  protected constructor(family: ConfigFamily, values: Readonly<Record<string, unknown>>, source: ConfigSource) {
    this.#source = source;
    this.#fields = { ...commonFields, ...family.fields };
    if (!rule.dictionary.allows(values)) throw this.error(null, "an object of fields", values);
    const model_type = values.model_type ?? family.model_type;
    if (model_type !== family.model_type) throw this.error("model_type", `"${family.model_type}"`, model_type);
    const given: Record<string, unknown> = { ...values, dtype: values.dtype ?? values.torch_dtype };
    for (const [alias, name] of Object.entries(family.aliases)) given[name] ??= values[alias];
    for (const [name, [, initial]] of Object.entries(this.#fields))
      Object.assign(this, { [name]: given[name] === undefined ? initial : given[name] });
    this.num_key_value_heads ??= this.num_attention_heads;
    this.dtype = typeof this.dtype === "string" ? this.dtype.replace(/^torch\./, "") : this.dtype;
    this.rope_parameters = normalizeRope(values, family.rope_theta, (...finding) => this.error(...finding));
    this.#setLabels(values);
    for (const [key, value] of Object.entries(values)) {
      if (key in this.#fields || key === "model_type" || key === "label2id") continue;
      if (renamed.includes(key) || key in family.aliases || generationFields.has(key)) continue;
      this.#unknown[key] = value;
      // A key named like a method or `__proto__` stays out of the way; to_dict still gives it back.
      if (!(key in this)) Object.defineProperty(this, key, { value, enumerable: true, writable: true });
    }
    this.validate();
  }

  /** Checks every field, and those that depend on each other. @throws {@link ConfigError} */
  validate(): void {
    const all = this as unknown as Record<string, unknown>;
    for (const [name, [{ allows, expected }]] of Object.entries(this.#fields))
      if (!allows(all[name])) throw this.error(name, expected, all[name]);
    const { num_attention_heads: heads, num_key_value_heads: kv, head_dim } = this;
    const name = (field: string) => this.nameOf(field);
    if (head_dim === null && this.hidden_size % heads !== 0)
      throw this.error("num_attention_heads", `a divisor of ${name("hidden_size")} ${this.hidden_size}`, heads);
    if (this.resolved_head_dim % 2 !== 0)
      throw this.error("head_dim", "an even number, as rotary embeddings turn pairs", this.resolved_head_dim);
    for (const name of ["short_factor", "long_factor"] as const) {
      const divisors = this.rope_parameters.rope_type === "longrope" ? this.rope_parameters[name]! : undefined;
      if (divisors && divisors.length !== this.resolved_head_dim / 2)
        throw this.error(
          `rope_parameters.${name}`,
          `${this.resolved_head_dim / 2} numbers, half of a head's ${this.resolved_head_dim}`,
          divisors.length,
        );
    }
    if (heads % kv !== 0)
      throw this.error("num_key_value_heads", `a divisor of ${name("num_attention_heads")} ${heads}`, kv);
    if (this.problem_type === "single_label_classification" && this.num_labels === 1)
      throw this.error("problem_type", "regression or multi_label_classification for one label", this.problem_type);
  }

  /** Values of one attention head: `head_dim`, or hidden_size / num_attention_heads where that is null. */
  get resolved_head_dim(): number {
    return this.head_dim ?? Math.floor(this.hidden_size / this.num_attention_heads);
  }

  get rope_theta(): number {
    return this.rope_parameters.rope_theta;
  }

  get num_labels(): number {
    return Object.keys(this.id2label).length;
  }

  /** All fields as config.json holds them in transformers 5, unknown keys included. */
  to_dict(): Record<string, unknown> {
    const all = this as unknown as Record<string, unknown>;
    const { id2label, label2id, rope_parameters } = this;
    const labels = Object.entries(id2label).every(([i, label]) => label === `LABEL_${i}`) && this.num_labels === 2;
    return {
      ...this.#unknown,
      model_type: this.model_type,
      ...Object.fromEntries(Object.keys(this.#fields).map((name) => [name, all[name]])),
      rope_parameters: { ...rope_parameters },
      ...(labels ? {} : { id2label: { ...id2label }, label2id: { ...label2id } }),
    };
  }

  toJSON(): Record<string, unknown> {
    return this.to_dict();
  }

  /** id2label, or else num_labels, or else two labels; label2id is its inverse unless given. */
  #setLabels({ id2label, label2id, num_labels }: Readonly<Record<string, unknown>>): void {
    if (id2label == null) {
      const count = num_labels ?? 2;
      const size = rule.integer(1, 65536);
      if (!size.allows(count)) throw this.error("num_labels", size.expected, count);
      const labels = Array.from({ length: count as number }, (_, i) => [i, `LABEL_${i}`]);
      this.id2label = Object.fromEntries(labels);
    } else {
      const expected = "an object of labels by index: 0, 1, …";
      if (!rule.dictionary.allows(id2label)) throw this.error("id2label", expected, id2label);
      const entries = Object.entries(id2label as Record<string, unknown>);
      const wrong = entries.find(
        ([i, label]) => !(Number(i) < entries.length && /^\d+$/.test(i) && rule.text.allows(label)),
      );
      if (entries.length === 0 || wrong) throw this.error("id2label", expected, wrong?.[0] ?? "no entry");
      this.id2label = Object.fromEntries(entries) as Record<string, string>;
    }
    if (label2id != null && !rule.dictionary.allows(label2id))
      throw this.error("label2id", rule.dictionary.expected, label2id);
    this.label2id = (label2id ??
      Object.fromEntries(Object.entries(this.id2label).map(([i, label]) => [label, Number(i)]))) as Record<
      string,
      number
    >;
  }

  /** @internal What a field is called where the values stand. */
  protected nameOf(field: string): string {
    return this.#source.names?.[field] ?? field;
  }

  /** @internal */
  protected error(field: string | null, expected: string, found: unknown): ConfigError {
    const { where } = this.#source;
    const subject = field === null ? "config" : this.nameOf(field);
    return new ConfigError(`${subject}: expected ${expected}, found ${show(found)}${where ? ` in ${where}` : ""}`);
  }
}
