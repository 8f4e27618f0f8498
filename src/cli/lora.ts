// --lora: adapters that a command loads beside its model, all of them active, and those that merge writes into it.
import { InvalidArgumentError, Option } from "commander";
import { show } from "../config/show.ts";
import type { PreTrainedModel } from "../model/pretrained.ts";

export interface LoraFlag {
  readonly path: string;
  readonly scale: number;
}

/** PATH, or PATH=SCALE; what stands behind a last = is a scale where it is a number. */
function parseLora(text: string, before: readonly LoraFlag[] = []): readonly LoraFlag[] {
  const [, path, number] = /^(.+)=([^=/\\]*)$/s.exec(text) ?? [];
  const scaled = number !== undefined && number.trim() !== "" && Number.isFinite(Number(number));
  if (text === "" || (number !== undefined && number.trim() === ""))
    throw new InvalidArgumentError(`expected an adapter's folder, or PATH=SCALE, found ${show(text)}`);
  return [...before, scaled ? { path, scale: Number(number) } : { path: text, scale: 1 }];
}

export const loraOption = (): Option =>
  new Option(
    "--lora <path[=scale]>",
    "a LoRA adapter's folder, as PEFT writes it, and what multiplies its own scale; several add up",
  ).argParser(parseLora);

/** Loads the adapters that were named. */
export async function loadAdapters(
  model: PreTrainedModel,
  { lora = [] }: { readonly lora?: readonly LoraFlag[] },
  signal?: AbortSignal,
): Promise<void> {
  const names = lora.map(({ path }, i) => `${i + 1} ${path}`);
  for (const [i, { path, scale }] of lora.entries())
    await model.load_adapter(path, { adapter_name: names[i], scale, signal });
  if (names.length > 0) model.set_adapter(names);
}
