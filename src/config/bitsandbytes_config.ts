// BitsAndBytesConfig: how a model's matrices are quantized while it loads, as bitsandbytes does it, with transformers' names
// and defaults.
import { ConfigError, InputError } from "../errors.ts";
import { knownOptions } from "./option_names.ts";
import * as rule from "./rules.ts";
import { show } from "./show.ts";

/** The types that torch computes with. */
export type FloatName = "float32" | "float16" | "bfloat16";

/** The fields of `BitsAndBytesConfig`. */
export interface BitsAndBytesOptions {
  /** LLM.int8: rows of int8, activations too, but for outliers. @default false */
  load_in_8bit?: boolean | undefined;
  /** Blocks of 64 codes of 4 bits. @default false */
  load_in_4bit?: boolean | undefined;
  /** From which size on an activation is an outlier, which stays in full precision; 0: none is. @default 6 */
  llm_int8_threshold?: number | undefined;
  /**
   * Modules that stay as they are, by name or the end of a name. Without it the head does; with it, what it names alone.
   * @default the head
   */
  llm_int8_skip_modules?: readonly string[] | null | undefined;
  /** Has no effect: everything is on the CPU. @default false */
  llm_int8_enable_fp32_cpu_offload?: boolean | undefined;
  /** Has no effect: weights are int8. @default false */
  llm_int8_has_fp16_weight?: boolean | undefined;
  /** Has no effect: 4-bit products are computed in float32. @default "float32" */
  bnb_4bit_compute_dtype?: FloatName | `torch.${FloatName}` | null | undefined;
  /** Which 16 values a code stands for. @default "fp4" */
  bnb_4bit_quant_type?: "fp4" | "nf4" | undefined;
  /** Quantizes the blocks' scales, too. @default false */
  bnb_4bit_use_double_quant?: boolean | undefined;
  /** Has no effect: the bytes are the same in any type. @default "uint8" */
  bnb_4bit_quant_storage?: string | null | undefined;
}

const dtype = rule.oneOf("float32", "float16", "bfloat16");
const storage = rule.oneOf("uint8", "int8", "float16", "bfloat16", "float32", "float64");

const fields: { readonly [K in keyof BitsAndBytesOptions]-?: readonly [rule.Rule, NonNullable<unknown> | null] } = {
  load_in_8bit: [rule.flag, false],
  load_in_4bit: [rule.flag, false],
  llm_int8_threshold: [rule.number(0, Infinity), 6],
  llm_int8_skip_modules: [rule.orNull(rule.listOf(rule.text)), null],
  llm_int8_enable_fp32_cpu_offload: [rule.flag, false],
  llm_int8_has_fp16_weight: [rule.flag, false],
  bnb_4bit_compute_dtype: [dtype, "float32"],
  bnb_4bit_quant_type: [rule.oneOf("fp4", "nf4"), "fp4"],
  bnb_4bit_use_double_quant: [rule.flag, false],
  bnb_4bit_quant_storage: [storage, "uint8"],
};

/** Names of dtypes may carry their module's, as Python prints them. */
const dtypes = ["bnb_4bit_compute_dtype", "bnb_4bit_quant_storage"];

/** What to_dict adds, and files have. */
const added = ["quant_method", "_load_in_8bit", "_load_in_4bit"];

/**
 * @example
 * const quantization_config = new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" });
 * quantization_config.bnb_4bit_use_double_quant // false
 */
export class BitsAndBytesConfig {
  readonly quant_method = "bitsandbytes";
  declare readonly load_in_8bit: boolean;
  declare readonly load_in_4bit: boolean;
  declare readonly llm_int8_threshold: number;
  declare readonly llm_int8_skip_modules: readonly string[] | null;
  declare readonly llm_int8_enable_fp32_cpu_offload: boolean;
  declare readonly llm_int8_has_fp16_weight: boolean;
  declare readonly bnb_4bit_compute_dtype: FloatName;
  declare readonly bnb_4bit_quant_type: "fp4" | "nf4";
  declare readonly bnb_4bit_use_double_quant: boolean;
  declare readonly bnb_4bit_quant_storage: string;

  /**
   * @throws {@link ConfigError} when a field has a wrong type, or both `load_in_4bit` and `load_in_8bit` are true;
   *   {@link InputError} for a field that there is not
   */
  constructor(options: BitsAndBytesOptions | Readonly<Record<string, unknown>> = {}) {
    this.#set(options as Readonly<Record<string, unknown>>, "");
    knownOptions(options, "BitsAndBytesConfig", [...Object.keys(fields), ...added]);
  }

  /**
   * From a config.json's `quantization_config`; fields that there are not have no effect.
   * @throws {@link ConfigError} when a field has a wrong type, or both `load_in_4bit` and `load_in_8bit` are true
   */
  static from_dict(values: Readonly<Record<string, unknown>>, where?: string): BitsAndBytesConfig {
    const config = new BitsAndBytesConfig();
    config.#set(values, where ? ` in ${where}` : "");
    return config;
  }

  #set(options: Readonly<Record<string, unknown>>, where: string): void {
    const fail = (name: string, expected: string, found: unknown) =>
      new ConfigError(`${name}: expected ${expected}, found ${show(found)}${where}`);
    if (!rule.dictionary.allows(options)) throw fail("quantization_config", "an object of fields", options);
    const { quant_method = "bitsandbytes" } = options;
    if (quant_method !== "bitsandbytes") throw fail("quant_method", '"bitsandbytes"', quant_method);
    for (const [name, [{ allows, expected }, initial]] of Object.entries(fields)) {
      let value = options[name] ?? initial;
      if (dtypes.includes(name) && typeof value === "string") value = value.replace(/^torch\./, "");
      if (!allows(value)) throw fail(name, expected, value);
      Object.assign(this, { [name]: value });
    }
    if (this.load_in_4bit && this.load_in_8bit)
      throw new ConfigError(`load_in_4bit and load_in_8bit are both true, of which one can be${where}`);
  }

  /** As transformers has it; null where nothing is to be quantized. */
  quantization_method(): "llm_int8" | "fp4" | "nf4" | null {
    if (this.load_in_8bit) return "llm_int8";
    return this.load_in_4bit ? this.bnb_4bit_quant_type : null;
  }

  is_quantizable(): boolean {
    return this.load_in_8bit || this.load_in_4bit;
  }

  /** All fields as config.json holds them. */
  to_dict(): Record<string, unknown> {
    const { quant_method, load_in_8bit, load_in_4bit } = this;
    const values = Object.entries(this) as [string, unknown][];
    return { ...Object.fromEntries(values), quant_method, _load_in_8bit: load_in_8bit, _load_in_4bit: load_in_4bit };
  }

  toJSON(): Record<string, unknown> {
    return this.to_dict();
  }
}

/**
 * The option `quantization_config`.
 * @throws {@link InputError} when it is no config that says what to do; {@link ConfigError} for a wrong field
 */
export function readQuantization(given: unknown): BitsAndBytesConfig | undefined {
  if (given === undefined || given === null) return undefined;
  const example = 'new BitsAndBytesConfig({ load_in_4bit: true, bnb_4bit_quant_type: "nf4" })';
  if (!rule.dictionary.allows(given))
    throw new InputError(
      `quantization_config: expected a BitsAndBytesConfig, as in { quantization_config: ${example} }, found ${show(given)}`,
    );
  const config =
    given instanceof BitsAndBytesConfig ? given : new BitsAndBytesConfig(given as Readonly<Record<string, unknown>>);
  if (!config.is_quantizable())
    throw new InputError(
      `quantization_config: expected load_in_4bit or load_in_8bit to be true, as in ${example}, found neither`,
    );
  return config;
}
