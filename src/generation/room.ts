// How many tokens a sequence has room for, in positions and in memory.
import type { PreTrainedModel } from "../model/pretrained.ts";

/**
 * Tokens that a prompt and what follows it may have together, at most. A window never fills up: then as many new ones as the
 * model was trained for. It may be less than the prompt has.
 * @param prompt - its tokens
 */
export function mostTokens({ context, config, engine }: PreTrainedModel, prompt: number): number {
  const most = config.sliding_window ? Math.min(context, prompt + config.max_position_embeddings) : context;
  const fits = (tokens: number) => engine.pages(tokens).needed <= engine.pages(tokens).all;
  if (fits(most)) return most;
  let [fitting, not] = [0, most];
  while (not - fitting > 1) {
    const middle = (fitting + not) >> 1;
    if (fits(middle)) fitting = middle;
    else not = middle;
  }
  return fitting;
}
