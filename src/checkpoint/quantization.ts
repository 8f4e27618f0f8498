// Which library has quantized a folder, and what reads its matrices.
import { BitsAndBytesConfig } from "../config/bitsandbytes_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { show } from "../config/show.ts";
import { CheckpointError } from "../errors.ts";
import { readBnb } from "./bnb.ts";
import { awqReader, compressedReader, gptqReader, type PackedReader } from "./grouped.ts";
import { configLimit, readJSONObject } from "./json.ts";
import { hasFile, type Repository } from "./repository.ts";

/** GPTQ's settings where config.json is older than they are. */
const settingsName = "quantize_config.json";

/** What reads the matrices that a library has quantized. @throws {@link CheckpointError} when it is none that this version knows */
export async function packedReader(
  config: PreTrainedConfig,
  repository: Repository,
): Promise<PackedReader | undefined> {
  const older = !config.quantization_config && (await hasFile(repository, settingsName));
  const settings = older ? await readJSONObject(repository, settingsName, configLimit) : config.quantization_config;
  if (!settings) return undefined;
  const where = repository.where(older ? settingsName : "config.json");
  const { quant_method = older ? "gptq" : undefined, load_in_4bit, load_in_8bit } = settings;
  if (quant_method === "gptq") return gptqReader(settings, where);
  if (quant_method === "awq") return awqReader(settings, where);
  if (quant_method === "compressed-tensors") return compressedReader(settings, where);
  // bitsandbytes' first checkpoints do not say so.
  if (quant_method === "bitsandbytes" || (quant_method === undefined && (load_in_4bit || load_in_8bit))) {
    BitsAndBytesConfig.from_dict(settings, where);
    return readBnb;
  }
  throw new CheckpointError(
    `${repository.name}: quantization_config.quant_method ${show(quant_method)}: this version reads full-precision safetensors (F32, F16, BF16), those of bitsandbytes, GPTQ, AWQ and compressed-tensors, and GGUF, not checkpoints quantized this way`,
  );
}
