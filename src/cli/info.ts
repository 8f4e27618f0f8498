// tramontane info PATH: what a checkpoint is and what running it will take, from its headers alone.
import { Command } from "commander";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { openRepository } from "../checkpoint/repository.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import { HubError } from "../errors.ts";
import { cacheBytes } from "../memory/kv_pool.ts";
import { describePlan, type EnginePlan, planEngine } from "../model/plan.ts";
import { currentPlatform } from "../platform/index.ts";
import { headOf } from "../weights/bind.ts";
import { modelOrDemo } from "./demo.ts";
import { countParameters, fit, licenseOf, metadataFacts, tokenizerFacts } from "./facts.ts";
import { visible, write } from "./io.ts";
import { localModel } from "./local_model.ts";
import { bytes } from "./report.ts";

const millions = (n: number): string => (n < 1e9 ? `${(n / 1e6).toFixed(1)} M` : `${(n / 1e9).toFixed(1)} G`);

export function infoCommand(): Command {
  return new Command("info")
    .description("tell what a checkpoint is: config, parameters, formats, tokenizer, licence, the memory it needs")
    .argument(
      "[path]",
      "a Hugging Face folder or a .gguf file; or owner/name of a hub, once it was downloaded (default: tramontane-demo's)",
    )
    .option("--json", "print one JSON object")
    .option("--tensors", "list every tensor")
    .action(run);
}

/** Every tensor of weights, those of other libraries' codes by the format that they are made as. */
function listTensors({ tensors, packed }: Checkpoint) {
  return [
    ...[...tensors.values()].map(({ name, format, shape, file, offset, bytes }) => ({
      ...{ name, format: format.name, shape, file: file.path, offset, bytes },
    })),
    ...[...packed.values()].map(({ name, format, shape, recipe: { parts } }) => ({
      ...{ name, format: format.name, shape },
      ...{ file: parts[0].file.path, offset: parts[0].offset, bytes: parts[0].bytes },
    })),
  ];
}

function howLoaded({ source, paging }: EnginePlan, made_bytes: number): string {
  if (source.mapper) return `mapped from the file${made(made_bytes)}`;
  if (!paging) return `read: ${source.reason}${made(made_bytes)}`;
  return `${bytes(paging.budget_bytes)} for experts, the others are read when they are needed: ${source.reason}`;
}

const made = (made_bytes: number): string =>
  made_bytes === 0 ? "" : `; ${bytes(made_bytes)} of them made while it loads`;

async function run(
  source: string | undefined,
  flags: { json?: boolean; tensors?: boolean },
  command: Command,
): Promise<void> {
  const path = await localModel(modelOrDemo(command, source, true), true, "model", { local_files_only: true }).catch(
    (error) => {
      if (!(error instanceof HubError)) throw error;
      throw new HubError(`${error.message}; \`tramontane download\` fetches it`, error.status, { cause: error });
    },
  );
  const platform = await currentPlatform();
  const repository = await openRepository(platform, path);
  const checkpoint = await openCheckpoint(repository);
  try {
    const head = headOf(checkpoint);
    const planned = await planEngine(platform, checkpoint, {}, head);
    const plan = describePlan(planned);
    const { config } = checkpoint;
    const positions = config.sliding_window ?? config.max_position_embeddings;
    const cache = {
      positions,
      f32: cacheBytes(planned.shape, positions, "f32"),
      f16: cacheBytes(planned.shape, positions, "f16"),
      q8_0: cacheBytes(planned.shape, positions, "q8_0"),
    };
    const tensors = listTensors(checkpoint);
    const { made_bytes } = planned.weights;
    const { paging } = planned;
    const files = checkpoint.files.map(({ path: name, size }) => ({ path: name, bytes: size }));
    const available_bytes = platform.available_memory();
    const { matrix_parameters, ...count } = countParameters(config, head);
    const facts = {
      path,
      kind: checkpoint.kind,
      layout: checkpoint.layout,
      config,
      files,
      ...count,
      bits_per_weight: (8 * plan.weight_bytes) / matrix_parameters,
      ...plan,
      ...(paging ? { experts: { bytes: paging.bytes, budget_bytes: paging.budget_bytes } } : {}),
      cache,
      context: planned.context,
      tokenizer: await tokenizerFacts(repository, checkpoint),
      license: await licenseOf(repository, checkpoint),
      metadata: metadataFacts(checkpoint),
      available_bytes,
      ...fit(plan, made_bytes, cache.f32, available_bytes),
    };
    if (flags.json)
      return await write(
        `${JSON.stringify({ ...facts, tensors: flags.tensors ? tensors : tensors.length }, null, 2)}\n`,
      );
    const mixture = config instanceof MixtralConfig ? config : undefined;
    const { tokenizer, license } = facts;
    const lines = [
      `${path}: ${mixture ? "Mixtral" : "Mistral"}, ${checkpoint.kind}${checkpoint.layout === "mistral" ? " in Mistral's layout" : ""}, ${files.length} file${files.length > 1 ? "s" : ""}, ${tensors.length} tensors`,
      `  shape     ${config.num_hidden_layers} layers, hidden ${config.hidden_size}, heads ${config.num_attention_heads} (${config.num_key_value_heads} for keys), ${mixture ? `${mixture.num_local_experts} experts of ${config.intermediate_size}, ${mixture.num_experts_per_tok} a token` : `feed-forward ${config.intermediate_size}`}, vocabulary ${config.vocab_size}`,
      `  weights   ${millions(facts.parameters)} parameters${mixture ? `, ${millions(facts.active_parameters)} a token` : ""}, ${facts.bits_per_weight.toFixed(2)} bits each`,
      `  positions ${config.max_position_embeddings}, ${config.sliding_window ? `window ${config.sliding_window}` : "no window"}, rope theta ${config.rope_theta}`,
      `  formats   ${Object.entries(plan.formats)
        .map(([name, n]) => `${name} × ${n}`)
        .join(", ")}`,
      `  memory    ${bytes(plan.weight_bytes)} of weights in ${facts.banks} bank${facts.banks > 1 ? "s" : ""}, ${howLoaded(planned, made_bytes)}`,
      `  private   ${bytes(plan.private_bytes)} at most with ${plan.threads} thread${plan.threads > 1 ? "s" : ""}, ${plan.vector_units ? `native kernels (${plan.vector_units})` : `${plan.simd} SIMD`}`,
      `  cache     ${bytes(cache.f32)} (f32), ${bytes(cache.f16)} (f16) or ${bytes(cache.q8_0)} (q8_0) for ${cache.positions} positions`,
      `  fits      ${bytes(facts.needed_bytes)} with one sequence's cache${available_bytes === undefined ? "" : `, ${bytes(available_bytes)} are free: ${facts.fits ? "yes" : plan.mapped ? "no, weights will be read from the disk again and again" : "no"}`}`,
      "missing" in tokenizer
        ? `  tokenizer none: ${tokenizer.missing}`
        : `  tokenizer ${tokenizer.vocab_size} tokens, ${tokenizer.bos_token ?? "none"} … ${tokenizer.eos_token ?? "none"}; chat template ${tokenizer.chat_templates.join(", ") || "none"}`,
      ...(license === undefined ? [] : [`  licence   ${license}`]),
      ...Object.entries(facts.metadata).map(([key, value]) => `  ${key}  ${value}`),
      ...(flags.tensors
        ? tensors.map((t) => `  ${t.name}  ${t.format} [${t.shape.join(", ")}]  ${t.bytes} bytes at ${t.offset}`)
        : []),
    ];
    // Each in its line, whatever a file says.
    await write(lines.map((line) => `${visible(line.replaceAll("\n", "\\n"))}\n`).join(""));
  } finally {
    await checkpoint.close();
  }
}
