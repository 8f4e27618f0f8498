// The settings of sampling, as they were typed, and what the library has against them.
import { effect, signal } from "@preact/signals";
import { engine } from "../engine.ts";
import { noSampling, type Sampling } from "../sampling.ts";
import { kept, keptSignal } from "./kept.ts";

/** One setting: how it is shown, and which steps its field has. */
export interface Field {
  readonly name: keyof Sampling;
  readonly label: string;
  readonly help: string;
  readonly step: number;
  /** What an empty field says. */
  readonly empty: string;
}

export const fields: readonly Field[] = [
  {
    name: "temperature",
    label: "Temperature",
    step: 0.1,
    empty: "default",
    help: "0 always takes the likeliest token; higher is freer",
  },
  {
    name: "top_p",
    label: "Top p",
    step: 0.05,
    empty: "default",
    help: "The likeliest tokens that together have this probability",
  },
  { name: "top_k", label: "Top k", step: 1, empty: "default", help: "So many of the likeliest tokens; 0 is all" },
  {
    name: "min_p",
    label: "Min p",
    step: 0.01,
    empty: "default",
    help: "None less likely than this share of the likeliest",
  },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    step: 0.05,
    empty: "default",
    help: "Above 1, what was said is less likely",
  },
  { name: "seed", label: "Seed", step: 1, empty: "random", help: "The same seed gives the same answer" },
  {
    name: "max_new_tokens",
    label: "Max new tokens",
    step: 1,
    empty: "no limit",
    help: "Ends an answer; no limit is what the context holds",
  },
];

export const sampling = keptSignal<Sampling>("sampling", noSampling);
if (Object.keys(noSampling).some((name) => !(name in kept<object>("sampling", noSampling))))
  sampling.value = noSampling;

export const settingFaults = signal<ReadonlyMap<keyof Sampling, string>>(new Map());

/** @param text - what was typed; empty is "as the checkpoint says" */
export function setSampling(name: keyof Sampling, text: string): void {
  sampling.value = { ...sampling.value, [name]: text.trim() === "" ? null : Number(text) };
}

export function resetSampling(): void {
  sampling.value = noSampling;
}

export function watchSettings(): void {
  effect(() => {
    const now = sampling.value;
    void engine
      .faults(now)
      .then((found) => {
        if (sampling.value === now) settingFaults.value = found;
      })
      .catch(() => {}); // the library cannot be had: loading a model says so
  });
}
