// A model and its tokenizer, as commands load them: with a progress bar, and the adapters that were named.

import { AutoModelForCausalLM } from "../generation/auto.ts";
import type { CausalLM } from "../generation/causal_lm.ts";
import type { LoadOptions } from "../model/options.ts";
import { AutoTokenizer } from "../text/load_tokenizer.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { loadAdapters } from "./lora.ts";
import { loadOptions, type ModelFlags } from "./options.ts";
import { progressBar } from "./report.ts";

export interface Loaded {
  readonly tokenizer: Tokenizer;
  /** The caller's to dispose. */
  readonly model: CausalLM;
}

/** The model alone. @param more - options that no flag is for */
export async function loadModel(flags: ModelFlags, signal: AbortSignal, more: LoadOptions = {}): Promise<CausalLM> {
  const model = await AutoModelForCausalLM.from_pretrained(flags.model, {
    ...loadOptions(flags),
    ...more,
    progress_callback: progressBar(flags.quiet),
    signal,
  });
  try {
    await loadAdapters(model, flags, signal);
  } catch (error) {
    await model.dispose();
    throw error;
  }
  return model;
}

/** Both, the tokenizer first: it is there soon, or its fault is told soon. */
export async function load(flags: ModelFlags, signal: AbortSignal, more?: LoadOptions): Promise<Loaded> {
  const tokenizer = await AutoTokenizer.from_pretrained(flags.model);
  return { tokenizer, model: await loadModel(flags, signal, more) };
}
