// What stands beside the weights in a Hugging Face folder: configs, made or copied; the tokenizer's files and the licence.
import { copyBeside, filesBeside } from "../checkpoint/beside.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Repository } from "../checkpoint/repository.ts";
import type { SafetensorsTensor } from "../checkpoint/safetensors_writer.ts";
import { tensorBytes } from "../checkpoint/safetensors_writer.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { saveFile } from "../platform/files.ts";
import type { Files } from "../platform/platform.ts";
import type { HeadName } from "../weights/weights.ts";
import { configJSON } from "./config_json.ts";
import { ggufTokenizerFiles } from "./gguf_tokenizer.ts";

const classSuffixes: Readonly<Record<HeadName, string>> = {
  lm_head: "ForCausalLM",
  score: "ForSequenceClassification",
  qa_outputs: "ForQuestionAnswering",
};

/** Names of torch's for those of safetensors. */
const torchNames: Readonly<Record<string, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** Fields that transformers leaves out where they say nothing. */
const absentNull = ["architectures", "problem_type", "quantization_config", "transformers_version"];

/** The contents of config.json. */
export function folderConfig(
  { config }: Checkpoint,
  head: HeadName | null,
  tensors: readonly SafetensorsTensor[],
  num_key_value_heads: number,
): Record<string, unknown> {
  const family = config instanceof MixtralConfig ? "Mixtral" : "Mistral";
  const architectures = config.architectures ?? [`${family}${head ? classSuffixes[head] : "Model"}`];
  const all = { ...config.to_dict(), num_key_value_heads, architectures, dtype: torchNames[commonDtype(tensors)] };
  return Object.fromEntries(
    Object.entries(all).filter(([name, value]) => value !== null || !absentNull.includes(name)),
  );
}

/** The type of most bytes. */
function commonDtype(tensors: readonly SafetensorsTensor[]): string {
  const bytes = new Map<string, number>();
  for (const tensor of tensors) bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + tensorBytes(tensor));
  return [...bytes].reduce((most, each) => (each[1] > most[1] ? each : most))[0];
}

/** The contents of generation_config.json where the source has no such file. */
function generationConfig({ config, generation_config }: Checkpoint): Record<string, unknown> {
  const { bos_token_id, eos_token_id, pad_token_id } = config;
  const ids = Object.entries({ bos_token_id, eos_token_id, pad_token_id }).filter(([, id]) => id !== null);
  return { _from_model_config: true, ...Object.fromEntries(ids), ...generation_config };
}

/** Writes all files but the weights. @returns their names */
export async function writeFiles(
  files: Pick<Files, "create" | "join">,
  folder: string,
  repository: Repository,
  checkpoint: Checkpoint,
  config: Record<string, unknown>,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const along = await filesBeside(repository);
  const text = (contents: unknown) => new TextEncoder().encode(`${configJSON(contents)}\n`);
  const made: Record<string, Uint8Array> = { "config.json": text(config) };
  if (!along.includes("generation_config.json")) made["generation_config.json"] = text(generationConfig(checkpoint));
  if (checkpoint.kind === "gguf" && !along.some((name) => /^tokenizer\.(json|model)$/.test(name)))
    Object.assign(made, ggufTokenizerFiles(checkpoint));
  for (const [name, bytes] of Object.entries(made))
    await saveFile(files, files.join(folder, name), (sink) => sink.write(bytes));
  await copyBeside(files, repository, along, folder, signal);
  return [...new Set([...Object.keys(made), ...along])];
}
