// Asking the user, through the browser, that what the page keeps stays: workers may not ask.

/**
 * Asks the browser to keep what the page has downloaded until the user removes it, not only while there is room; some browsers
 * ask the user. Call it in the page, best when a download is begun by a click. `models.usage().persisted` tells how it stands.
 * @returns whether it stays; false, too, in a worker and where the page did not come by https:
 */
export async function request_persistence(): Promise<boolean> {
  const { storage } = (globalThis.navigator ?? {}) as { storage?: StorageManager };
  if (await storage?.persisted?.().catch(() => false)) return true;
  return (await storage?.persist?.().catch(() => false)) ?? false;
}
