// The demo model, which is served beside the page: fetched as a whole, so that the service worker can keep it.
import { type Progress, Rate } from "./progress.ts";

/** How often it is told how far it is, in milliseconds. */
const TELL_MS = 100;

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
  let loaded = 0;
  let told = 0;
  const counted = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform(part, controller) {
      controller.enqueue(part);
      loaded += part.length;
      const now = performance.now();
      if (now - told < TELL_MS) return;
      told = now;
      const speed = rate.add(loaded, now);
      const remaining = speed && total > loaded ? (total - loaded) / speed : undefined;
      onProgress({ doing: "download", loaded, total, rate: speed, remaining });
    },
  });
  // The browser puts the parts together, beside the page's thread.
  return new File([await new Response(answer.body.pipeThrough(counted)).blob()], "demo-Q8_0.gguf");
}
