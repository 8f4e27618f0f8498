// tramontane quantize: a checkpoint becomes a GGUF of another type. Its options are llama-quantize's.
import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import type { GGUFScalarType, GGUFValue } from "../checkpoint/gguf_types.ts";
import { show } from "../config/show.ts";
import { fileTypes } from "../quant/mixes.ts";
import type { QuantizeOptions, QuantizeProgress } from "../quantize/options.ts";
import { quantize } from "../quantize/quantize.ts";
import { readText } from "../text/lines.ts";
import { interruptible, say, write } from "./io.ts";
import { localModel } from "./local_model.ts";
import { several } from "./options.ts";
import { bytes, progressLine } from "./report.ts";

interface Flags extends Omit<QuantizeOptions, "tensor_types" | "override_kv" | "prune_layers"> {
  imatrix?: string;
  includeWeights?: string[];
  excludeWeights?: string[];
  outputTensorType?: string;
  tokenEmbeddingType?: string;
  tensorType?: [string, string][];
  tensorTypeFile?: string;
  leaveOutputTensor?: boolean;
  allowRequantize?: boolean;
  keepSplit?: boolean;
  overrideKv?: [string, GGUFScalarType, GGUFValue][];
  pruneLayers?: number[];
  dryRun?: boolean;
  force?: boolean;
  json?: boolean;
  quiet?: boolean;
}

export function quantizeCommand(): Command {
  return new Command("quantize")
    .description("make a GGUF of another type of a checkpoint; what a cut run has done is gone on with")
    .argument("<source>", "a Hugging Face folder or a GGUF file, in full precision; or owner/name of a hub")
    .argument("<out>", "the .gguf file to be written")
    .requiredOption("--type <type>", `${fileTypes.map(({ name }) => name).join(", ")}, or COPY`)
    .option("--imatrix <file>", "an importance matrix, llama.cpp's in either form")
    .option("--include-weights <part>", "heed only entries of the matrix whose names contain this; repeatable", several)
    .option("--exclude-weights <part>", "heed no entries of the matrix whose names contain this; repeatable", several)
    .option("--pure", "every tensor in the type's own format, no mix")
    .option("--output-tensor-type <format>", "the format of output.weight")
    .option("--token-embedding-type <format>", "the format of token_embd.weight")
    .option("--tensor-type <name=format>", "the format of tensors that match a regular expression; repeatable", pairs)
    .option("--tensor-type-file <file>", "a file of name=format, separated by white space")
    .option("--leave-output-tensor", "leave output.weight as it is")
    .option("--allow-requantize", "quantize again what is quantized already")
    .option("--keep-split", "write as many parts as the source has")
    .option("--override-kv <key=type:value>", "set metadata: int, float, bool or str; repeatable", override)
    .option("--prune-layers <list>", "leave out these layers, separated by commas", layers)
    .option("--dry-run", "tell what would be done, and write nothing")
    .option("--force", "replace a file of that name")
    .option("-t, --threads <n>", "threads (default: as many as cores)", Number)
    .option("--json", "print one JSON object")
    .option("--quiet", "print nothing but the result")
    .action(run);
}

function pairs(text: string, before: [string, string][] = []): [string, string][] {
  const at = text.lastIndexOf("=");
  if (at < 1) throw new InvalidArgumentError(`expected NAME=FORMAT, found ${show(text)}`);
  return [...before, [text.slice(0, at), text.slice(at + 1)]];
}

function override(
  text: string,
  before: [string, GGUFScalarType, GGUFValue][] = [],
): [string, GGUFScalarType, GGUFValue][] {
  const [, key, kind, value] = /^([^=]+)=(int|float|bool|str):(.*)$/s.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError(`expected KEY=int|float|bool|str:VALUE, found ${show(text)}`);
  const bad = () => new InvalidArgumentError(`expected a value of type ${kind}, found ${show(value)}`);
  if (kind === "str") return [...before, [key, "string", value]];
  if (kind === "bool") {
    if (value !== "true" && value !== "false") throw bad();
    return [...before, [key, "bool", value === "true"]];
  }
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || (kind === "int" && !Number.isSafeInteger(number))) throw bad();
  return [...before, [key, kind === "int" ? (number < 0 ? "i32" : "u32") : "f32", number]];
}

function layers(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part))
      throw new InvalidArgumentError(`expected numbers of layers separated by commas, found ${show(text)}`);
    return Number(part);
  });
}

async function run(given: string, out: string, flags: Flags): Promise<void> {
  const source = await localModel(given, flags.quiet);
  const fromFile = flags.tensorTypeFile
    ? readText(await readFile(flags.tensorTypeFile))
        .split(/\s+/)
        .flatMap((text) => (text ? pairs(text) : []))
    : [];
  const tell = progressLine<QuantizeProgress>(flags.quiet, ({ name }) => name);
  const result = await interruptible((signal) =>
    quantize(source, out, {
      type: flags.type,
      imatrix: flags.imatrix,
      include_weights: flags.includeWeights,
      exclude_weights: flags.excludeWeights,
      pure: flags.pure,
      output_tensor_type: flags.outputTensorType,
      token_embedding_type: flags.tokenEmbeddingType,
      tensor_types: [...(flags.tensorType ?? []), ...fromFile],
      leave_output_tensor: flags.leaveOutputTensor,
      allow_requantize: flags.allowRequantize,
      keep_split: flags.keepSplit,
      override_kv: flags.overrideKv,
      prune_layers: flags.pruneLayers,
      dry_run: flags.dryRun,
      overwrite: flags.force,
      threads: flags.threads,
      progress_callback: tell,
      signal,
    }),
  );
  if (flags.json) return write(`${JSON.stringify(result)}\n`);
  for (const warning of result.warnings) if (!flags.quiet) say(`warning: ${warning}`);
  if (result.kept_bytes && !flags.quiet) say(`${bytes(result.kept_bytes)} were there from a run that was cut`);
  if (flags.dryRun)
    for (const { name, shape, from, to } of result.tensors)
      await write(`${name} [${shape.join(", ")}] ${from}${from === to ? "" : ` → ${to}`}\n`);
  await write(
    `${result.files.join(", ")}: ${bytes(result.bytes)} of ${bytes(result.source_bytes)}, ${result.bits_per_weight.toFixed(2)} bits a weight\n`,
  );
}
