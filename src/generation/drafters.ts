// Where drafts of the tokens to come are from: an earlier occurrence of the last ones, or a smaller model.
import { InputError } from "../errors.ts";
import type { KeyValueCache } from "../model/cache.ts";
import type { CausalLM } from "./causal_lm.ts";

export interface Draft {
  readonly tokens: readonly number[];
  /** Drafts of one kind are about as often right. */
  readonly kind: number;
}

export interface Drafter {
  /** Whether a draft costs next to nothing, so that one that is not used may still be judged. */
  readonly free: boolean;
  /** Tells of the prompt, while the model reads it. */
  prepare?(ids: readonly number[]): void;
  /** The tokens that may follow some ids, at most `count`. */
  draft(ids: readonly number[], count: number): Draft | Promise<Draft>;
  dispose(): void | Promise<void>;
}

/** Tokens that an occurrence has at most, unless a call says otherwise. */
const LONGEST_MATCH = 16;

/** What followed where the last tokens occurred before: the longest such occurrence, the latest among equals. */
export class PromptLookup implements Drafter {
  readonly free = true;
  private readonly longest: number;

  constructor(longest: number | null) {
    this.longest = longest ?? LONGEST_MATCH;
  }

  draft(ids: readonly number[], count: number): Draft {
    const end = ids.length - 1;
    let found = -1;
    let length = 0;
    for (let at = end - 1; at >= 0 && length < this.longest; at--) {
      let same = 0;
      while (same < this.longest && same <= at && ids[at - same] === ids[end - same]) same++;
      if (same > length) [found, length] = [at, same];
    }
    const tokens: number[] = [];
    // Where the occurrence reaches up to the end, it goes on with itself.
    for (let i = found + 1; length > 0 && tokens.length < count; i++)
      tokens.push(i < ids.length ? ids[i] : tokens[i - ids.length]);
    return { tokens, kind: Math.min(length, 8) };
  }

  dispose(): void {}
}

/** What another model answers, by greedy search. Its cache follows the text. */
export class Assistant implements Drafter {
  readonly free = false;
  private readonly model: CausalLM;
  private readonly signal: AbortSignal | undefined;
  private readonly cache: KeyValueCache;
  /** The ids whose keys the cache holds. */
  private held: readonly number[] = [];
  private closed = false;
  private drafting: Promise<unknown> | undefined;

  /** @throws {@link InputError} when it has other tokens */
  constructor(model: CausalLM, vocab: number, signal: AbortSignal | undefined) {
    const found = (model as Partial<CausalLM>)?.engine?.shape.vocab;
    if (typeof (model as Partial<CausalLM>)?.generate !== "function" || found === undefined)
      throw new InputError("assistant_model: expected a model that generates");
    if (found !== vocab)
      throw new InputError(`assistant_model: expected a vocabulary of ${vocab} tokens, as the model's, found ${found}`);
    this.model = model;
    this.signal = signal;
    this.cache = model.create_cache(1);
  }

  prepare(ids: readonly number[]): void {
    const { model, cache, signal } = this;
    if (ids.length < 2 || ids.length > model.context) return;
    const read = [...ids.slice(0, -1)];
    const reading = model({ input_ids: [read], past_key_values: cache, logits_to_keep: 1, signal });
    this.drafting = reading.then(
      () => {
        this.held = read;
      },
      () => {}, // a draft will fail likewise
    );
  }

  async draft(ids: readonly number[], count: number): Promise<Draft> {
    const { model, cache, signal } = this;
    await this.drafting;
    if (ids.length + count > model.context || this.closed) return { tokens: [], kind: 0 };
    const { held } = this;
    let common = 0;
    while (common < held.length && common < ids.length - 1 && held[common] === ids[common]) common++;
    if (common < held.length) cache.crop(common);
    this.held = ids.slice(0, common);
    const drafting = model.generate({
      input_ids: [[...ids]],
      attention_mask: [ids.map(() => 1)],
      past_key_values: cache,
      max_new_tokens: count,
      do_sample: false,
      num_beams: 1,
      num_return_sequences: 1,
      return_dict_in_generate: false,
      signal,
    });
    this.drafting = drafting;
    const all = (await drafting).tolist()[0] as number[];
    this.held = all.slice(0, cache.get_seq_length());
    return { tokens: all.slice(ids.length), kind: 0 };
  }

  async dispose(): Promise<void> {
    this.closed = true;
    // A draft that nobody waits for any more still writes to the cache.
    await this.drafting?.catch(() => {});
    this.cache.dispose();
  }
}
