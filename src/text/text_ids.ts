// What a text becomes without anything around it: literals found, the rest normalized, cut and merged.
import { BytePairEncoder } from "./bpe.ts";
import { mostText } from "./limits.ts";
import { normalize, oneStretch, preTokenize } from "./text_form.ts";
import type { TokenTable } from "./token_table.ts";
import type { Vocabulary } from "./vocabulary.ts";

export class TextIds {
  private readonly vocabulary: Vocabulary;
  private readonly table: TokenTable;
  private readonly encoder: BytePairEncoder;

  constructor(vocabulary: Vocabulary, table: TokenTable) {
    this.vocabulary = vocabulary;
    this.table = table;
    this.encoder = new BytePairEncoder(vocabulary);
  }

  /** @param spell_special - special tokens are text like other text */
  of(text: string, spell_special: boolean): number[] {
    const out: number[] = [];
    const { pre_tokenizer } = this.vocabulary.text_form;
    let most = mostText(text.length); // of all stretches together, however many literals there are between them
    for (const piece of this.table.literals.split(text, spell_special)) {
      if ("id" in piece) out.push(piece.id);
      else {
        const normalized = this.normalize(piece.text, most);
        most -= normalized.length;
        this.normalized(normalized, spell_special, out, (part) =>
          preTokenize(part.text, pre_tokenizer, piece.start + part.start === 0),
        );
      }
    }
    return out;
  }

  /**
   * The ids of a message as mistral-common has them, in which no special token is found. SentencePiece puts one ▁ before
   * the whole text, whatever the form of the file, and finds what users may define behind it.
   */
  ofMessage(text: string): number[] {
    const { decoder, text_form } = this.vocabulary;
    if (decoder === "ByteLevel") return this.of(text, true);
    const { metaspace } = text_form.pre_tokenizer;
    const out: number[] = [];
    for (const piece of this.table.literals.split(
      this.normalize(metaspace && text !== "" ? oneStretch(text, metaspace) : text),
      true,
    )) {
      if ("id" in piece) out.push(piece.id);
      else this.normalized(piece.text, true, out, (part) => [part.text]);
    }
    return out;
  }

  private normalize(text: string, most?: number): string {
    const { source, text_form } = this.vocabulary;
    return normalize(text, text_form.normalizer, `${source}: normalizer`, most);
  }

  /** @param words - the stretches of a part that are merged on their own */
  private normalized(
    text: string,
    spell_special: boolean,
    out: number[],
    words: (part: { readonly text: string; readonly start: number }) => readonly string[],
  ): void {
    for (const part of this.table.normalizedLiterals.split(text, spell_special)) {
      if ("id" in part) out.push(part.id);
      else for (const word of words(part)) this.encoder.encode(word, out);
    }
  }
}
