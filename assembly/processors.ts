// The processors of every generation, in place on logits f32 [n]. ids: the sequence so far, i32 [count]; tokens: a list
// of token ids, i32 [tokens_count]. Ids outside [0, n) are passed over. scratch: scratch_bytes(n) bytes.
import { power } from "./math";
import { at, loadTail, storeTail } from "./vectors";

/** Clears one bit for each of n tokens. */
function clearMarks(marks: usize, n: i32): void {
  memory.fill(marks, 0, ((<usize>n + 31) >> 5) << 2);
}

function isMarked(marks: usize, id: i32): bool {
  return ((load<u8>(marks + (<usize>id >> 3)) >> <u8>(id & 7)) & 1) !== 0;
}

/** Marks a token; false where it was marked already. */
function mark(marks: usize, id: i32): bool {
  const address = marks + (<usize>id >> 3);
  const before = load<u8>(address);
  const bit: u8 = 1 << (<u8>(id & 7));
  store<u8>(address, before | bit);
  return (before & bit) === 0;
}

/** Each distinct id once: a negative score is multiplied by the penalty, any other divided. */
export function repetition_penalty(logits: usize, n: i32, ids: usize, count: i32, penalty: f32, scratch: usize): void {
  clearMarks(scratch, n);
  for (let i = 0; i < count; i++) {
    const id = load<i32>(at(ids, i));
    if (<u32>id >= <u32>n || !mark(scratch, id)) continue;
    const score = load<f32>(at(logits, id));
    store<f32>(at(logits, id), score < 0 ? score * penalty : score / penalty);
  }
}

/** OpenAI's penalties: score -= occurrences * frequency + presence, for every id that occurs. */
export function frequency_presence_penalty(
  logits: usize,
  n: i32,
  ids: usize,
  count: i32,
  frequency: f32,
  presence: f32,
  scratch: usize,
): void {
  memory.fill(scratch, 0, (<usize>n) << 2);
  for (let i = 0; i < count; i++) {
    const id = load<i32>(at(ids, i));
    if (<u32>id < <u32>n) store<i32>(at(scratch, id), load<i32>(at(scratch, id)) + 1);
  }
  for (let i = 0; i < count; i++) {
    const id = load<i32>(at(ids, i));
    if (<u32>id >= <u32>n) continue;
    const occurrences = load<i32>(at(scratch, id));
    if (occurrences === 0) continue;
    store<i32>(at(scratch, id), 0);
    store<f32>(at(logits, id), load<f32>(at(logits, id)) - (<f32>occurrences * frequency + presence));
  }
}

/** Whether ids[from, from + length) equals other[0, length). */
function matches(ids: usize, from: i32, other: usize, length: i32): bool {
  for (let i = 0; i < length; i++) if (load<i32>(at(ids, from + i)) !== load<i32>(at(other, i))) return false;
  return true;
}

/** Bans every token that would repeat an n-gram of `size` ids. */
export function no_repeat_ngram(logits: usize, n: i32, ids: usize, count: i32, size: i32): void {
  encoder_no_repeat_ngram(logits, n, ids, count, size, count);
}

/** Bans every token that would repeat an n-gram of `size` ids of the first `prompt` ids. */
export function encoder_no_repeat_ngram(logits: usize, n: i32, ids: usize, count: i32, size: i32, prompt: i32): void {
  const suffix = at(ids, count - size + 1);
  for (let i = 0; i + size <= prompt; i++) {
    if (!matches(ids, i, suffix, size - 1)) continue;
    const id = load<i32>(at(ids, i + size - 1));
    if (<u32>id < <u32>n) store<f32>(at(logits, id), -Infinity);
  }
}

/**
 * Adds biases: that of a single token always, that of a longer sequence to its last token when the ids end with those
 * before. They are summed first, as in Hugging Face's class.
 * @param table - for each of `entries` sequences: its length (i32), its bias (f32), its ids (i32 [length])
 */
export function sequence_bias(
  logits: usize,
  n: i32,
  ids: usize,
  count: i32,
  table: usize,
  entries: i32,
  scratch: usize,
): void {
  memory.fill(scratch, 0, (<usize>n) << 2);
  for (let entry = 0; entry < entries; entry++) {
    const length = load<i32>(table);
    const bias = load<f32>(table, 4);
    const sequence = table + 8;
    table = at(sequence, length);
    const last = load<i32>(at(sequence, length - 1));
    if (<u32>last >= <u32>n) continue;
    if (length > 1 && (length > count + 1 || !matches(ids, count - length + 1, sequence, length - 1))) continue;
    store<f32>(at(scratch, last), load<f32>(at(scratch, last)) + bias);
  }
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    v128.store(at(logits, i), f32x4.add(v128.load(at(logits, i)), v128.load(at(scratch, i))));
  }
  if (i < n) storeTail(logits, i, n, f32x4.add(loadTail(logits, i, n, 0), loadTail(scratch, i, n, 0)));
}

/** Removes the listed tokens. */
export function suppress(logits: usize, n: i32, tokens: usize, tokens_count: i32): void {
  for (let i = 0; i < tokens_count; i++) {
    const id = load<i32>(at(tokens, i));
    if (<u32>id < <u32>n) store<f32>(at(logits, id), -Infinity);
  }
}

/** Removes all but the listed tokens, whose scores become 0. */
export function force(logits: usize, n: i32, tokens: usize, tokens_count: i32): void {
  for (let i = 0; i < n; i++) store<f32>(at(logits, i), -Infinity);
  for (let i = 0; i < tokens_count; i++) {
    const id = load<i32>(at(tokens, i));
    if (<u32>id < <u32>n) store<f32>(at(logits, id), 0);
  }
}

/** Removes all but the listed tokens; where none of those has a score left, each gets 0. */
export function allow(logits: usize, n: i32, tokens: usize, tokens_count: i32, scratch: usize): void {
  clearMarks(scratch, n);
  let left = false;
  for (let i = 0; i < tokens_count; i++) {
    const id = load<i32>(at(tokens, i));
    if (<u32>id >= <u32>n) continue;
    mark(scratch, id);
    if (load<f32>(at(logits, id)) !== -Infinity) left = true;
  }
  if (!left) {
    force(logits, n, tokens, tokens_count);
    return;
  }
  for (let id = 0; id < n; id++) if (!isMarked(scratch, id)) store<f32>(at(logits, id), -Infinity);
}

/** score += |score| * (factor^steps - 1) for the listed tokens whose score is finite. */
export function exponential_decay(
  logits: usize,
  n: i32,
  tokens: usize,
  tokens_count: i32,
  factor: f64,
  steps: i32,
): void {
  const gain = power(factor, steps) - 1;
  for (let i = 0; i < tokens_count; i++) {
    const id = load<i32>(at(tokens, i));
    if (<u32>id >= <u32>n) continue;
    const score = load<f32>(at(logits, id));
    if (abs(score) < Infinity) store<f32>(at(logits, id), score + <f32>(<f64>abs(score) * gain));
  }
}

/** NaN becomes 0, infinities the largest finite numbers of their sign. */
export function remove_invalid(logits: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(at(logits, i), valid(v128.load(at(logits, i))));
  if (i < n) storeTail(logits, i, n, valid(loadTail(logits, i, n, 0)));
}

function valid(x: v128): v128 {
  const number = v128.and(x, f32x4.eq(x, x));
  return f32x4.min(f32x4.max(number, f32x4.splat(-f32.MAX_VALUE)), f32x4.splat(f32.MAX_VALUE));
}
