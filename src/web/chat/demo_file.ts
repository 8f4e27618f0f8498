// The demo model, which is served beside the page: fetched as a whole, so that the service worker can keep it.
import { type Progress, Rate } from "./progress.ts";

export const DEMO_PATH = "demo/demo-Q8_0.gguf";

/** @throws an Error that says what the server said; the signal's reason when aborted */
export async function demoFile({
  signal,
  onProgress,
}: {
  signal: AbortSignal;
  onProgress: (progress: Progress) => void;
}): Promise<File> {
  const answer = await fetch(DEMO_PATH, { signal });
  if (!answer.ok || !answer.body)
    throw new Error(`${DEMO_PATH}: the server says ${answer.status} ${answer.statusText}`.trim());
  // What is compressed on its way has another length.
  const total = answer.headers.has("content-encoding") ? 0 : Number(answer.headers.get("content-length") ?? 0);
  const rate = new Rate();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  const reader = answer.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(read.value);
    loaded += read.value.length;
    const speed = rate.add(loaded);
    onProgress({
      ...{ doing: "download", loaded, total, rate: speed },
      remaining: speed && total > loaded ? (total - loaded) / speed : undefined,
    });
  }
  return new File(parts, "demo-Q8_0.gguf");
}
