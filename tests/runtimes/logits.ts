// What every runtime must compute with the same bits: a checkpoint's logits, as a hash, and a sampled answer. It imports nothing
// of any runtime.
import type { MixtralForCausalLM, Tokenizer } from "../../src/index.ts";

const IDS = Array.from({ length: 24 }, (_, i) => (i * 37 + 5) % 150);

/** The SHA-256 of a model's logits for a row of tokens. */
export async function hashOf(model: MixtralForCausalLM): Promise<string> {
  const input_ids = IDS.map((id) => id % model.config.vocab_size);
  const { logits } = await model({ input_ids, use_cache: false });
  const data = logits.data as Float32Array;
  if (!data.every(Number.isFinite)) throw new Error(`${model.info().path}: expected finite logits`);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What the demo model says, drawn with a seed. */
export async function sampledAnswer(model: MixtralForCausalLM, tokenizer: Tokenizer): Promise<string> {
  const chat = tokenizer.apply_chat_template([{ role: "user", content: "Tell me a story." }], {
    add_generation_prompt: true,
  });
  const sampling = { do_sample: true, temperature: 1.3, top_p: 0.95, top_k: 60, seed: 20231211 };
  let text = "";
  for await (const piece of model.stream({ ...chat, ...sampling, max_new_tokens: 80, tokenizer })) text += piece;
  return text;
}
