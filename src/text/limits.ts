// What a tokenizer's files may ask for. They are programs of a kind: a rule can double a text, a template can say it a
// thousand times. So what they make is bounded by what went in, and what they count by what vocabularies in use have.

export const TEXT_LIMITS = {
  /** Bytes of tokenizer.json, tokenizer.model; the largest in use have 35 MB. */
  file: 2 ** 26,
  /** Tokens of a vocabulary; the largest in use have 262,144. */
  tokens: 2 ** 20,
  /** UTF-16 units of a token, and of a rule's pattern or content; tokens in use have a hundred at most. */
  token: 1024,
  /** UTF-16 units of all added tokens together. */
  added: 2 ** 20,
  /** Steps of a normalizer, or of a decoder. */
  steps: 32,
  /** Special tokens, and places of the text, in what stands around a text. */
  template: 256,
  places: 8,
  /** Merges that are made of scored pieces: so many for each piece, and as many again as a small vocabulary may need. */
  merges_of_piece: 32,
  more_merges: 2 ** 16,
  /** Ids that one call may fill up with padding. */
  padding: 2 ** 24,
} as const;

/** UTF-16 units that rules may make of a text of `length`. */
export const mostText = (length: number): number => 4 * length + 1024;

/** And of a token of `length`, of which a text can have many. */
export const mostOfToken = (length: number): number => 4 * length + 16;
