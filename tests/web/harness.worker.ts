// That suites run where they say: in a worker of a page, isolated as its server wants it, under its policy, beside the package.
import { test } from "uvu";
import * as assert from "uvu/assert";

test("this is a module worker", () => {
  assert.type(globalThis.document, "undefined");
  assert.throws(() => (globalThis as unknown as { importScripts(url: string): void }).importScripts("/web/engine.js"));
});

test("no code is made of text", () => {
  assert.throws(() => new Function("return 1")(), /Content Security Policy|blocked by CSP/);
});

test("the package and the fixtures are served", async () => {
  for (const path of ["/web/engine.js", "/wasm/kernels-simd.wasm", "/models/demo/config.json"])
    assert.is((await fetch(path)).status, 200, path);
  const names: string[] = await (await fetch("/list/fixtures/hf/base")).json();
  assert.ok(names.includes("config.json"));
  const part = await fetch(`/fixture/fixtures/hf/base/config.json`, { headers: { Range: "bytes=0-0" } });
  assert.is(part.status, 206);
  assert.is(await part.text(), "{");
  assert.is((await fetch("/fixture/../../etc/passwd")).status, 404);
});

test("shared memory can be sent where the page is isolated, and nowhere else", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const { port1 } = new MessageChannel();
  if (crossOriginIsolated) port1.postMessage(memory);
  else
    assert.throws(
      () => port1.postMessage(memory),
      (error: Error) => error.name === "DataCloneError",
    );
});

test.run();
