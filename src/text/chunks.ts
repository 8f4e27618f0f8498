// A text in chunks of one length, as llama.cpp's tools read it for perplexities and importance matrices.
import { InputError } from "../errors.ts";

/** What is needed of a tokenizer. */
export interface ChunkTokenizer {
  encode(text: string): number[];
  readonly bos_token_id?: number;
}

/**
 * The whole chunks of a text: one newline at its end is dropped, so is the rest behind the last whole chunk, and each begins
 * with BOS in place of its first token, where a text does.
 * @throws {@link InputError} when there are not two of them
 */
export function textChunks(tokenizer: ChunkTokenizer, text: string, length: number): number[][] {
  const ids = tokenizer.encode(text.replace(/\n$/, ""));
  if (ids.length < 2 * length)
    throw new InputError(
      `text: expected two chunks of ${length} tokens or more, which llama.cpp asks for, found ${ids.length} tokens: a longer text, or a smaller context`,
    );
  const begins = ids[0] === tokenizer.bos_token_id;
  return Array.from({ length: Math.floor(ids.length / length) }, (_, i) => {
    const chunk = ids.slice(i * length, (i + 1) * length);
    if (begins) chunk[0] = ids[0];
    return chunk;
  });
}
