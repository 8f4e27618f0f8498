// A config as the text of a JSON file, laid out as Python's: transformers tells 1.0 from 1, and refuses a whole number in a
// field that is a float.

/** Fields of configs that are floats, those of `rope_parameters` included. Source: transformers 5. */
const floats: ReadonlySet<string> = new Set([
  ...["attention_dropout", "initializer_range", "rms_norm_eps", "router_aux_loss_coef", "router_jitter_noise"],
  ...["rope_theta", "factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"],
  ...["low_freq_factor", "high_freq_factor", "short_factor", "long_factor"],
]);

/**
 * @param value - what JSON can hold
 * @param field - the field that it is the value of, if any
 * @returns keys sorted, two spaces a level, without a newline at the end
 */
export function configJSON(value: unknown, field = "", margin = "\n"): string {
  if (typeof value === "number" && floats.has(field) && /^-?\d+$/.test(String(value))) return `${value}.0`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${margin}  `;
  const list = Array.isArray(value);
  const items = list
    ? value.map((each) => configJSON(each, field, inner))
    : Object.entries(value)
        .filter(([, each]) => each !== undefined)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, each]) => `${JSON.stringify(name)}: ${configJSON(each, name, inner)}`);
  const [begin, end] = list ? "[]" : "{}";
  return items.length ? `${begin}${inner}${items.join(`,${inner}`)}${margin}${end}` : begin + end;
}
