// For suites that are an engine's worker themselves: the library runs within the suite, on the browser's platform. And files
// that the server has, as a user would pick them.
import { serveThread } from "../../src/model/thread.ts";
import { browser } from "../../src/platform/browser.ts";
import { addPicked } from "../../src/platform/browser_picked.ts";
import { serveWithin } from "../../src/platform/browser_threads.ts";

serveWithin((port) => serveThread(browser, port));

// Where there is one thread, it must not wait for others.
if (browser.alone !== undefined)
  Atomics.wait = () => {
    throw new Error("Atomics.wait: there is nobody to wait for");
  };

/** The bytes of a file of the server's. */
export async function fetchBlob(url: string): Promise<Blob> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  return response.blob();
}

/** Picks files of the server's. @returns the path of the folder that they are in, or of the file where it is one */
export async function pick(urls: readonly string[]): Promise<string> {
  const files = await Promise.all(
    urls.map(async (url) => [url.slice(url.lastIndexOf("/") + 1), await fetchBlob(url)] as const),
  );
  const folder = addPicked(files);
  return files.length === 1 ? folder + files[0][0] : folder;
}
