// The option `quantization_config`: a model's linear layers quantized as bitsandbytes does it, while they load.
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { BitsAndBytesConfig } from "../config/bitsandbytes_config.ts";
import { show, showName } from "../config/show.ts";
import { InputError } from "../errors.ts";
import { type BlockFormat, formats, MOST_INT8_COLS, ownFormats, rowBytes } from "../quant/formats.ts";
import { huggingFaceNames } from "./names.ts";
import type { MatrixRef, MixtralWeights } from "./weights.ts";

/** What is quantized how, in a checkpoint or by it while it loads; undefined where bitsandbytes has no part in it. */
export function bitsAndBytesOf(
  { kind, path, config: { quantization_config: own } }: Checkpoint,
  given: BitsAndBytesConfig | undefined,
): BitsAndBytesConfig | undefined {
  if (given && kind === "gguf")
    throw new InputError(`quantization_config: ${path} is a GGUF, whose weights are as the file has them`);
  if (!own) return given;
  const { quant_method: other = "bitsandbytes" } = own;
  if (other !== "bitsandbytes") {
    if (!given) return undefined;
    throw new InputError(`quantization_config: ${path} is quantized as ${show(other)} already: load it without`);
  }
  const config = BitsAndBytesConfig.from_dict(own, path);
  const [as, wanted] = [config.quantization_method(), given?.quantization_method() ?? null];
  if (wanted !== null && wanted !== as)
    throw new InputError(
      `quantization_config: ${path} is quantized as ${as ?? "its tensors say"} already, and ${wanted} was asked for: load it without, or take the model in full precision`,
    );
  return config;
}

/**
 * A model's weights with every linear layer quantized, the router too, but for the modules that are to be skipped: the head
 * where `llm_int8_skip_modules` is null. An embedding is none, nor a head that is tied to it.
 * @throws {@link InputError} when a matrix that is to be quantized is so already
 * Source: transformers 4, which quantizes experts and routers; version 5 leaves these out.
 */
export function withBitsAndBytes(weights: MixtralWeights, config: BitsAndBytesConfig): MixtralWeights {
  const skipped = skipRule(config);
  const quantized = (matrix: MatrixRef, ...modules: string[]): MatrixRef =>
    modules.some(skipped) ? matrix : quantizedAs(config, matrix);
  const [older, newer] = [huggingFaceNames(() => false), huggingFaceNames((name) => name.endsWith(".mlp.gate.weight"))];
  const module = (name: string) => name.replace(/\.weight$/, "");
  const { head } = weights;
  const keep = !head || config.llm_int8_skip_modules === null || head.weight === weights.embed_tokens;
  return {
    ...weights,
    head: keep ? head : { ...head, weight: quantized(head.weight, older.heads[head.name]) },
    layers: weights.layers.map((layer, i) => {
      const [old, now] = [older.layer(i), newer.layer(i)];
      const routed = layer.router !== null;
      const attention = (role: "q_proj" | "k_proj" | "v_proj" | "o_proj") => quantized(layer[role], module(old[role]));
      return {
        ...layer,
        q_proj: attention("q_proj"),
        k_proj: attention("k_proj"),
        v_proj: attention("v_proj"),
        o_proj: attention("o_proj"),
        router: layer.router && quantized(layer.router, module(old.router), module(now.router)),
        experts: layer.experts.map((expert, j) => {
          const names = routed ? [old.expert(j), now.expert(j)] : [old.dense];
          const of = (role: "w1" | "w2" | "w3") => quantized(expert[role], ...names.map((each) => module(each[role])));
          return { w1: of("w1"), w3: of("w3"), w2: of("w2") };
        }),
      };
    }),
  };
}

/** A module is named by its path, the end of it, or that of a module that it is in, from the beginning or the middle on. */
function skipRule({ llm_int8_skip_modules }: BitsAndBytesConfig): (module: string) => boolean {
  const keys = llm_int8_skip_modules ?? [];
  return (module) => keys.some((key) => module.startsWith(key) || module.endsWith(key) || module.includes(`${key}.`));
}

function quantizedAs(config: BitsAndBytesConfig, matrix: MatrixRef): MatrixRef {
  const { name, rows, cols } = matrix;
  if (matrix.recipe || matrix.format.quantized)
    throw new InputError(`quantization_config: ${showName(name)}: ${matrix.format.name} is quantized already`);
  const { file, offset, bytes, format: from } = matrix;
  const type = config.load_in_8bit ? "int8" : config.bnb_4bit_quant_type;
  if (type === "int8" && cols > MOST_INT8_COLS)
    throw new InputError(
      `quantization_config: ${showName(name)}: LLM.int8 takes up to ${MOST_INT8_COLS} columns, found ${cols}`,
    );
  const format = formatFor(type, cols);
  const double = type !== "int8" && config.bnb_4bit_use_double_quant;
  const recipe = { maker: "bnb_encode", parts: [{ file, offset, bytes }], from, type, double } as const;
  return { name, format, rows, cols, bytes: rows * rowBytes(format, cols), recipe };
}

/** Blocks that go from a row to the next have no products of their own: they are made as the values that they stand for. */
function formatFor(type: "int8" | "nf4" | "fp4", cols: number): BlockFormat {
  if (type === "int8") return ownFormats.BNB_INT8;
  const format = type === "nf4" ? ownFormats.BNB_NF4 : ownFormats.BNB_FP4;
  return cols % format.block_values === 0 ? format : formats.F32;
}
