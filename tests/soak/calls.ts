// The kinds of calls of a soak. Each is a whole use of the library, ends in whatever way it may, and leaves nothing behind.
import { join } from "node:path";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  type CausalLM,
  ChatSession,
  type GenerateInputs,
  pipeline,
  TextStreamer,
  type Tokenizer,
  TramontaneError,
} from "../../src/index.ts";

/** Draws whole numbers: `draw(n)` is one of 0 … n-1. */
export type Draw = (n: number) => number;

export interface SoakContext {
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  /** A signal that lives as long as the soak, as a server's does. */
  readonly signal: AbortSignal;
  /** Checkpoints to load. */
  readonly paths: readonly string[];
  /** Where caches are saved. */
  readonly folder: string;
}

/** The reason of every abort here; what else a call fails with must be an error of this library, or `MINE`. */
class Enough extends Error {}
export const MINE = "a streamer's own error";

/** Lets a call fail as calls may. @throws what no call may fail with */
export async function mayFail(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    const known = error instanceof TramontaneError || error instanceof Enough || (error as Error)?.message === MINE;
    if (!known) throw error;
    return false;
  }
}

const ids = (draw: Draw, most: number): number[] => Array.from({ length: 1 + draw(most) }, () => 3 + draw(1500));
const words = ["pesto", "What is", "basil and", "mustard,", "🦩", "\n", "tell me", "</s>"];
const text = (draw: Draw): string => Array.from({ length: 1 + draw(8) }, () => words[draw(words.length)]).join(" ");

/** One of the ways of generating. */
const ways: ((draw: Draw) => GenerateInputs)[] = [
  () => ({}),
  (draw) => ({ do_sample: true, seed: draw(1000), top_p: 0.9, temperature: 1.3 }),
  (draw) => ({ do_sample: true, num_return_sequences: 1 + draw(3), top_k: 5 }),
  (draw) => ({ num_beams: 2 + draw(2), num_return_sequences: 1 + draw(2) }),
  () => ({ prompt_lookup_num_tokens: 4 }),
  () => ({ guidance_scale: 1.5 }),
  () => ({ repetition_penalty: 1.2, no_repeat_ngram_size: 3, bad_words_ids: [[5], [6, 7]] }),
  () => ({ output_scores: true, top_logprobs: 3, return_dict_in_generate: true }),
];

async function loop(stream: AsyncIterable<unknown>, most: number): Promise<void> {
  let left = most;
  for await (const _ of stream) if (--left <= 0) break;
}

export const calls: Readonly<Record<string, (context: SoakContext, draw: Draw) => Promise<void>>> = {
  async generate({ model, signal }, draw) {
    const inputs = { input_ids: ids(draw, 40), max_new_tokens: 1 + draw(12), ...ways[draw(ways.length)](draw) };
    const result = await model.generate({ ...inputs, ...(draw(2) ? { signal } : {}) });
    (result as unknown as { past_key_values?: Disposable }).past_key_values?.[Symbol.dispose]();
  },
  async "generate a batch"({ model }, draw) {
    const rows = Array.from({ length: 1 + draw(4) }, () => ids(draw, 1).concat(Array(5).fill(9)));
    await model.generate({ input_ids: rows, max_new_tokens: 1 + draw(8) });
  },
  async "generate, aborted"({ model }, draw) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Enough("enough")), draw(60));
    const inputs = { input_ids: ids(draw, 200), max_new_tokens: 400, ...ways[draw(ways.length)](draw) };
    await model.generate({ ...inputs, signal: controller.signal });
  },
  async "generate, its streamer throws"({ model }, draw) {
    let left = draw(6);
    const streamer = {
      put() {
        if (--left < 0) throw new Error(MINE);
      },
      end() {},
    };
    await model.generate({ input_ids: ids(draw, 20), max_new_tokens: 8, streamer });
  },
  async "generate, refused"({ model }, draw) {
    const wrong: GenerateInputs[] = [
      { input_ids: [99999] },
      { input_ids: [1], max_new_tokens: 1e9 },
      { temprature: 1 } as never,
    ];
    await model.generate(wrong[draw(wrong.length)]);
  },
  async "stream, to its end"({ model, tokenizer, signal }, draw) {
    await loop(model.stream({ ...tokenizer(text(draw)), max_new_tokens: 6, tokenizer, signal }), Infinity);
  },
  async "stream, left"({ model, tokenizer, signal }, draw) {
    await loop(model.stream({ ...tokenizer(text(draw)), max_new_tokens: 200, tokenizer, signal }), 1 + draw(4));
  },
  async "a text streamer"({ model, tokenizer }, draw) {
    const streamer = new TextStreamer(tokenizer, { skip_prompt: true, callback_function: () => {} });
    await model.generate({ ...tokenizer(text(draw)), max_new_tokens: 5, streamer });
  },
  async forward({ model, signal }, draw) {
    const { past_key_values } = await model({ input_ids: ids(draw, 60), output_hidden_states: draw(2) === 0, signal });
    if (draw(2)) past_key_values!.dispose(); // else it is forgotten
  },
  async "forward, aborted"({ model }, draw) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Enough("enough")), draw(30));
    await model({ input_ids: ids(draw, 1200), signal: controller.signal });
  },
  async "a cache: fork, crop, save, load"({ model, folder }, draw) {
    using cache = (await model({ input_ids: ids(draw, 100), logits_to_keep: 1 })).past_key_values!;
    using fork = cache.fork();
    fork.crop(1 + draw(fork.get_seq_length()));
    await model({ input_ids: [5, 6], past_key_values: fork });
    const path = join(folder, `cache-${draw(4)}`);
    await cache.save(path);
    using loaded = await model.load_cache(path);
    await model({ input_ids: [5], past_key_values: loaded });
  },
  async "two calls with one cache"({ model }, draw) {
    using cache = (await model({ input_ids: ids(draw, 10) })).past_key_values!;
    await Promise.allSettled([1, 2].map((id) => model({ input_ids: [id], past_key_values: cache })));
  },
  async "a conversation"({ model, tokenizer, signal }, draw) {
    const session = new ChatSession(model, tokenizer);
    try {
      for (let turn = 1 + draw(3); turn > 0; turn--)
        await loop(session.send(text(draw), { max_new_tokens: 4, signal }), draw(3) ? Infinity : 1);
    } finally {
      session.dispose();
    }
  },
  async "a tokenizer"({ tokenizer, paths }, draw) {
    const own = draw(4) ? tokenizer : await AutoTokenizer.from_pretrained(paths[0]);
    const encoded = own.encode(text(draw).repeat(1 + draw(50)));
    own.decode(encoded);
    own.apply_chat_template([{ role: "user", content: text(draw) }]);
  },
  async "a pipeline"({ paths }, draw) {
    await using generator = await pipeline("text-generation", paths[0], { threads: 1 });
    await generator(text(draw), { max_new_tokens: 2 });
  },
  async "load and dispose"({ paths }, draw) {
    const mmap = draw(2) ? "auto" : false;
    await using model = await AutoModelForCausalLM.from_pretrained(paths[draw(paths.length)], {
      threads: 1 + draw(2),
      mmap,
    });
    await model.generate({ input_ids: [1, 2], max_new_tokens: 2 });
  },
  async "load, and dispose in a step"({ paths }, draw) {
    const model = await AutoModelForCausalLM.from_pretrained(paths[draw(paths.length)], { threads: 1 });
    const call = mayFail(() => model({ input_ids: Array.from({ length: 300 }, (_, i) => 1 + (i % 90)) }));
    await model.dispose();
    await call;
  },
  async "load, aborted"({ paths }, draw) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Enough("enough")), draw(40));
    const options = { threads: 2, mmap: draw(2) ? ("auto" as const) : false, signal: controller.signal };
    await (await AutoModelForCausalLM.from_pretrained(paths[draw(paths.length)], options)).dispose();
  },
  async "load, nothing there"() {
    await AutoModelForCausalLM.from_pretrained("no/such/model");
  },
};
