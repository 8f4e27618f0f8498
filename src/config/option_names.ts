// Names of options, wherever options are taken: those that a call knows, those that other libraries' pages pass and that mean
// nothing here, and which one a wrong name was meant to be.
import { InputError } from "../errors.ts";
import { nearest } from "./nearest.ts";
import { showName } from "./show.ts";

/**
 * Options that programs bring along from transformers and transformers.js and that change nothing here: they are accepted
 * silently, with the values that are listed or with any.
 */
const MEANINGLESS: Readonly<Record<string, readonly unknown[] | "any">> = {
  // from_pretrained
  device_map: ["auto", "cpu", "balanced", "sequential", ""],
  torch_dtype: ["auto"],
  low_cpu_mem_usage: "any",
  max_memory: "any",
  offload_folder: "any",
  offload_state_dict: "any",
  resume_download: "any",
  session_options: "any",
  trust_remote_code: "any",
  use_external_data_format: "any",
  use_safetensors: "any",
  weights_only: "any",
  // Tokenizers
  clean_up_tokenization_spaces: "any",
  legacy: "any",
  return_tensors: "any",
  use_fast: "any",
  verbose: "any",
  // What a tokenizer returns, and no Mixtral reads
  token_type_ids: "any",
  // generate, and files of its settings: what asks for nothing
  _from_model_config: "any",
  assistant_confidence_threshold: "any",
  assistant_lookbehind: "any",
  diversity_penalty: [0],
  is_assistant: [false],
  num_beam_groups: [1],
  penalty_alpha: [0],
  target_lookbehind: "any",
  token_healing: [false],
  cache_implementation: "any",
  compile_config: "any",
  disable_compile: "any",
  low_memory: "any",
  return_legacy_cache: "any",
  synced_gpus: "any",
  transformers_version: "any",
};

/** What transformers has and this version has not, by the name of the option that would ask for it. */
const ABSENT: Readonly<Record<string, string>> = {
  constraints: "constrained beam search",
  custom_generate: "generating by code of the model's repository",
  diversity_penalty: "group beam search",
  dola_layers: "DoLa decoding",
  force_words_ids: "constrained beam search",
  num_beam_groups: "group beam search",
  penalty_alpha: "contrastive search",
  token_healing: "token healing",
  watermarking_config: "watermarking",
};

/** What other libraries (llama.cpp, node-llama-cpp, wllama, OpenAI's, LangChain's) call an option of ours. */
const OTHERS: Readonly<Record<string, readonly string[]>> = {
  add_special_tokens: ["add_bos", "add_bos_token", "special"],
  cache_dir: ["cache", "cache_folder", "models_dir", "directory"],
  callback_function: ["callback", "on_text", "on_text_chunk", "on_token"],
  context: ["context_length", "context_size", "ctx_size", "max_context", "max_seq_len", "n_ctx", "num_ctx"],
  chunk_size: ["batch_size", "n_batch", "n_ubatch", "prefill_chunk_size"],
  device: ["device_map", "gpu", "gpu_layers", "n_gpu_layers", "num_gpu"],
  dtype: ["bits", "model_dtype", "quantization", "quantized", "torch_dtype"],
  endpoint: ["hf_endpoint", "remote_host"],
  frequency_penalty: ["frequency_pen", "penalty_freq"],
  input_ids: ["inputs", "prompt", "prompt_tokens", "text", "tokens"],
  kv_dtype: ["cache_type", "cache_type_k", "cache_type_v", "type_k", "type_v"],
  local_files_only: ["offline"],
  logits_processor: ["logits_processors"],
  max_length: ["max_len"],
  max_new_tokens: [
    "max_completion_tokens",
    "max_gen_len",
    "max_output_tokens",
    "max_tokens",
    "n_predict",
    "num_predict",
  ],
  messages: ["chat", "conversation"],
  mmap: ["use_mmap"],
  num_beams: ["beam_size", "beam_width", "beams"],
  num_return_sequences: ["best_of", "n", "num_sequences"],
  past_key_values: ["kv_cache", "past", "prompt_cache"],
  presence_penalty: ["penalty_present", "presence_pen"],
  progress_callback: ["on_download_progress", "on_load_progress", "on_progress", "progress"],
  prompt_lookup_num_tokens: ["draft_tokens", "n_draft"],
  quantization_config: ["load_in_4bit", "load_in_8bit"],
  repetition_penalty: ["penalty_repeat", "repeat_penalty", "rep_pen"],
  seed: ["random_seed"],
  sequence_bias: ["logit_bias"],
  signal: ["abort", "abort_controller", "abort_signal"],
  skip_special_tokens: ["no_special"],
  stop_strings: ["antiprompt", "custom_stop_triggers", "stop", "stop_sequences", "stop_tokens", "stop_words"],
  streamer: ["on_response_chunk", "on_text_chunk", "on_token", "stream"],
  temperature: ["temp"],
  threads: ["intra_op_num_threads", "n_threads", "num_threads", "thread_count"],
  token: ["access_token", "auth_token", "hf_token", "use_auth_token"],
  top_logprobs: ["logprobs", "n_probs"],
};

/** A name without what styles differ in: topP is top_p. */
const plain = (name: string): string => name.replace(/[-_]/g, "").toLowerCase();

/** The known name that a wrong one was meant to be: in another style, another library's, or with other letters. */
export function meant(name: string, known: readonly string[]): string {
  const wanted = plain(name);
  return (
    known.find((one) => plain(one) === wanted) ??
    known.find((one) => Object.hasOwn(OTHERS, one) && OTHERS[one].some((other) => plain(other) === wanted)) ??
    nearest(name, known)
  );
}

/** Whether an option changes nothing here, and is none of the names that a call knows. */
const meaningless = (name: string, value: unknown): boolean =>
  Object.hasOwn(MEANINGLESS, name) && (MEANINGLESS[name] === "any" || MEANINGLESS[name].includes(value));

/**
 * The options that a call knows, without those that mean nothing here.
 * @param what - what is called, for messages
 * @throws {@link InputError} for one that it does not know, with the name that was probably meant
 */
export function knownOptions<T extends object>(options: T, what: string, known: Iterable<string>): T {
  const names = [...known];
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (names.includes(name)) kept[name] = value;
    else if (!meaningless(name, value)) throw unknown(name, what, names);
  }
  return kept as T;
}

function unknown(name: string, what: string, known: readonly string[]): InputError {
  if (Object.hasOwn(ABSENT, name)) return new InputError(`${what}: ${name}: there is no ${ABSENT[name]} here`);
  return new InputError(`${what}: unknown option ${showName(name)}: did you mean ${meant(name, known)}?`);
}

/** The names of an interface's options. The compiler sees to it that none is missing, and none too many. */
export const namesOf = <T>(names: Readonly<Record<keyof Required<T>, true>>): readonly string[] => Object.keys(names);
