// What is told of a checkpoint beside its config: parameters, tokenizer, template, licence, metadata, and whether it fits
// the memory of this machine.
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { hasFile, type Repository } from "../checkpoint/repository.ts";
import { MixtralConfig } from "../config/mixtral_config.ts";
import type { PreTrainedConfig } from "../config/pretrained_config.ts";
import { TramontaneError } from "../errors.ts";
import { readText } from "../text/lines.ts";
import { loadTokenizer } from "../text/load_tokenizer.ts";
import type { HeadName } from "../weights/weights.ts";

/** Numbers in the weights: all of them, those that a token is computed with, and those of them that formats are about. */
export function countParameters(
  config: PreTrainedConfig,
  head: HeadName | null,
): { parameters: number; active_parameters: number; matrix_parameters: number } {
  const { hidden_size, vocab_size, num_hidden_layers, num_attention_heads, num_key_value_heads } = config;
  const width = config.resolved_head_dim;
  const attention = 2 * hidden_size * width * (num_attention_heads + num_key_value_heads);
  const block = 3 * hidden_size * config.intermediate_size;
  const mixture = config instanceof MixtralConfig ? config : undefined;
  const router = mixture ? mixture.num_local_experts * hidden_size : 0;
  const layers = (blocks: number) => num_hidden_layers * (attention + 2 * hidden_size + router + blocks * block);
  const own_head = head !== null && !(head === "lm_head" && config.tie_word_embeddings);
  const outputs = head === "lm_head" ? vocab_size : head === "score" ? config.num_labels : 2;
  const rest = vocab_size * hidden_size + hidden_size + (own_head ? outputs * hidden_size : 0);
  const parameters = rest + layers(mixture?.num_local_experts ?? 1);
  return {
    parameters,
    // Norms and routers are small, and full precision.
    matrix_parameters: parameters - hidden_size - num_hidden_layers * (2 * hidden_size + router),
    active_parameters: rest + layers(mixture?.num_experts_per_tok ?? 1),
  };
}

export interface TokenizerFacts {
  readonly vocab_size: number;
  readonly bos_token?: string;
  readonly eos_token?: string;
  /** Names of the chat templates: `default`, and others. */
  readonly chat_templates: readonly string[];
}

/** The tokenizer beside a checkpoint; why there is none where it cannot be read. */
export async function tokenizerFacts(
  repository: Repository,
  checkpoint: Checkpoint,
): Promise<TokenizerFacts | { readonly missing: string }> {
  try {
    const gguf = checkpoint.kind === "gguf" ? checkpoint.metadata : undefined;
    const { vocab_size, bos_token, eos_token, chat_template } = await loadTokenizer(repository, {}, gguf);
    const chat_templates = typeof chat_template === "string" ? ["default"] : Object.keys(chat_template ?? {});
    return { vocab_size, bos_token, eos_token, chat_templates };
  } catch (error) {
    if (!(error instanceof TramontaneError)) throw error;
    return { missing: error.message };
  }
}

const README_BYTES = 2 ** 20;

/** The licence: a GGUF's metadata say it, or the front matter of a folder's README.md. */
export async function licenseOf(repository: Repository, { metadata }: Checkpoint): Promise<string | undefined> {
  const license = metadata.get("general.license");
  if (typeof license === "string") return license;
  if (repository.file !== undefined || !(await hasFile(repository, "README.md"))) return undefined;
  const text = readText(await repository.read("README.md", README_BYTES).catch(() => new Uint8Array()));
  const front = /^---\n([\s\S]*?)\n---/.exec(text)?.[1] ?? "";
  return /^license:\s*["']?([^"'\n]+?)["']?\s*$/m.exec(front)?.[1];
}

/** A GGUF's metadata but for the vocabulary and the template: lists by their length. */
export function metadataFacts({ metadata }: Checkpoint): Record<string, string | number | boolean> {
  const facts: Record<string, string | number | boolean> = {};
  for (const [key, value] of metadata) {
    if (key.startsWith("tokenizer.chat_template")) continue;
    if (typeof value === "object") facts[key] = `${value.length} values`;
    else facts[key] = typeof value === "bigint" ? String(value) : value;
  }
  return facts;
}

/**
 * Whether a model fits the memory that is free, with one sequence's cache.
 * @param made_bytes - of weights that are made while it loads, private memory already
 */
export function fit(
  plan: { mapped: boolean; weight_bytes: number; private_bytes: number },
  made_bytes: number,
  cache_bytes: number,
  available: number | undefined,
): { needed_bytes: number; fits: boolean | null } {
  const needed_bytes = plan.private_bytes + cache_bytes + (plan.mapped ? plan.weight_bytes - made_bytes : 0);
  return { needed_bytes, fits: available === undefined ? null : needed_bytes <= available };
}
