// Cuts a text by a pattern, in work that grows with the text: the matcher is this project's, since an engine's own could be
// made to try without end by a pattern, and has a stack that a long enough run of one kind of character overflows.
import { TokenizerError } from "../errors.ts";
import { type Alternatives, type Item, parsePattern } from "./pattern.ts";
import { character16 } from "./unicode.ts";

/** A bit for each class of a pattern in a 32-bit mask, and one for what is not known yet. */
const MOST_CLASSES = 31;
const UNKNOWN = 0x80000000 | 0;

/**
 * Characters looked at, and items tried, for each character of a text, and for each text; Tekken's pattern needs 30 at
 * most. A pattern that needs more tries the same stretch again and again.
 */
const STEPS_OF_CHARACTER = 64;
const MORE_STEPS = 4096;

interface Step {
  /** The class's bit. */
  readonly bit: number;
  readonly item: Item;
}

export class PatternSplitter {
  /** The pattern's source. */
  readonly pattern: string;
  readonly where: string;
  private readonly alternatives: readonly (readonly Step[])[];
  private readonly classes: readonly RegExp[];
  /** Which classes a character is in: of the first 65,536 by their code, of the others as they come. */
  private readonly masks = new Int32Array(0x10000).fill(UNKNOWN);
  private readonly farther = new Map<number, number>();
  readonly between: boolean;
  private text = "";
  private left = 0;

  /**
   * @param pattern - its source
   * @param between - whether what the pattern does not match is a stretch as well (else it is left out)
   * @param where - what to call it in messages
   * @throws {@link TokenizerError} when it has a part that is not supported
   */
  constructor(pattern: string, between: boolean, where: string) {
    this.pattern = pattern;
    this.where = where;
    this.between = between;
    const alternatives: Alternatives = parsePattern(pattern, where);
    const classes = [...new Set(alternatives.flat().map((item) => item.class))];
    if (classes.length > MOST_CLASSES)
      throw new TokenizerError(
        `${where}: expected at most ${MOST_CLASSES} different characters and classes, found ${classes.length}`,
      );
    this.classes = classes.map((source) => new RegExp(`^${source}$`, "u"));
    this.alternatives = alternatives.map((items) =>
      items.map((item) => ({ bit: 1 << classes.indexOf(item.class), item })),
    );
  }

  /**
   * The stretches of a text, none empty.
   * @param text - without surrogates that lack their other half
   * @throws {@link TokenizerError} when the pattern needs far more work than the text is long
   */
  split(text: string): string[] {
    this.text = text;
    this.left = STEPS_OF_CHARACTER * text.length + MORE_STEPS;
    const parts: string[] = [];
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const end = this.match(at);
      if (end < 0) {
        at += this.width(at);
        continue;
      }
      if (done < at && this.between) parts.push(text.slice(done, at));
      parts.push(text.slice(at, end));
      done = at = end;
    }
    if (done < text.length && this.between) parts.push(text.slice(done));
    this.text = "";
    return parts;
  }

  /** The end of the match at a place, −1 where there is none. */
  private match(at: number): number {
    for (const steps of this.alternatives) {
      const end = this.follow(steps, 0, at);
      if (end >= 0) return end;
    }
    return -1;
  }

  private follow(steps: readonly Step[], i: number, at: number): number {
    if (i === steps.length) return at;
    const { bit, item } = steps[i];
    this.spend();
    if (item.look !== undefined)
      return this.is(at, bit) === (item.look === "ahead") ? this.follow(steps, i + 1, at) : -1;
    let end = at;
    let count = 0;
    for (; count < item.max && this.is(end, bit); count++) end += this.width(end);
    for (; count >= item.min; count--) {
      const found = this.follow(steps, i + 1, end);
      if (found >= 0 || item.possessive) return found;
      end -= end > 1 && (this.text.charCodeAt(end - 1) & 0xfc00) === 0xdc00 ? 2 : 1;
    }
    return -1;
  }

  /** Whether there is a character, and in a class. */
  private is(at: number, bit: number): boolean {
    this.spend();
    if (at >= this.text.length) return false;
    const unit = this.text.charCodeAt(at);
    if ((unit & 0xfc00) === 0xd800) return (this.far(this.text.codePointAt(at)!) & bit) !== 0;
    let mask = this.masks[unit];
    if (mask === UNKNOWN) mask = this.masks[unit] = this.classify(unit);
    return (mask & bit) !== 0;
  }

  private far(point: number): number {
    let mask = this.farther.get(point);
    if (mask === undefined) this.farther.set(point, (mask = this.classify(point)));
    return mask;
  }

  private classify(point: number): number {
    const character = character16(point);
    return this.classes.reduce((mask, of, i) => mask | (of.test(character) ? 1 << i : 0), 0);
  }

  private width(at: number): number {
    return (this.text.charCodeAt(at) & 0xfc00) === 0xd800 ? 2 : 1;
  }

  private spend(): void {
    if (--this.left < 0)
      throw new TokenizerError(
        `${this.where}: expected a pattern of at most ${STEPS_OF_CHARACTER} steps for each of ${this.text.length} characters, found more`,
      );
  }
}
