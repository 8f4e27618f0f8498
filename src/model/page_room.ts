// Room in the cache for the rows that a step takes: who comes first gets it, and who came later makes it.
import { MemoryError } from "../errors.ts";
import type { KvPool } from "../memory/kv_pool.ts";
import type { Draft } from "./draft.ts";
import type { Sequence } from "./sequence.ts";

/** Steps that are on their way at once: the team begins with one before the host has heard of the one before. */
export const MOST_POSTED = 2;

/** Negative where a comes before b: by priority, then by age. */
export const rank = (a: Sequence, b: Sequence): number => b.priority - a.priority || a.age - b.age;

/**
 * Adds as many rows of a sequence to a draft as fit, and as the pool has pages for.
 * @param limit - rows of the draft at most
 * @param active - the sequences that may hold pages, the first in rank first
 */
export function takeRows(
  draft: Draft,
  sequence: Sequence,
  limit: number,
  pool: KvPool,
  active: readonly Sequence[],
): void {
  const wanted = Math.min(sequence.pending, limit - draft.rows);
  if (wanted <= 0 || sequence.posted >= MOST_POSTED) return;
  sequence.pages.trim();
  let fits = sequence.pages.most(wanted, pool.free);
  while (fits < wanted && preempt(sequence, draft, active)) fits = sequence.pages.most(wanted, pool.free);
  if (fits > 0) draft.add(sequence, fits);
}

/** Takes the pages from the sequence of the least rank behind `sequence`: it is computed again. @returns whether there was one */
function preempt(sequence: Sequence, draft: Draft, active: readonly Sequence[]): boolean {
  for (let i = active.length - 1; i >= 0; i--) {
    const victim = active[i];
    if (rank(victim, sequence) <= 0) return false;
    const idle = victim.posted === 0 && !draft.parts.some((part) => part.sequence === victim);
    if (!idle || !victim.restartable || victim.pages.pages.length === 0) continue;
    victim.pages.release();
    victim.restart();
    return true;
  }
  return false;
}

/** What a sequence is told that the pool has no pages for, nor ever will. */
export function noPages(pool: KvPool, { pages, pending }: Sequence): MemoryError {
  const needed = (pages.pages.length + pages.needed(pending)) * pool.page_bytes;
  const available = pool.free * pool.page_bytes;
  return new MemoryError(
    `kv_bytes: a sequence of ${pages.length + pending} tokens needs ${needed} bytes of cache, ${available} of ${pool.layout.pages * pool.page_bytes} are free`,
    needed,
    available,
  );
}
