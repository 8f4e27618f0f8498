// How much of a matrix is made at a time.

/** Values that are made at a time, about: they stay in the cache. */
const VALUES = 1 << 18;

/** @param step - of which it is a multiple */
export const rowsAtATime = ({ rows, cols }: { rows: number; cols: number }, step = 1): number =>
  Math.min(rows, Math.max(1, Math.floor(VALUES / cols / step)) * step);

/** What up to ten of a workshop's places may take beyond their bytes, each of which begins at a multiple of 64. */
export const ROOM = 10 * 64;
