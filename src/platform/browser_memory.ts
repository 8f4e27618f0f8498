// Memory in a browser: how much there is, and giving back what nobody uses any more.

/** From so many GiB on browsers say no more. */
const MOST_TOLD = 32;

/** What is known of memory is how much there is, about; Firefox and Safari tell nothing. */
export function deviceMemory(): number | undefined {
  const { deviceMemory: told } = navigator as { deviceMemory?: number };
  return told === undefined || told >= MOST_TOLD ? undefined : told * 2 ** 30;
}

/**
 * What is allocated to be garbage, and how often at most. None of it is touched, so that no page of it is taken. Of smaller
 * pieces V8 collects these alone, while they are young.
 */
const GARBAGE_BYTES = 2 ** 26;
const ROUNDS = 40;
const ROUND_MS = 25;

/**
 * Has memories collected that nobody refers to any more. Browsers do not count them as a reason to collect: Chromium 156 kept
 * the 350 MiB of a disposed model for as long as one looked (30 s), and lets go of them within 0.2 s of other garbage.
 */
export async function collectSoon(memories: readonly WebAssembly.Memory[]): Promise<void> {
  const left = memories.map((memory) => new WeakRef(memory));
  memories = [];
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise((resolve) => setTimeout(resolve, ROUND_MS));
    if (left.every((memory) => memory.deref() === undefined)) return;
    try {
      new ArrayBuffer(GARBAGE_BYTES);
    } catch {
      return; // there is so little that it is collected anyway
    }
  }
}
