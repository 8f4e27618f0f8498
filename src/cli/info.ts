// tramontane info PATH: what a checkpoint is and what running it will take, from its headers alone.
import { Command } from "commander";
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { cacheBytes } from "../memory/kv_pool.ts";
import { describePlan, planEngine } from "../model/plan.ts";
import { currentPlatform } from "../platform/index.ts";
import { headOf } from "../weights/bind.ts";
import { write } from "./io.ts";
import { bytes } from "./report.ts";

export function infoCommand(): Command {
  return new Command("info")
    .description("tell what a checkpoint is: config, tensors, formats, the memory it needs, whether it maps")
    .argument("<path>", "a Hugging Face folder or a .gguf file")
    .option("--json", "print one JSON object")
    .option("--tensors", "list every tensor")
    .action(run);
}

async function run(path: string, flags: { json?: boolean; tensors?: boolean }): Promise<void> {
  const platform = await currentPlatform();
  const checkpoint = await openCheckpoint(await openRepository(platform, path));
  try {
    const planned = await planEngine(platform, checkpoint, {}, headOf(checkpoint));
    const plan = describePlan(planned);
    const { config } = checkpoint;
    const positions = config.sliding_window ?? config.max_position_embeddings;
    const cache = {
      positions,
      f32: cacheBytes(planned.shape, positions, "f32"),
      f16: cacheBytes(planned.shape, positions, "f16"),
      q8_0: cacheBytes(planned.shape, positions, "q8_0"),
    };
    const tensors = [...checkpoint.tensors.values()].map(({ name, format, shape, file, offset, bytes: size }) => ({
      name,
      format: format.name,
      shape,
      file: file.path,
      offset,
      bytes: size,
    }));
    const files = checkpoint.files.map(({ path: name, size }) => ({ path: name, bytes: size }));
    const facts = {
      path,
      kind: checkpoint.kind,
      config,
      files,
      ...plan,
      cache,
      available_bytes: platform.available_memory(),
    };
    if (flags.json)
      return await write(
        `${JSON.stringify({ ...facts, tensors: flags.tensors ? tensors : tensors.length }, null, 2)}\n`,
      );
    const mixture = config instanceof MixtralConfig ? config : undefined;
    const lines = [
      `${path}: ${mixture ? "Mixtral" : "Mistral"}, ${checkpoint.kind}, ${files.length} file${files.length > 1 ? "s" : ""}, ${tensors.length} tensors`,
      `  shape     ${config.num_hidden_layers} layers, hidden ${config.hidden_size}, heads ${config.num_attention_heads} (${config.num_key_value_heads} for keys), ${mixture ? `${mixture.num_local_experts} experts of ${config.intermediate_size}, ${mixture.num_experts_per_tok} a token` : `feed-forward ${config.intermediate_size}`}, vocabulary ${config.vocab_size}`,
      `  positions ${config.max_position_embeddings}, ${config.sliding_window ? `window ${config.sliding_window}` : "no window"}, rope theta ${config.rope_theta}`,
      `  formats   ${Object.entries(plan.formats)
        .map(([name, n]) => `${name} × ${n}`)
        .join(", ")}`,
      `  weights   ${bytes(plan.weight_bytes)} in ${facts.banks} bank${facts.banks > 1 ? "s" : ""}, ${plan.mapped ? "mapped from the file" : `read: ${plan.reason}`}`,
      `  private   ${bytes(plan.private_bytes)} at most with ${plan.threads} thread${plan.threads > 1 ? "s" : ""}, ${plan.simd} SIMD`,
      `  cache     ${bytes(cache.f32)} (f32), ${bytes(cache.f16)} (f16) or ${bytes(cache.q8_0)} (q8_0) for ${cache.positions} positions`,
      ...(flags.tensors
        ? tensors.map((t) => `  ${t.name}  ${t.format} [${t.shape.join(", ")}]  ${t.bytes} bytes at ${t.offset}`)
        : []),
    ];
    await write(`${lines.join("\n")}\n`);
  } finally {
    await checkpoint.close();
  }
}
