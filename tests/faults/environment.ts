// Loads the demo model in a runtime that lacks what the first argument names, and prints what came of it as JSON.
import process from "node:process";

const validate = globalThis.WebAssembly?.validate;
switch (process.argv[2]) {
  case "wasm":
    delete (globalThis as { WebAssembly?: unknown }).WebAssembly;
    break;
  case "shared": {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.shared) throw new TypeError("no shared memory");
        super(descriptor);
      }
    };
    break;
  }
  case "relaxed": {
    // Modules with an opcode of relaxed SIMD are not valid; the one they are told by is the dot's.
    const { readFileSync } = await import("node:fs");
    const { join } = await import("node:path");
    const { root } = await import("../fixtures.ts");
    const relaxed = readFileSync(join(root, "dist", "wasm", "kernels-relaxed.wasm")).length;
    WebAssembly.validate = (bytes) => bytes.byteLength !== relaxed && validate(bytes);
    break;
  }
  case "simd":
    WebAssembly.validate = () => false;
    break;
}

const { MixtralForCausalLM, TramontaneError } = await import("../../src/index.ts");
const { answer } = await import("./answer.ts");
const { demo } = await import("../fixtures.ts");
try {
  await using model = await MixtralForCausalLM.from_pretrained(demo);
  console.log(JSON.stringify({ answer: await answer(model), info: model.info() }));
} catch (error) {
  if (!(error instanceof TramontaneError)) throw error;
  const { name, code, message } = error;
  console.log(JSON.stringify({ error: { name, code, message } }));
}
