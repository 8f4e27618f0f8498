// What a field of a config may hold: a test and the words that an error uses for it.

export interface Rule {
  /** Completes "expected …". */
  readonly expected: string;
  readonly allows: (value: unknown) => boolean;
}

/** An integer of `min` to `max`. Booleans are no integers, as in transformers' strict types. */
export const integer = (min: number, max: number): Rule => ({
  expected: `an integer of ${min} to ${max}`,
  allows: (v) => Number.isInteger(v) && (v as number) >= min && (v as number) <= max,
});

/** A finite number within `min` to `max`; JSON cannot tell 1 from 1.0, so integers are numbers too. */
export const number = (min: number, max: number): Rule => ({
  expected: max === Infinity ? `a number of at least ${min}` : `a number of ${min} to ${max}`,
  allows: (v) => Number.isFinite(v) && (v as number) >= min && (v as number) <= max,
});

/** A finite number above zero. */
export const positive: Rule = {
  expected: "a finite number above 0",
  allows: (v) => Number.isFinite(v) && (v as number) > 0,
};

export const flag: Rule = { expected: "true or false", allows: (v) => typeof v === "boolean" };

export const text: Rule = { expected: "a string", allows: (v) => typeof v === "string" };

export const dictionary: Rule = {
  expected: "an object",
  allows: (v) => typeof v === "object" && v !== null && !Array.isArray(v),
};

/** One of a few strings. */
export const oneOf = (...values: string[]): Rule => ({
  expected: values.map((v) => `"${v}"`).join(" or "),
  allows: (v) => values.includes(v as string),
});

export const listOf = (rule: Rule): Rule => ({
  expected: `a list, each entry ${rule.expected}`,
  allows: (v) => Array.isArray(v) && v.every(rule.allows),
});

export const either = (...rules: Rule[]): Rule => ({
  expected: rules.map((r) => r.expected).join(", or "),
  allows: (v) => rules.some((r) => r.allows(v)),
});

export const orNull = (rule: Rule): Rule => ({
  expected: `${rule.expected}, or null`,
  allows: (v) => v === null || rule.allows(v),
});

/** A token id; ids outside the vocabulary are allowed, as in transformers, and then never occur. */
export const tokenId = integer(-1, 2 ** 31 - 1);
