// How much of a call's prompts is read: told now and then until the first token is there.

/** What `progress_callback` of `generate` is told. */
export interface PromptProgress {
  status: "prompt";
  /** Tokens of the prompts that are read, and all that have to be: those that a cache holds already are none of them. */
  loaded: number;
  total: number;
  /** A percentage. */
  progress: number;
}

/** Milliseconds from one to the next. */
const INTERVAL = 100;

/**
 * Tells at once, then as often as more is read.
 * @param loaded - how much of `total` that is now
 * @returns ends it; all is told to be read where it is
 */
export function tellProgress(
  total: number,
  loaded: () => number,
  tell: (progress: PromptProgress) => void,
): (complete: boolean) => void {
  let told = -1;
  const next = (now: number) => {
    if (now <= told) return; // a sequence that gave up its pages begins anew
    told = now;
    tell({ status: "prompt", loaded: now, total, progress: (100 * now) / total });
  };
  next(0);
  const timer = setInterval(() => next(Math.min(total, Math.floor(loaded()))), INTERVAL);
  let over = false;
  return (complete) => {
    clearInterval(timer);
    if (complete && !over) next(total);
    over = true;
  };
}
