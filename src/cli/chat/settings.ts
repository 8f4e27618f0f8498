// /set: what the flags of sampling are, while a chat goes on.
import { Command, InvalidArgumentError, type Option } from "commander";
import { nearest } from "../../config/nearest.ts";
import { InputError } from "../../errors.ts";
import type { GenerateInputs } from "../../generation/generate_inputs.ts";
import { generateOptions, randomSeed, type SamplingFlags, withSampling } from "../sampling.ts";

const options = withSampling(new Command()).options;

const nameOf = ({ long }: Option): string => long!.slice(2).replaceAll("-", "_");

/** The option of a name, as a flag or as the library has it: `top-p`, `top_p`, `temp`. */
function optionOf(name: string): Option {
  const flag = name.replace(/^-+/, "").replaceAll("_", "-");
  const found = options.find(({ short, long }) => [short, long].some((each) => each?.replace(/^-+/, "") === flag));
  if (found) return found;
  const names = options.map(nameOf);
  throw new InputError(
    `/set: unknown setting ${name}: did you mean ${nearest(name, names)}? It may be ${names.join(", ")}`,
  );
}

export class Settings {
  private readonly flags: SamplingFlags & Record<string, unknown>;
  private seed: number;

  constructor(flags: SamplingFlags) {
    this.flags = { ...flags };
    this.seed = flags.seed ?? randomSeed();
  }

  /** Options of `generate`. */
  get options(): GenerateInputs {
    return generateOptions(this.flags, this.seed);
  }

  /** Has the same message get another answer. */
  reseed(): void {
    this.seed++;
    if (this.flags.seed !== undefined) this.flags.seed = this.seed;
  }

  /** @param text - the value; empty takes the setting back. @throws {@link InputError} */
  set(name: string, text: string): void {
    const option = optionOf(name);
    const attribute = option.attributeName();
    try {
      this.flags[attribute] = text === "" ? undefined : (option.parseArg?.(text, undefined) ?? text);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InputError(`/set ${nameOf(option)}: ${error.message}`, { cause: error });
    }
    if (this.flags.seed !== undefined) this.seed = this.flags.seed;
  }
}
