// A converting thread's workshop in the test's own thread.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Workshop } from "../../src/convert/workshop.ts";
import { type BlockFormat, rowBytes } from "../../src/quant/formats.ts";
import { root } from "../fixtures.ts";

const module = (name: string) => new WebAssembly.Module(readFileSync(join(root, "wasm", name)));

export class Shop extends Workshop {
  constructor(work_bytes = 1 << 27) {
    const [kernels, converters] = [module("kernels-simd.wasm"), module("convert.wasm")];
    super({ type: "convert", kernels, converters, work_bytes });
  }

  private put(values: Float32Array | Uint8Array): number {
    const at = this.take(values.byteLength);
    this.bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    return at;
  }

  dequantize(format: BlockFormat, bytes: Uint8Array, count: number): Float32Array {
    this.clear();
    const [from, to] = [this.put(bytes), this.take(count * 4)];
    this.kernels.format(format).dequantize(from, to, count);
    return this.floats(to, count).slice();
  }

  /** The blocks of some rows. @throws when a value is no number */
  encode(format: BlockFormat, values: Float32Array, cols: number, importance?: Float32Array): Uint8Array {
    this.clear();
    const rows = values.length / cols;
    const size = rows * rowBytes(format, cols);
    const [x, w, out] = [this.put(values), importance ? this.put(importance) : 0, this.take(size)];
    const odd = this.converters.quantize(format)(x, w, out, rows, cols);
    if (odd) throw new Error(`row ${odd - 1} is not finite`);
    return this.bytes.slice(out, out + size);
  }
}
