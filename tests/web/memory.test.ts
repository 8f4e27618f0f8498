// That a page gets its memory back when a model is disposed of: by the bytes that the system counts for its process.
import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { launchChromium } from "./browser.ts";
import { startServer } from "./server.ts";

const MIB = 2 ** 20;

/** Bytes of their own that the renderers have which a browser has started, by Linux' count. */
function rendererBytes(): number {
  let bytes = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!command.includes("--type=renderer") || !command.includes(MARK)) continue;
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      for (const name of ["RssAnon", "RssShmem"])
        bytes += 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return bytes;
}

/** Tells this test's processes from others. */
const MARK = `--tramontane-${process.pid}`;

for (const isolated of [true, false])
  test(`a disposed model's memory is the page's again, ${isolated ? "isolated" : "not isolated"}`, async () => {
    const server = await startServer({ isolated });
    const browser = await launchChromium({
      args: [`--js-flags=${MARK}`],
    });
    try {
      const page = await browser.newPage();
      await page.goto(server.url);
      const worker = await page.evaluateHandle(
        () => new Worker("/web/memory.thread.js", { type: "module", name: "memory" }),
      );
      const ask = (what: string) =>
        worker.evaluate(
          (worker, what) =>
            new Promise<{ bytes?: number }>((resolve, reject) => {
              worker.onmessage = ({ data }) => resolve(data);
              worker.onerror = ({ message }) => reject(new Error(message));
              worker.postMessage(what);
            }),
          what,
        );
      const figures: string[] = [];
      const note = (what: string, bytes: number) => {
        figures.push(`${what} ${Math.round(bytes / MIB)}`);
        return bytes;
      };
      const before = note("before", rendererBytes());
      for (let i = 0; i < 3; i++) {
        const { bytes } = await ask("load");
        const loaded = note("loaded", rendererBytes());
        assert.ok(loaded - before > bytes!, `${loaded - before} bytes more, of ${bytes}`);
        await ask("dispose");
        await new Promise((resolve) => setTimeout(resolve, 1500));
        const left = note("disposed", rendererBytes());
        // The code that it has compiled stays.
        assert.ok(left - before < 0.4 * bytes!, `${left - before} bytes are left, of ${bytes}`);
      }
      console.log(`# MiB of the page's process: ${figures.join(", ")}`);
    } finally {
      await browser.close();
      await server.close();
    }
  });

test.run();
