// Environment variables that stand for flags that were not given: TRAMONTANE_KV_DTYPE for --kv-dtype.
import { Option } from "commander";

/** An option that the environment may set, too. @param parse - reads its value */
export function fromEnvironment(flags: string, description: string, parse?: (text: string) => unknown): Option {
  const option = new Option(flags, description);
  if (parse) option.argParser(parse);
  return option.env(`TRAMONTANE_${option.long!.slice(2).toUpperCase().replaceAll("-", "_")}`);
}
