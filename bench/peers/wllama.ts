// @wllama/wllama, llama.cpp in WebAssembly, in headless Chromium: one load, one prompt, one answer. The page has the
// headers that threads need, and the file comes from the disk through a file input, with no network in between.
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { companion, companionFolder } from "../companions.ts";
import { memoryOf, watchMemory } from "../memory.ts";
import { browserFlags, findBrowser } from "./browser.ts";
import type { PeerRequest, PeerRun } from "./peer.ts";

const { path, threads, prompt, tokens }: PeerRequest = JSON.parse(process.argv[2]);

const wllama = join(companionFolder("@wllama/wllama")!, "esm");
const files: Record<string, [type: string, path: string]> = {
  "/wllama.js": ["text/javascript", join(wllama, "index.js")],
  "/wllama.wasm": ["application/wasm", join(wllama, "wasm", "wllama.wasm")],
};
const html = `<!doctype html><title>wllama</title><input type="file">
<script type="module">import { Wllama } from "/wllama.js"; globalThis.Wllama = Wllama;</script>`;
const server = createServer((request, response) => {
  const isolated = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
  const file = files[request.url ?? ""];
  response.writeHead(200, { ...isolated, "Content-Type": file?.[0] ?? "text/html" });
  if (file) createReadStream(file[1]).pipe(response);
  else response.end(html);
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

const { chromium } = companion("playwright-core");
const browser = await chromium.launch({ executablePath: findBrowser(), args: [...browserFlags] });
// The browser is a child of this process.
const watch = watchMemory(process.pid, 500);
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.setInputFiles("input", path);
  const found = await page.evaluate(inPage, { threads, words: prompt, tokens });
  const run: PeerRun = { ...found, private: watch.peak().private - (memoryOf("self")?.private ?? 0) };
  console.log(JSON.stringify(run));
} finally {
  await browser.close();
  server.close();
}

/** Runs in the page. */
async function inPage({ threads, words, tokens }: { threads: number; words: number; tokens: number }) {
  const { document, crossOriginIsolated, Wllama } = globalThis as any;
  if (!crossOriginIsolated) throw new Error("the page is not isolated, so wllama would have one thread");
  const wllama = new Wllama({ default: "/wllama.wasm" }, { suppressNativeLog: true });
  const start = performance.now();
  await wllama.loadModel([...document.querySelector("input").files], {
    n_threads: threads,
    n_ctx: 2 * words + tokens + 64,
    n_batch: words,
    n_gpu_layers: 0,
  });
  const load_ms = performance.now() - start;
  const complete = (count: number, max_tokens: number) =>
    wllama.createCompletion({
      prompt: Array.from({ length: count }, (_, i) => ["house", "tree", "river", "stone"][i % 4]).join(" "),
      max_tokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
    });
  await complete(8, 2);
  const { timings } = await complete(words, tokens);
  return {
    load_ms,
    prompt_rate: timings.prompt_per_second as number,
    generated_rate: timings.predicted_per_second as number,
  };
}
