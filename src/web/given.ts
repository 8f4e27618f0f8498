// What `generate` is given on the page, made ready for the engine: functions that have to answer at once do so here, and what
// they change in place is sent back as their answer.
import { atOnce } from "../callbacks.ts";
import { LogitsProcessorList } from "../generation/processors.ts";
import { StoppingCriteriaList } from "../generation/stopping.ts";
import type { Tensor } from "../tensor.ts";
import { isMadeAgain } from "./objects.ts";

type AnyFunction = (...args: never[]) => unknown;

/** The arguments of a call; whatever is no object of arguments is the engine's to refuse. */
export function prepared(inputs: unknown): unknown {
  if (typeof inputs !== "object" || inputs === null || Object.getPrototypeOf(inputs) !== Object.prototype)
    return inputs;
  const given = inputs as Record<string, unknown>;
  const { logits_processor, stopping_criteria, prefix_allowed_tokens_fn } = given;
  return {
    ...given,
    ...(logits_processor == null ? {} : { logits_processor: processors(logits_processor) }),
    ...(stopping_criteria == null ? {} : { stopping_criteria: criteria(stopping_criteria) }),
    ...(typeof prefix_allowed_tokens_fn === "function"
      ? { prefix_allowed_tokens_fn: answering(prefix_allowed_tokens_fn as AnyFunction, "prefix_allowed_tokens_fn") }
      : {}),
  };
}

/** A function whose promises are refused. */
const answering =
  (call: AnyFunction, what: string) =>
  (...args: unknown[]): unknown =>
    atOnce((call as (...args: unknown[]) => unknown)(...args), what);

/** A function, or the object's method `_call`. */
const callOf = (value: unknown): AnyFunction | undefined => {
  if (typeof value === "function") return value as AnyFunction;
  const method = (value as { _call?: unknown } | null | undefined)?._call;
  return typeof method === "function" ? method.bind(value) : undefined;
};

function processors(value: unknown): unknown {
  if (value instanceof LogitsProcessorList) return value.processors.map(processors);
  if (Array.isArray(value)) return value.map(processors);
  const call = callOf(value);
  if (!call) return value;
  const answer = answering(call, "logits_processor");
  return (input_ids: number[][], scores: Tensor) => answer(input_ids, scores) ?? scores;
}

function criteria(value: unknown): unknown {
  if (value instanceof StoppingCriteriaList) return value.criteria.map(criteria);
  if (Array.isArray(value)) return value.map(criteria);
  if (isMadeAgain(value)) return value;
  const call = callOf(value);
  return call ? answering(call, "stopping_criteria") : value;
}
